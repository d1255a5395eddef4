"""Answers as csv, as json and as a table."""

import csv
import io
import json

import numpy as np
import pytest

from experiments.asking import answers
from experiments.asking.questions import Answers, Song
from experiments.asking.song_files import Source
from msd_jax.trained import Origin
from tests.untrusted_files import make_trained


def make_answers() -> Answers:
    """Two songs whose names try to be more than names."""
    sources = [Source("dir/a.npz", "[red]a[/red],b\n=c"), Source("\x1b[2Jsong")]
    songs = [Song(source, 'title "t"', "genre 1", np.zeros((4, 2))) for source in sources]
    probs = np.array([[0.2, 0.7, 0.1], [0.3, 0.3, 0.4]], np.float32)
    return Answers(songs, probs, np.stack([probs, probs[::-1]], axis=1))


def test_csv_and_json_hold_every_probability_and_names_stay_names(capsys):
    said, trained = make_answers(), make_trained()
    rows = list(csv.DictReader(io.StringIO(answers.as_csv(said, trained))))
    assert [row["song"] for row in rows] == ["dir/a.npz[[red]a[/red],b\\n=c]", "\\x1b[2Jsong"]
    assert [row["genre"] for row in rows] == ["genre 1", "genre 2"]
    assert [float(row["p_genre 0"]) for row in rows] == [0.2, 0.3]
    assert [row["snippet_2"] for row in rows] == ["genre 2", "genre 1"]
    lines = json.loads(answers.as_json(said, [], trained))["songs"]
    assert lines[0]["probabilities"] == {"genre 0": 0.2, "genre 1": 0.7, "genre 2": 0.1}
    assert lines[1]["song"] == "\x1b[2Jsong"
    answers.give(said, [], trained, "table", None)
    shown = capsys.readouterr().out
    assert "a.npz[[red]a[/red],b" in shown  # cut there to the width of the column
    assert "\x1b[2J" not in shown
    assert "genre 1 0.70" in shown
    # By hand: 1 of 2 right; Wilson's interval for it is 0.5 +- 0.4056.
    assert "accuracy 50.00% (1 of 2 songs), 95% interval over songs [9.5, 90.5]" in shown


@pytest.mark.parametrize(
    ("fold", "dataset", "split", "words"),
    [
        (None, "msd-10-genre", "train", "the train songs trained these models"),
        (None, "msd10", "valid", "the valid songs chose the epoch"),
        (None, "msd10", "test", ""),
        (None, "msd25", "train", ""),
        # A fold's training songs come from all three files, the test set too.
        ("1/3", "msd10", "test", "most labelled songs had a part in the training (--fold=1/3"),
        ("1/3", "msd10", "train", "most labelled songs had a part in the training (--fold=1/3"),
        ("1/3", "msd25", "test", ""),
    ],
)
def test_songs_that_had_a_part_in_the_training_are_told(fold, dataset, split, words, capsys):
    answers.warn(Origin("msd10", "abc", {}, 1, True, {"fold": fold}, {}), dataset, split)
    said = " ".join(capsys.readouterr().err.split())
    assert words in said
    assert ("flatters" in said) == bool(words)
