"""Checkpoints: the same bits come back, and damage never passes for a checkpoint."""

import shutil
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from msd_jax.checkpoints import KEEP, Checkpoints
from msd_jax.errors import InputError
from msd_jax.trees import unflatten


class Inner(NamedTuple):
    """A part of the state, nested."""

    kernel: jax.Array
    scale: np.ndarray


class State(NamedTuple):
    """All kinds of leaves that a sweep has."""

    params: dict[str, Inner]
    counts: jax.Array
    epoch: jax.Array
    stopped: jax.Array


def make_state(seed: int) -> State:
    """A state whose every leaf depends on the seed."""
    key = jax.random.key(seed)
    # Bits that a detour over text or arithmetic would lose: -0, a denormal, a NaN's payload.
    special = np.array([0x80000000, 1, 0x7FC00123, 0x3F800000 + seed], np.uint32).view(np.float32)
    return State(
        params={"lstm": Inner(jax.random.normal(key, (2, 5, 3)), special)},
        counts=jax.random.bits(key, (2, 2)),
        epoch=jnp.array([seed, -seed], jnp.int32),
        stopped=jnp.array([seed % 2 == 0, True]),
    )


def bits(state: State) -> list[tuple]:
    """Type, shape and bytes of each leaf, in an order that the structure gives."""

    def leaf(x):
        return str(x.dtype), x.shape, np.asarray(x).tobytes()

    return [(jax.tree.structure(state),), *map(leaf, jax.tree.leaves(state))]


def save(folder: Path, *steps: int) -> None:
    with Checkpoints(folder) as checkpoints:
        for step in steps:
            checkpoints.save(step, make_state(step))


def restore(folder: Path) -> tuple[int, State, list[int]]:
    """Step and state of the newest good checkpoint, and the steps set aside."""
    with Checkpoints(folder) as checkpoints:
        step, state, _ = checkpoints.restore(make_state(0))
        for set_aside, reason in checkpoints.set_aside:
            assert (folder / f"corrupt-{set_aside}").is_dir()
            assert not (folder / str(set_aside)).exists()
            assert reason
        return step, state, [set_aside for set_aside, _ in checkpoints.set_aside]


@pytest.fixture(scope="module")
def saved(tmp_path_factory) -> Path:
    """A folder with good checkpoints of steps 1 and 2."""
    folder = tmp_path_factory.mktemp("checkpoints") / "part-0"
    save(folder, 1, 2)
    return folder


@pytest.fixture
def folder(saved, tmp_path) -> Path:
    return Path(shutil.copytree(saved, tmp_path / "part-0"))


def test_a_state_comes_back_bit_for_bit(folder):
    step, state, set_aside = restore(folder)
    assert (step, set_aside) == (2, [])
    assert bits(state) == bits(make_state(2))
    assert bits(state) != bits(make_state(1))


def test_a_relative_folder_will_do(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save(Path("runs/part-0"), 3)
    assert restore(Path("runs/part-0"))[0] == 3
    assert (tmp_path / "runs/part-0/3").is_dir()


def test_the_last_two_stay(tmp_path):
    save(tmp_path, 1, 2, 3, 4)
    assert KEEP == 2
    assert {path.name for path in tmp_path.iterdir()} == {"3", "4"}


@pytest.mark.parametrize("step", [1, 2])
def test_a_step_is_never_saved_over(folder, step):
    with Checkpoints(folder) as checkpoints, pytest.raises(ValueError, match=f"checkpoint {step}"):
        checkpoints.save(step, make_state(9))
    assert bits(restore(folder)[1]) == bits(make_state(2))


def test_nothing_saved_gives_none(tmp_path):
    with Checkpoints(tmp_path / "new") as checkpoints:
        assert checkpoints.restore(make_state(0)) is None
        assert checkpoints.set_aside == []


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


# Orbax, stopped by the damage halfway, drops coroutines that it has made but not awaited.
@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("damage", [flip, truncate, Path.unlink])
def test_damage_to_any_file_gives_the_same_state_or_the_one_before(saved, tmp_path, damage):
    files = [path.relative_to(saved) for path in saved.glob("2/**/*") if path.is_file()]
    assert len(files) > 5
    walked_back = 0
    for number, file in enumerate(files):
        folder = shutil.copytree(saved, tmp_path / str(number))
        damage(folder / file)
        step, state, set_aside = restore(folder)
        assert (step, set_aside) in ((2, []), (1, [2])), file
        assert bits(state) == bits(make_state(step)), file
        walked_back += step == 1
    assert walked_back > 0  # some files do matter


def swap_arrays(folder: Path) -> None:
    """Gives step 2 the arrays of step 1: sound for orbax, but not what was saved."""
    shutil.rmtree(folder / "2" / "arrays")
    shutil.copytree(folder / "1" / "arrays", folder / "2" / "arrays")


def test_arrays_that_are_not_those_saved_are_found_out(folder):
    swap_arrays(folder)
    with Checkpoints(folder) as checkpoints:
        step, state, _ = checkpoints.restore(make_state(0))
        ((set_aside, reason),) = checkpoints.set_aside
    assert (step, set_aside) == (1, 2)
    assert "does not match its sha256" in reason
    assert bits(state) == bits(make_state(1))


# Orbax itself warns of an empty step when it opens the folder, by absl's log, not by a warning.
def test_an_empty_step_is_walked_back(folder):
    (folder / "3").mkdir()
    step, state, set_aside = restore(folder)
    assert (step, set_aside) == (2, [3])
    assert bits(state) == bits(make_state(2))


def test_a_step_that_was_set_aside_can_be_saved_again(folder):
    shutil.rmtree(folder / "2" / "about")
    with Checkpoints(folder) as checkpoints:
        step, _, _ = checkpoints.restore(make_state(0))
        assert step == 1
        checkpoints.save(2, make_state(5))
    step, state, set_aside = restore(folder)
    assert (step, set_aside) == (2, [])
    assert bits(state) == bits(make_state(5))


def test_all_damaged_is_an_input_error_that_names_the_folder(folder):
    for step in (1, 2):
        shutil.rmtree(folder / str(step) / "arrays")
    with Checkpoints(folder) as checkpoints, pytest.raises(InputError, match="part-0: every check"):
        checkpoints.restore(make_state(0))


def test_where_none_can_be_read_none_is_renamed_and_the_next_time_they_may_be(folder):
    """Too little memory or too many open files look like damage while they last."""
    hidden = [(folder / str(step) / "arrays").rename(folder / f"hidden-{step}") for step in (1, 2)]
    with Checkpoints(folder) as checkpoints, pytest.raises(InputError, match="every checkpoint"):
        checkpoints.restore(make_state(0))
    for path, step in zip(hidden, (1, 2), strict=True):
        path.rename(folder / str(step) / "arrays")
    with Checkpoints(folder) as checkpoints:
        assert checkpoints.restore(make_state(0)).step == 2
        assert checkpoints.set_aside == []


def test_a_lack_of_memory_is_no_damage(folder, monkeypatch):
    def no_memory(*_):
        raise MemoryError

    with Checkpoints(folder) as checkpoints:
        monkeypatch.setattr(checkpoints, "_restore_verified", no_memory)
        with pytest.raises(MemoryError):
            checkpoints.restore(make_state(0))
    assert not list(folder.glob("corrupt-*"))


def test_arrays_by_name_are_verified_too_and_go_back_to_the_step_before(folder, tmp_path):
    with Checkpoints(folder) as checkpoints:
        assert bits(unflatten(make_state(0), checkpoints.restore_arrays())) == bits(make_state(2))
    swap_arrays(folder)
    with Checkpoints(folder, read_only=True) as checkpoints:
        assert bits(unflatten(make_state(0), checkpoints.restore_arrays())) == bits(make_state(1))
        ((step, reason),) = checkpoints.set_aside
    assert (step, "does not match" in reason) == (2, True)
    assert not list(folder.glob("corrupt-*"))
    with Checkpoints(tmp_path / "new") as checkpoints, pytest.raises(ValueError, match="none at"):
        checkpoints.restore_arrays()


def test_the_same_step_may_be_damaged_twice(folder):
    for _ in range(2):
        shutil.rmtree(folder / "2" / "about")
        with Checkpoints(folder) as checkpoints:
            assert checkpoints.restore(make_state(0)).step == 1
            checkpoints.save(2, make_state(5))
    assert {path.name for path in folder.glob("corrupt-*")} == {"corrupt-2", "corrupt-2-2"}


def test_all_damaged_is_refused_the_next_time_too(folder):
    (folder / "2").rename(folder / "corrupt-2")
    shutil.rmtree(folder / "1" / "arrays")
    for _ in range(2):
        with (
            Checkpoints(folder) as checkpoints,
            pytest.raises(InputError, match=r"1: .* corrupt-2"),
        ):
            checkpoints.restore(make_state(0))


def test_a_sound_checkpoint_of_another_structure_is_not_set_aside(folder):
    with Checkpoints(folder) as checkpoints:
        with pytest.raises(ValueError, match="epoch is int32"):
            checkpoints.restore(make_state(0)._replace(epoch=np.zeros(3, np.int32)))
        assert checkpoints.set_aside == []
    assert restore(folder)[0] == 2


def test_padding_is_saved_and_never_comes_back(tmp_path):
    padded = {"x": jnp.arange(12.0).reshape(4, 3), "n": jnp.arange(4)}
    whole = {name: np.asarray(array)[:3] for name, array in padded.items()}
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(1, padded, num_trials=3, notes={"seconds": 0.1})
    with Checkpoints(tmp_path) as checkpoints:
        step, arrays, notes = checkpoints.restore(whole)
    assert (step, notes) == (1, {"seconds": 0.1})
    for name, array in whole.items():
        np.testing.assert_array_equal(arrays[name], array)


def test_a_save_keeps_what_the_devices_held_then(tmp_path):
    """The states are given away to the next call while they are being written."""
    step = jax.jit(lambda x: x + 1, donate_argnums=0)
    x = jnp.zeros((2, 100_000))
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(1, {"x": x})
        for _ in range(3):
            x = step(x)
        checkpoints.save(2, {"x": x})
        x = step(x)
    with Checkpoints(tmp_path) as checkpoints:
        assert (checkpoints.restore_arrays()["x"] == 3).all()


def test_a_checkpoint_of_another_run_is_refused_and_left_alone(tmp_path):
    ours = {"config_sha256": "a", "dataset_sha256": "b"}
    with Checkpoints(tmp_path, ours) as checkpoints:
        checkpoints.save(1, make_state(1))
    with (
        Checkpoints(tmp_path, {**ours, "dataset_sha256": "c"}) as checkpoints,
        pytest.raises(InputError, match=r"of another run \(dataset_sha256 differ\)"),
    ):
        checkpoints.restore(make_state(0))
    with Checkpoints(tmp_path, ours) as checkpoints:
        assert bits(checkpoints.restore(make_state(0)).tree) == bits(make_state(1))
