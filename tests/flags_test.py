"""Settings from a command line, and the help."""

import subprocess
import sys

import pytest
from absl import flags as absl_flags

from experiments.running import flags
from experiments.running.plan import describe, make_parts, make_plan
from experiments.running.settings import Settings, read_settings
from msd_jax.config import Augmentation, Layers, Recipe
from msd_jax.dataset import Dataset
from msd_jax.errors import InputError
from tests.small import make_songs


def settings(*arguments: str) -> Settings:
    """As `python -m experiments.run ARGUMENTS` reads them."""
    absl_flags.FLAGS.unparse_flags()
    for group in flags.GROUPS.values():
        for holder in group:
            absl_flags.FLAGS[holder.name].unparse()
    absl_flags.FLAGS(["run", *arguments])
    return read_settings()


@pytest.mark.parametrize(
    ("model", "num_hidden", "num_epochs", "beta", "alpha", "num_snippets"),
    [
        # The report's widths, epochs and coefficients.
        ("mlp", (200,), 40, None, None, None),
        ("baseline", (100,), 40, (100.0,), None, None),
        ("ensemble", (100,), 30, (100.0,), None, (4,)),
        ("multitask", (100,), 30, (100.0,), (1.0,), None),
    ],
)
def test_defaults_are_the_reports(model, num_hidden, num_epochs, beta, alpha, num_snippets):
    read = settings(f"--model={model}")
    assert (read.num_hidden, read.num_epochs, read.beta) == (num_hidden, num_epochs, beta)
    assert (read.alpha, read.num_snippets) == (alpha, num_snippets)
    assert (read.learning_rate, read.l2, read.batch_size) == ((1e-3,), (0.0,), 50)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--model=baseline", "--alpha=2"],
        ["--model=mlp", "--beta=1"],
        ["--model=mlp", "--head=relu"],
        ["--model=mlp", "--num_layers=2"],
        ["--model=mlp", "--nobidirectional"],
        ["--model=mlp", "--readout=mean"],
        ["--model=mlp", "--dropout=0"],
        ["--model=multitask", "--num_snippets=4"],
        ["--model=baseline", "--pooling=mean"],
        ["--model=ensemble", "--secondary=binary"],
        ["--model=baseline", "--member=mlp"],
        ["--model=mlp", "--decomposition=round_robin"],
        ["--model=multitask", "--pool_weights=accuracy"],
        ["--model=baseline", "--alpha_binary=1"],
        ["--model=ensemble", "--binary_weights=plain"],
    ],
)
def test_a_flag_without_effect_on_the_model_is_refused(arguments):
    with pytest.raises(InputError, match="has no effect on --model"):
        settings(*arguments)


@pytest.mark.parametrize("flag", ["--beta=1", "--head=relu", "--num_layers=2"])
def test_a_flag_without_effect_on_the_member_is_refused(flag):
    ensemble = ["--model=ensemble", "--member=mlp"]
    assert settings(*ensemble).beta is None
    with pytest.raises(InputError, match="has no effect on --member=mlp: leave it out"):
        settings(*ensemble, flag)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--secondary=binary", "--alpha_binary=2"], "take --secondary=both"),
        (["--alpha_binary=2"], "no effect on --secondary=autoencoder"),
        (["--binary_weights=balanced"], "take --secondary=binary or both"),
    ],
)
def test_a_flag_without_effect_on_the_secondary_task_is_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        settings("--model=multitask", *arguments)


def test_both_tasks_have_a_weight_each():
    dataset = Dataset("d", make_songs(60), make_songs(6), None, ("a", "b", "c"))
    read = settings("--model=multitask", "--secondary=both", "--alpha=1,2", "--alpha_binary=0,3")
    assert read.binary_weights == "plain"
    (part,) = make_plan(read, dataset)
    assert [(t.alpha, t.alpha_binary) for t in part.trials] == [(1, 0), (1, 3), (2, 0), (2, 3)]
    assert part.trials[1].hparams.alpha_binary == 3
    assert describe(read, part.config, part.trials[1])["alpha_binary"] == 3
    assert settings("--model=multitask", "--secondary=both").alpha_binary == (1.0,)
    balanced = settings("--model=multitask", "--secondary=binary", "--binary_weights=balanced")
    (part,) = make_plan(balanced, dataset)
    assert part.config.binary_weights == "balanced"
    assert describe(balanced, part.config, part.trials[0])["alpha_binary"] is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--distributed", "--coordinator=a:1"], "leave one of the two out"),
        (["--coordinator=a:1", "--num_processes=2"], "needs --process_id"),
        (["--process_id=0"], "needs --coordinator"),
        (["--coordinator=a", "--num_processes=2", "--process_id=0"], "is not HOST:PORT"),
        (["--coordinator=a:70000", "--num_processes=2", "--process_id=0"], "is not HOST:PORT"),
        (["--coordinator=a:1", "--num_processes=2", "--process_id=2"], "is not among"),
        (["--heartbeat_seconds=9"], "has no effect on one process"),
    ],
)
def test_flags_that_name_no_process_among_its_peers_are_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        settings(*arguments)


def test_flags_of_one_process_among_others():
    assert not settings().several_processes
    assert settings("--distributed").several_processes
    read = settings("--coordinator=[::1]:1234", "--num_processes=2", "--process_id=1")
    assert read.several_processes
    assert read.heartbeat_seconds == 30


def test_lists_make_the_full_grid_and_widths_make_programs():
    dataset = Dataset("d", make_songs(60), make_songs(6), None, ("a", "b", "c"))
    read = settings("--num_hidden=4,8", "--beta=0,1", "--l2=0,0.1,1", "--num_seeds=2", "--seed=7")
    plan = make_plan(read, dataset)
    assert [part.config.num_hidden for part in plan] == [4, 8]
    for part in plan:
        points = [(t.seed, t.beta, t.l2) for t in part.trials]
        assert len(points) == len(set(points)) == 2 * 2 * 3
        assert {seed for seed, _, _ in points} == {7, 8}


@pytest.mark.parametrize("model", ["baseline", "ensemble", "multitask"])
def test_layers_reach_the_program_and_are_the_reports_by_default(model):
    (part,) = make_parts(settings(f"--model={model}"), 8, 3, 3)
    assert part.config.layers == Layers()
    flags_of_all = ["--num_layers=3", "--bidirectional", "--readout=max", "--dropout=0.5"]
    (part,) = make_parts(settings(f"--model={model}", *flags_of_all), 8, 3, 3)
    assert part.config.layers == Layers(3, True, "max", 0.5)


def test_a_recipe_reaches_the_program_and_epochs_make_another_only_under_a_schedule():
    dataset = Dataset("d", make_songs(60), make_songs(6), None, ("a", "b", "c"))

    def config(*arguments: str):
        (part,) = make_plan(settings(*arguments), dataset)
        return part.config

    assert config("--num_epochs=7") == config("--num_epochs=9") == config()
    given = config("--schedule=cosine", "--num_epochs=7", "--clip_norm=2", "--label_smoothing=0.1")
    assert given.recipe == Recipe(2.0, "cosine", 7, 0.1)
    given = config("--noise=1", "--feature_dropout=0.2", "--augmented_fraction=0.5", "--crop=4")
    assert given.augmentation == Augmentation(1.0, 0.2, 0.5, 4)
    for arguments in (["--crop=7"], ["--noise=nan"], ["--augmented_fraction=0.5"]):
        with pytest.raises(InputError):
            config(*arguments)
    with pytest.raises(InputError, match="5 segments cannot be cut into 2 equal snippets"):
        config("--model=ensemble", "--num_snippets=2", "--crop=5")


@pytest.mark.parametrize("program", ["run", "study", "report", "benchmark"])
def test_help_waits_for_nothing_heavy(program):
    loaded = f"import sys, experiments.{program}; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", loaded], capture_output=True, text=True, check=True
    )
    assert not {"jax", "orbax", "scipy", "matplotlib", "h5py", "torch"} & set(done.stdout.split())


def test_help_names_every_flag_with_default_and_the_reports_value():
    command = [sys.executable, "-m", "experiments.run", "--help"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    for title, holders in flags.GROUPS.items():
        assert f"{title}:" in shown
        for holder in holders:
            assert f"--{holder.name}=" in shown
    for group in ("Model", "Training", "Trials"):
        for holder in flags.GROUPS[group]:
            help_text = absl_flags.FLAGS[holder.name].help
            assert "Report: " in help_text or "report" in help_text, holder.name
