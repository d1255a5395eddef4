"""The flags of predict: what does not go together is refused before anything heavy is loaded."""

import subprocess
import sys
from pathlib import Path

import pytest

from experiments import export, predict
from msd_jax.errors import InputError


def parse(*arguments: str) -> list[str]:
    """Parses flags of predict, which are its own; what is no flag is given back."""
    for name in predict.FLAGS:
        predict.FLAGS[name].unparse()
    return predict.FLAGS(["predict", *arguments])[1:]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["a.h5"], "give either --workdir=RUN_FOLDER or --model=FILE"),
        (["a.h5", "--workdir=r", "--model=m"], "give either --workdir=RUN_FOLDER or"),
        (["--workdir=r"], "give either song files or --dataset=NAME"),
        (["a.h5", "--workdir=r", "--dataset=d"], "give either song files or"),
        (["a.h5", "--workdir=r", "--split=test"], "--split has no effect without --dataset"),
        (["--workdir=r", "--dataset=d", "--normaliser=n"], "--normaliser has no effect on"),
        (["a.h5", "--workdir=r", "--out=o"], "--out has no effect on --format=table"),
        (["--workdir=r", "--dataset=synthetic", "--data_dir=d"], "--data_dir has no effect on the"),
        (["a.h5", "--model=m", "--format=csv", "--out=."], "--out=.: the name of a file is needed"),
        (["a.h5", "--model=m", "--format=csv", "--out=no/o"], "--out=no/o: there is no folder no"),
        (["a.h5", "--model=m", "--beta=3"], "--beta=3 has no effect on --model"),
        (["a.h5", "--workdir=/nope"], "/nope: not the folder of a run"),
        (["a.h5", "--model=/nope"], "/nope: no such file"),
    ],
)
def test_flags_that_do_not_go_together_are_refused(arguments, message):
    with pytest.raises(InputError) as caught:
        predict.main(parse(*arguments))
    assert str(caught.value).startswith(message)


def test_nothing_heavy_is_imported_before_the_flags_are_checked():
    loaded = "import sys, experiments.predict, experiments.export; print(*sys.modules)"
    root = Path(__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-c", loaded], cwd=root, capture_output=True, text=True, check=True
    )
    names = done.stdout.split()
    assert not {"jax", "numpy", "orbax", "h5py", "scipy", "safetensors"} & set(names)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--workdir=r"], "give --workdir=RUN_FOLDER and --out=FILE"),
        (["--workdir=r", "--out="], "--out=: the name of a file is needed"),
        (["--workdir=r", "--out=m", "--program=./m"], "--out and --program are the same file"),
        (["--workdir=r", "--out=m", "--program=no/p"], "--program=no/p: there is no folder no"),
    ],
)
def test_export_writes_into_two_files_that_can_be(arguments, message):
    for name in export.FLAGS:
        export.FLAGS[name].unparse()
    export.FLAGS(["export", *arguments])
    with pytest.raises(InputError) as caught:
        export.main()
    assert str(caught.value).startswith(message)
