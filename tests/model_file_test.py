"""Model files: the same models come back, and nothing else ever does."""

import dataclasses
import json
import struct
from pathlib import Path

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load, save

from msd_jax import model_file
from msd_jax.config import Augmentation, Config, Layers, Recipe
from msd_jax.errors import InputError
from msd_jax.model_file import load_model, save_model
from msd_jax.normaliser import Normaliser
from msd_jax.trained import of_seed, with_normaliser
from tests.npz_test import EDITS, edit
from tests.untrusted_files import SMALL, TARGETS, make_trained

CONFIGS = [
    SMALL,
    dataclasses.replace(SMALL, member="mlp", decomposition="round_robin", pool_weights="accuracy"),
    Config(4, 2, 3, model="mlp", num_hidden=2),
    Config(4, 2, 3, head="relu", num_hidden=2),
    Config(4, 2, 3, model="multitask", secondary="binary", num_hidden=2, patience=3),
    Config(
        *(4, 2, 3),
        num_hidden=2,
        layers=Layers(num_layers=2, bidirectional=True, readout="attention", dropout=0.25),
    ),
    Config(
        *(4, 2, 3, "mlp", 2),
        recipe=Recipe(clip_norm=1.5, schedule="cosine", num_epochs=3),
        augmentation=Augmentation(noise=0.5, crop=3),
    ),
    Config(4, 2, 3, model="multitask", secondary="both", binary_weights="balanced", num_hidden=2),
]


def same(tree, other) -> bool:
    """Equal in structure and, array by array, to the bit."""

    def leaf(x):
        return (x.dtype.str, x.shape, x.tobytes()) if isinstance(x, np.ndarray) else x

    return jax.tree.map(leaf, tree) == jax.tree.map(leaf, other)


@pytest.mark.parametrize("raw", [True, False])
@pytest.mark.parametrize("config", CONFIGS, ids=lambda c: f"{CONFIGS.index(c)}-{c.model}")
def test_what_is_saved_is_loaded(tmp_path, config, raw):
    trained = make_trained(config, num_trials=3, raw=raw)
    save_model(tmp_path / "m.safetensors", trained)
    loaded = load_model(tmp_path / "m.safetensors")
    assert same(loaded, trained)


def test_the_file_is_plain_safetensors_with_parameters_by_path(tmp_path):
    trained = make_trained()
    save_model(tmp_path / "m.safetensors", trained)
    arrays = load((tmp_path / "m.safetensors").read_bytes())
    kernel = arrays["params.members.layers.0.forward.kernel"]
    assert kernel.shape == (2, 2, 2 + 2, 4 * 2)  # R, M, F + H, 4H
    np.testing.assert_array_equal(kernel, trained.params.members.layers[0].forward.kernel)
    assert arrays["normaliser.mean"].shape == (4, 2)


def test_one_seed_of_several():
    trained = make_trained(num_trials=3)
    one = of_seed(trained, 124)
    assert one.trials == (trained.trials[1],)
    assert same(one.params, jax.tree.map(lambda x: x[1:2], trained.params))
    with pytest.raises(InputError, match="no seed 7: the seeds are 123, 124, 125"):
        of_seed(trained, 7)


def test_a_normaliser_is_given_only_where_there_is_none_and_only_one_that_fits():
    normaliser = Normaliser(np.zeros((4, 2)), np.ones((4, 2)))
    given_one = with_normaliser(make_trained(raw=False), normaliser, "central")
    assert (given_one.normaliser, given_one.crop) == (normaliser, "central")
    with pytest.raises(InputError, match="has the normaliser of its own"):
        with_normaliser(make_trained(), normaliser, "central")
    wrong = Normaliser(np.zeros((5, 2)), np.ones((5, 2)))
    with pytest.raises(InputError, match=r"\(5, 2\), the model was trained on \(4, 2\)"):
        with_normaliser(make_trained(raw=False), wrong, "central")


def crafted(path: Path, change_text=lambda text: text, **arrays: np.ndarray | None) -> Path:
    """A model file that somebody changed and gave the right sha256; None leaves an array out."""
    save_model(path, make_trained())
    raw = path.read_bytes()
    (length,) = struct.unpack("<Q", raw[:8])
    text = json.loads(raw[8 : 8 + length])["__metadata__"]["msd_jax"]
    text = change_text(text)
    kept = {name: x for name, x in (load(raw) | arrays).items() if x is not None}
    metadata = {"msd_jax": text, "sha256": model_file._digest(text, kept)}
    path.write_bytes(save(kept, metadata))
    return path


def refusal(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        load_model(path)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(str(path))
    return str(caught.value)


def changing(**changes):
    """Changes fields of the JSON text: key__inner=value."""

    def change(text: str) -> str:
        described = json.loads(text)
        for name, value in changes.items():
            *outer, last = name.split("__")
            target = described
            for key in outer:
                target = target[key]
            target[last] = value
        return json.dumps(described)

    return change


@pytest.mark.parametrize(
    "changes",
    [
        {"format": 1},
        {"config__num_hidden": 10**9},
        {"config__num_hidden": 3},
        {"config__num_hidden": 2.0},
        {"config__num_genres": 4},
        {"config__num_snippets": 10**6},
        {"config__num_segments": True},
        {"config__model": "transformer"},
        {"config__model": None},
        {"config__surprise": 1},
        {"config__layers": 1},
        {"config__layers": {"num_layers": 2}},
        {"config__layers": {"num_layers": 10**6}},
        {"config__layers": {"bidirectional": 1}},
        {"config__layers": {"dropout": float("nan")}},
        {"config__layers": {"readout": ["last"]}},
        {"config__layers": {"surprise": 1}},
        {"config__recipe": 1},
        {"config__recipe__clip_norm": "1"},
        {"config__recipe__clip_norm": float("nan")},
        {"config__augmentation__crop": 3},
        {"config__augmentation__crop": 2.0},
        {"config__augmentation__surprise": 1},
        {"config": []},
        {"trials": []},
        {"trials": [{"seed": 1}]},
        {"trials": 2 * [{"seed": 1, "best_epoch": 1, "peak_valid_accuracy": 0.5}]},
        {"genre_names": ["a", "b"]},
        {"genre_names": ["a", "b", "a"]},
        {"genre_names": ["a", "b", 3]},
        {"genre_names": "abc"},
        {"crop": "middle"},
        {"crop": None},
        {"crop": []},
        {"origin": {}},
        {"origin__point": {"beta": "much"}},
        {"origin__point": {"beta": float("nan")}},
        {"origin__num_points": "2"},
        {"origin__finished": 1},
        {"origin__dataset": ["tiny"]},
    ],
    ids=str,
)
def test_crafted_texts_are_refused(tmp_path, changes):
    assert "damaged model file" in refusal(crafted(tmp_path / "m", changing(**changes)))


def test_more_networks_than_the_file_has_numbers_are_refused_at_once(tmp_path):
    """A round robin of 200,000 genres is 20 billion networks, whose shapes alone fill memory."""
    names = [str(i) for i in range(200_000)]
    change = changing(
        config__num_genres=len(names), config__decomposition="round_robin", genre_names=names
    )
    assert "fewer numbers than its networks" in refusal(crafted(tmp_path / "m", change))


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", "nonsense", "[" * 100_000, "null"],
    ids=["", "[]", "{}", "x", "[[", "0"],
)
def test_texts_of_another_kind_are_refused(tmp_path, text):
    refusal(crafted(tmp_path / "m", lambda _: text))


@pytest.mark.parametrize(
    ("name", "array"),
    [
        ("params.pool_weights.mean", None),
        ("params.pool_weights.mean", np.zeros((2, 3), np.float32)),
        ("params.pool_weights.mean", np.zeros((2, 2), np.float16)),
        ("params.pool_weights.mean", np.array([[0, np.nan], [0, 0]], np.float32)),
        ("normaliser.std", np.zeros((4, 2))),
        ("normaliser.mean", np.full((4, 2), np.inf)),
        ("statistics.std", np.array([1.0, -1.0])),
        ("surprise", np.zeros(1)),
    ],
)
def test_crafted_arrays_are_refused(tmp_path, name, array):
    refusal(crafted(tmp_path / "m", **{name: array}))


def test_other_files_are_refused(tmp_path):
    assert "no such file" in refusal(tmp_path / "nope")
    assert "no such file" in refusal(tmp_path)
    for data in (b"", b"{}", struct.pack("<Q", 2**62) + b"{}", bytes(100), b"PK\3\4" * 9):
        (tmp_path / "m").write_bytes(data)
        assert "not a readable safetensors file" in refusal(tmp_path / "m")
    (tmp_path / "m").write_bytes(save({"x": np.zeros(3)}))
    assert "not one of experiments.export" in refusal(tmp_path / "m")
    # Declared as another machine's type of number, which numpy has not.
    header = json.dumps({"x": {"dtype": "BF16", "shape": [1], "data_offsets": [0, 2]},
                         "__metadata__": {"msd_jax": "{}", "sha256": ""}}).encode()  # fmt: skip
    (tmp_path / "m").write_bytes(struct.pack("<Q", len(header)) + header + bytes(2))
    refusal(tmp_path / "m")


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_a_damaged_file_is_read_as_a_good_one_or_refused_in_one_line(tmp_path, target):
    data, path = target.data(tmp_path), tmp_path / target.name
    path.write_bytes(data)
    good = target.load(path)

    @settings(max_examples=200, deadline=None)
    @given(EDITS, st.sampled_from([1.0, 0.1, 0.02]))
    def damage(edits, share):
        # Near the start, where the structure is, as often as anywhere.
        near = [(kind, share * fraction, value) for kind, fraction, value in edits]
        path.write_bytes(edit(data, near))
        try:
            read = target.load(path)
        except target.refusal as error:
            assert "\n" not in str(error)
        else:
            leaves = [x for x in jax.tree.leaves(read) if isinstance(x, np.ndarray)]
            assert leaves and all(np.isfinite(x).all() for x in leaves)
            if target.name == "model.safetensors":
                assert same(read, good)

    damage()
