"""What a run says of the time that is left."""

import pytest

from experiments.command.console import clock, seconds_left


def test_a_quarter_done_in_10_seconds_leaves_30():
    assert seconds_left(passed=10, share=0.25, left=0.75, expected=0) == pytest.approx(30)
    assert seconds_left(passed=0, share=0, left=1, expected=0) == 0  # nothing is known yet


def test_what_is_expected_holds_until_a_tenth_is_done():
    assert seconds_left(passed=0, share=0, left=1, expected=600) == pytest.approx(600)
    # as it should be: half done in half of the time
    assert seconds_left(passed=300, share=0.5, left=0.5, expected=600) == pytest.approx(300)


def test_a_first_run_that_was_guessed_badly_does_not_stand_for_all():
    """It takes 30 times what was guessed, and comes first in a study of 92 minutes."""
    pace_alone = seconds_left(passed=60, share=2 / 5500, left=1, expected=0)
    weighed = seconds_left(passed=60, share=2 / 5500, left=1, expected=5500)
    assert pace_alone > 160_000
    assert 5500 < weighed < 6200


def test_at_the_end_nothing_is_left():
    assert seconds_left(passed=100, share=1, left=0, expected=80) == 0
    assert seconds_left(passed=100, share=1, left=-1e-16, expected=80) == 0


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0, "0 s"), (99.4, "99 s"), (100, "2 min"), (5999, "100 min"), (27308, "7.6 h")],
)
def test_seconds_are_said_in_the_unit_that_reads_best(seconds, said):
    assert clock(seconds) == said
