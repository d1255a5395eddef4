"""Files from elsewhere, damaged: each loads to valid content or ends in one line."""

import random
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.command import checks
from msd_jax.errors import InputError
from tests.mutations import LINE, SUMMARY, UNTRUSTED, equal, mutate
from tests.npz_test import npy, write_zip

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


@pytest.mark.parametrize("name", UNTRUSTED)
def test_damaged_files_load_to_valid_content_or_end_in_one_line(tmp_path, name):
    kind, rng, refused = UNTRUSTED[name], random.Random(0), 0
    sound, path = kind.sound(), tmp_path / "file"
    path.write_bytes(sound)
    expected = kind.load(path)
    for _ in range(120):
        path.write_bytes(mutate(sound, rng))
        try:
            loaded = kind.load(path)
        except InputError as error:
            assert "\n" not in str(error)
            refused += 1
        else:
            assert not kind.must_equal or equal(loaded, expected)
    assert refused > 20 or "labels (text)" in name  # a bad line of those is set aside, not fatal


def test_what_a_run_writes_passes_the_checks():
    assert checks.is_metric_line(LINE)
    assert checks.is_metric_line({**LINE, "learning_rate": 1e30, "valid_accuracy": None} | {
        "diverged": True
    })  # fmt: skip
    assert checks.is_summary(SUMMARY)


@pytest.mark.parametrize(
    "change",
    [
        {"epoch": 0},
        {"epoch": True},
        {"epoch": 1.0},
        {"epoch": 2**63},
        {"seconds": -0.1},
        {"seconds": None},
        {"diverged": 0},
        {"valid_accuracy": None},
        {"train_loss": []},
        {"train_loss": float("inf")},
    ],
)
def test_lines_that_no_run_writes_do_not_pass(change):
    assert not checks.is_metric_line(LINE | change)


@pytest.mark.parametrize("text", ["[" * 100_000, "NaN", '{"a": Infinity}', "1" * 5000, "\x00", ""])
def test_texts_that_are_no_json_are_value_errors(text):
    with pytest.raises(ValueError):
        checks.parse(text)


@settings(max_examples=200, deadline=None)
@given(value=JSON)
def test_the_checks_say_yes_or_no_to_any_json(value):
    for sound, check in ((LINE, checks.is_metric_line), (SUMMARY, checks.is_summary)):
        assert check(value) in (True, False)
        for name in sound:
            assert check(sound | {name: value}) in (True, False)
    for name in SUMMARY["points"][0]:
        point = SUMMARY["points"][0] | {name: value}
        assert checks.is_summary(SUMMARY | {"points": [point]}) in (True, False)
    assert checks.is_decisions(value) in (True, False)


def test_190_kilobytes_that_declare_200_gigabytes_take_no_time_and_no_memory(tmp_path):
    """A deflated zip of zeros: header and directory agree on 200 GB, the file is 190 kB."""
    header = npy("<f4", (50 * 10**9,))
    members = {key: header + bytes(65_000_000) for key in ("inputs", "targets", "label_map")}
    path = write_zip(tmp_path / "a.npz", claimed=len(header) + 200 * 10**9, **members)
    assert 150_000 < path.stat().st_size < 1_000_000
    code = """
import sys, time
from pathlib import Path
from msd_jax.errors import InputError
from msd_jax.npz import read_npz
start = time.process_time()
try:
    read_npz(Path(sys.argv[1]), ("inputs", "targets", "label_map"))
except InputError as error:
    assert "\\n" not in str(error)
    # Of this program alone; ru_maxrss knows what the parent took before it became this one.
    status = Path("/proc/self/status").read_text().split()
    print(time.process_time() - start, status[status.index("VmHWM:") + 1])
"""
    child = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, timeout=60
    )
    assert child.returncode == 0, child.stderr
    seconds, kilobytes = map(float, child.stdout.split())
    assert seconds < 1
    assert kilobytes < 200_000
