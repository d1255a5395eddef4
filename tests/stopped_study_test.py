"""Claims and page of a study that was stopped before its last fold, on made-up results."""

import pytest

from experiments.judging.claims import CLAIMS
from experiments.judging.results import Results
from experiments.judging.verdicts import judge
from experiments.reporting.writing import make_report
from tests.claims_test import find
from tests.made_up import GRID, make_results

STUDY = {"size": "report", "left_out": [], "commands": ["python -m experiments.study --folds=2"]}


def stopped_in_the_second_fold() -> Results:
    """Of two folds only the first has ensembles and multitask networks."""
    results = make_results(folds=("1/2", "2/2"), seeds=4)
    later = lambda point: point.model in ("ensemble", "multitask")  # noqa: E731
    return results._replace(
        trainings={k: x for k, x in results.trainings.items() if k[1] == "1/2" or not later(k[0])}
    )


def test_what_a_stopped_study_lacks_is_called_not_finished():
    judged = judge(CLAIMS, stopped_in_the_second_fold(), GRID)
    assert find(judged, "C1").missing is None
    for name in ("C7", "C8", "C10", "C11", "C13", "C15a", "C17", "C18a", "open"):
        assert find(judged, name).missing.endswith("is not finished"), name
        assert find(judged, name).verdict == "-"


@pytest.mark.filterwarnings("error")
def test_a_rival_of_which_every_seed_lacks_a_fold_is_none():
    """In a study that was stopped: the feed-forward network, the best, has one fold of two."""
    offset = lambda p, r: 30.0 * (p.model == "mlp") + 3.0 * (p.num_snippets == 4 and r == "product")  # noqa: E731
    results = make_results(offset, folds=("1/2", "2/2"))
    kept = {
        key: x for key, x in results.trainings.items() if key[0].model != "mlp" or key[1] == "1/2"
    }
    judged = judge({"C18a": CLAIMS["C18a"]}, results._replace(trainings=kept), GRID)
    assert find(judged, "C18a").interval.mean == pytest.approx(3.0, abs=0.2)


@pytest.mark.filterwarnings("error")
def test_its_page_shows_what_is_whole(tmp_path):
    """The first fold alone has ensembles: they have no curves, no cells and no spread yet."""
    report = make_report(STUDY, [stopped_in_the_second_fold()], ["runs/x"], tmp_path)
    assert "Figure 3b: L2 against AS" in report.html
    assert "Figure 8: learnt weights" not in report.html
    assert "is not finished" in report.html
    assert "diverged" not in report.html
    assert "not finished, and not in this report: runs/x" in report.markdown
