"""What was asked and what came out, as a table, as JSON or as CSV."""

import csv
import io
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Column, Table

from experiments.asking.questions import Answers, Song
from experiments.asking.song_files import Refused
from experiments.command.console import error_console, make_console
from experiments.running.workdir import write_text
from msd_jax.dataset import COURSE_STEMS
from msd_jax.errors import InputError
from msd_jax.trained import Origin, Trained

_LIKELIEST = 3
_MOST_ROWS = 40


def printable(text: str) -> str:
    """The text on one line, control characters as Python writes them: names are untrusted."""
    return "".join(x if x.isprintable() else repr(x)[1:-1] for x in text)


def describe(trained: Trained) -> list[str]:
    """What speaks: the model, its grid point, the seeds and how they agree."""
    config, origin, trials = trained.config, trained.origin, trained.trials
    what = config.model
    if config.model == "ensemble":
        what += f" of {config.num_snippets} snippets, {config.pooling} pooling"
        what += {"lstm": "", "mlp": ", of MLPs"}[config.member]
        if config.decomposition != "none":
            what += f", {config.decomposition} classifiers"
    what = ", ".join([what, *config.layers.in_words])
    point = ", ".join(f"{name} {value:g}" for name, value in origin.point.items())
    lines = [f"{what}, trained on {origin.dataset}: {point}"]
    if origin.num_points > 1:
        lines.append(
            f"of {origin.num_points} grid points this one has the best mean peak validation "
            "accuracy over its seeds"
        )
    if not origin.finished:
        lines.append("the run is not finished: its best epochs so far speak")
    seeds = ", ".join(str(trial.seed) for trial in trials)
    if len(trials) > 1:
        lines.append(f"{len(trials)} seeds vote, by the mean of their probabilities: {seeds}")
    else:
        lines.append(f"seed {seeds} alone speaks")
    return lines


def warn(origin: Origin, dataset: str, split: str) -> None:
    """Says why an accuracy on songs that had a part in the training is too good, if they had."""
    if COURSE_STEMS.get(dataset, dataset) != COURSE_STEMS.get(origin.dataset, origin.dataset):
        return
    part = {"train": "trained these models", "valid": "chose the epoch of each of these models"}
    fold = origin.flags.get("fold")
    if fold:
        words = f"most labelled songs had a part in the training (--fold={fold} divided them anew)"
    elif split in part:
        words = f"the {split} songs {part[split]}"
    else:
        return
    error_console().print(f"{words}: an accuracy on them flatters")


def accuracy_line(answers: Answers, genre_names: tuple[str, ...]) -> str | None:
    """Accuracy on labelled songs with its interval over songs; None where none has a label."""
    labelled = [index for index, song in enumerate(answers.songs) if song.label is not None]
    if not labelled:
        return None
    said = [genre_names[k] for k in answers.probs[labelled].argmax(axis=1)]
    right = sum(a == answers.songs[i].label for a, i in zip(said, labelled, strict=True))
    from scipy.stats import binomtest  # a second to import: not for songs without labels

    low, high = binomtest(right, len(labelled)).proportion_ci(method="wilson")
    return (
        f"accuracy {100 * right / len(labelled):.2f}% ({right} of {len(labelled)} songs), 95% "
        f"interval over songs [{100 * low:.1f}, {100 * high:.1f}]; chance "
        f"{100 / len(genre_names):.1f}%"
    )


def _likeliest(probs: np.ndarray, genre_names: tuple[str, ...], count: int) -> list[str]:
    order = np.argsort(-probs, kind="stable")[:count]
    return [f"{genre_names[k]} {probs[k]:.2f}" for k in order]


def table(answers: Answers, genre_names: tuple[str, ...]) -> Table:
    """One row a song: its likeliest genres with probabilities, and what each snippet said."""
    names = tuple(printable(name) for name in genre_names)
    has_labels = any(song.label is not None for song in answers.songs)
    has_titles = any(song.title for song in answers.songs)
    count = min(_LIKELIEST, len(names))
    columns = [*["title"][: int(has_titles)], *["label"][: int(has_labels)]]
    columns += ["likeliest", "second", "third"][:count]
    if answers.snippet_probs is not None:
        columns.append("each snippet alone")
    grid = Table(Column("song", overflow="fold"), *columns, caption_justify="left")
    for index, song in enumerate(answers.songs[:_MOST_ROWS]):
        row = [str(song.source._replace(file=Path(song.source.file).name))]  # without its folder
        row += [*[song.title][: int(has_titles)], *[song.label or ""][: int(has_labels)]]
        row += _likeliest(answers.probs[index], names, count)
        if answers.snippet_probs is not None:
            said = [_likeliest(probs, names, 1)[0] for probs in answers.snippet_probs[index]]
            row.append(", ".join(said))
        grid.add_row(*[printable(cell) for cell in row])
    if len(answers.songs) > _MOST_ROWS:
        grid.caption = (
            f"{len(answers.songs) - _MOST_ROWS:,} more songs: --format=csv --out=FILE has them all"
        )
    return grid


def _number(x: np.float32) -> float:
    """The shortest number that is this float32."""
    return float(str(x))


def _probs(probs: np.ndarray, genre_names: tuple[str, ...]) -> dict[str, float]:
    return {name: _number(p) for name, p in zip(genre_names, probs, strict=True)}


def _song_line(song: Song, answers: Answers, index: int, names: tuple[str, ...]) -> dict[str, Any]:
    line: dict[str, Any] = {"song": str(song.source), "title": song.title, "label": song.label}
    line["genre"] = names[int(answers.probs[index].argmax())]
    line["probabilities"] = _probs(answers.probs[index], names)
    if answers.snippet_probs is not None:
        line["snippets"] = [_probs(probs, names) for probs in answers.snippet_probs[index]]
    return line


def as_json(answers: Answers, refused: list[Refused], trained: Trained) -> str:
    """Everything: the models, every song's probabilities and what was refused."""
    names = trained.genre_names
    document = {
        "model": {
            "words": describe(trained),
            "trials": [trial._asdict() for trial in trained.trials],
            **trained.origin._asdict(),
        },
        "genre_names": names,
        "songs": [_song_line(song, answers, i, names) for i, song in enumerate(answers.songs)],
        "refused": [{"song": str(song.source), "reason": song.reason} for song in refused],
    }
    return json.dumps(document, indent=2, allow_nan=False) + "\n"


def as_csv(answers: Answers, trained: Trained) -> str:
    """One row a song: name, title, label, likeliest genre, every probability, snippets' genres."""
    names = trained.genre_names
    num_snippets = 0 if answers.snippet_probs is None else answers.snippet_probs.shape[1]
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    snippets = [f"snippet_{m + 1}" for m in range(num_snippets)]
    writer.writerow(["song", "title", "label", "genre", *[f"p_{n}" for n in names], *snippets])
    for index, song in enumerate(answers.songs):
        probs = answers.probs[index]
        row = [
            printable(str(song.source)),
            printable(song.title),
            song.label or "",
            names[int(probs.argmax())],
        ]
        row += [str(_number(p)) for p in probs]
        if answers.snippet_probs is not None:
            row += [names[int(k)] for k in answers.snippet_probs[index].argmax(axis=1)]
        writer.writerow(row)
    return file.getvalue()


def give(
    answers: Answers, refused: list[Refused], trained: Trained, form: str, out: str | None
) -> None:
    """Prints or writes the answers in one of the forms; words and refusals go beside them.

    Raises:
      InputError: if the file cannot be written.
    """
    words, accuracy = error_console(), accuracy_line(answers, trained.genre_names)
    if form == "table":
        words = make_console()
    for line in describe(trained):
        words.print(printable(line))
    if form == "table" and answers.songs:
        words.print(table(answers, trained.genre_names))
    if accuracy:
        words.print(accuracy)
    if form != "table":
        text = as_csv(answers, trained) if form == "csv" else as_json(answers, refused, trained)
        _write(text, out)
    for song in refused:
        error_console().print(printable(f"refused: {song.source}: {song.reason}"))


def _write(text: str, out: str | None) -> None:
    if out is None:
        sys.stdout.write(text)
        return
    try:
        write_text(Path(out), text)
    except OSError as error:
        raise InputError(f"--out={out}: cannot be written ({error.strerror or error})") from error
