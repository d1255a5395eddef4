"""study.json: remembered, held by one study at a time, and untrusted."""

import json

import pytest

from experiments.studying.options import REPORTS
from experiments.studying.study_folder import Study, StudyFolder
from experiments.studying.study_plan import plan_runs
from msd_jax.errors import InputError
from tests.flags_test import settings
from tests.study_plan_test import REPORT, dataset

ASKED = Study(("d",), "report", "text", 0, ("beyond",), "a command")


def open_folder(path, dry: bool = False) -> StudyFolder:
    return StudyFolder(path, ASKED, settings(), dry)


def test_it_remembers_options_and_reads_studies_without(tmp_path):
    runs, left_out = plan_runs([], [REPORT], ["beyond", "6"], dataset(), folds=0)
    with open_folder(tmp_path) as folder:
        folder.keep(runs, left_out)
    with open_folder(tmp_path) as folder:
        assert folder.runs == runs
    content = json.loads((tmp_path / "study.json").read_text())
    for line in content["runs"]:
        del line["box"]["options"]
    (tmp_path / "study.json").write_text(json.dumps(content))
    with open_folder(tmp_path) as folder:
        assert {run.box.options for run in folder.runs} == {REPORTS}


def test_a_second_study_waits_for_the_first_and_loses_nothing_of_it(tmp_path):
    """Side by side the one that ended last dropped the plan of the other."""
    first, _ = plan_runs([], [REPORT], ["6"], dataset(), folds=0)
    with open_folder(tmp_path) as folder:
        with pytest.raises(InputError, match=r"in use by process .*: wait for it"):
            open_folder(tmp_path)
        folder.keep(first, [])
    with open_folder(tmp_path) as folder:
        second, _ = plan_runs(folder.runs, [REPORT], ["10"], dataset(), folds=0)
        folder.keep(second, [])
    with open_folder(tmp_path) as folder:
        assert {run.folder for run in folder.runs} == {run.folder for run in first + second}


def test_a_dry_look_writes_nothing(tmp_path):
    with open_folder(tmp_path / "new", dry=True) as folder:
        assert folder.runs == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "content",
    ["[]", "{}", "{", '{"size": "report", "commands": [], "left_out": [], "runs": [{"box": 3}]}'],
)
def test_a_damaged_one_is_told_and_lets_go_of_the_folder(tmp_path, content):
    (tmp_path / "study.json").write_text(content)
    for _ in range(2):  # the second time too: it is not in use
        with pytest.raises(InputError, match=r"damaged|holds another study"):
            open_folder(tmp_path)
