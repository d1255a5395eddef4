"""Label files of every kind, and what is no label."""

import pytest

from msd_jax.errors import InputError
from msd_jax.labels import MAX_LINE_BYTES, BadLine, genre_key, parse_label, read_labels
from tests.real_data import REAL_DATA, needs_real_data

A, B, C, D = (
    "TRAAAAK128F9318786",
    "TRAAAAW128F429D538",
    "TRAAABD128F429CF47",
    "TRAAAEF128F4273421",
)


def labels_of(tmp_path, *texts: str | bytes):
    paths = []
    for index, text in enumerate(texts):
        paths.append(tmp_path / f"labels-{index}.cls")
        paths[-1].write_bytes(text.encode() if isinstance(text, str) else text)
    return read_labels(paths)


def test_comments_second_genres_windows_lines_and_a_last_line_without_end(tmp_path):
    text = f"# tagtraum\n#{A}\tJazz\n\n{A}\tPop_Rock\n{B}\tJazz\tVocal\r\n{C}\tNew Age \t\n{D}\tRap"
    bad = BadLine("labels-0.cls:6", "'' is no genre")  # a second genre that is empty
    assert labels_of(tmp_path, text) == ({A: "Pop_Rock", B: "Jazz", D: "Rap"}, {}, [bad])
    assert labels_of(tmp_path, b"\xef\xbb\xbf" + f"{A}\tRap\n".encode()).genres == {A: "Rap"}


def test_the_same_label_twice_is_one_and_two_different_ones_are_a_conflict(tmp_path):
    text = f"{A}\tNew Age\n{A}\tNew_Age\n{B}\tRap\n{B}\tJazz\n{C}\tnew-age\n{B}\tRap\n{B}\tPop\n"
    labels = labels_of(tmp_path, text)
    assert labels.genres == {A: "New Age", C: "New Age"}  # the spelling that came first
    assert labels.conflicts == {B: ("Rap", "Jazz", "Pop")}


def test_files_are_one_list(tmp_path):
    labels = labels_of(tmp_path, f"{A}\tRap\n{B}\tRap\n", f"{B}\tJazz\n{C}\tJazz\n")
    assert (labels.genres, labels.conflicts) == ({A: "Rap", C: "Jazz"}, {B: ("Rap", "Jazz")})


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (A.encode(), "1 fields between tabs, not 2 or 3"),
        (f"{A}\ta\tb\tc".encode(), "4 fields between tabs"),
        (f"{A} Rap".encode(), f"'{A} Rap' is no track_id"),
        (b"track_id\tgenre", "'track_id' is no track_id"),
        (f"{A[:-1]}\tRap".encode(), "is no track_id"),
        (f"{A.lower()}\tRap".encode(), "is no track_id"),
        (f"{A}\t".encode(), "'' is no genre"),
        (f"{A}\t--".encode(), "'--' is no genre"),
        (f"{A}\tRap\x00".encode(), r"'Rap\x00' is no genre"),
        (f"{A}\tRap\x1b[31m".encode(), "is no genre"),
        (f"{A}\tRap".encode() + b"\xff", "not UTF-8"),
        (f"{A}\t{'x' * MAX_LINE_BYTES}".encode(), "longer than 1000 bytes"),
    ],
)
def test_a_bad_line_is_named_with_its_number_and_the_others_count(tmp_path, line, message):
    with pytest.raises(ValueError, match=r"^") as caught:
        parse_label(line)
    assert message in str(caught.value)
    labels = labels_of(tmp_path, f"{B}\tRap\n".encode() + line + f"\n{C}\tJazz\n".encode())
    assert labels.genres == {B: "Rap", C: "Jazz"}
    assert labels.bad_lines == [BadLine("labels-0.cls:2", str(caught.value))]


@pytest.mark.parametrize("text", ["", "# nothing\n", "a,b\nc,d\n", "x" * 10**6])
def test_a_file_without_any_label_is_refused_in_one_line(tmp_path, text):
    with pytest.raises(InputError, match=r"labels-0\.cls: no line gives a label") as caught:
        labels_of(tmp_path, text)
    assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match=r"gone\.cls: cannot be read \(No such file"):
        read_labels([tmp_path / "gone.cls"])
    with pytest.raises(InputError, match=r"cannot be read \(Is a directory"):
        read_labels([tmp_path])


def test_spellings():
    assert genre_key("Grunge Emo") == genre_key("grunge_emo") == genre_key("Grunge/Emo")
    assert genre_key("Pop") != genre_key("Pop_Rock")


@needs_real_data
def test_the_real_label_files_are_read_whole():
    """Counts of `cut -f2 | sort | uniq -c`."""
    tagtraum = read_labels([REAL_DATA / "labels" / "msd_tagtraum_cd1.cls"])
    assert len(tagtraum.genres) == 133_676
    assert (tagtraum.conflicts, tagtraum.bad_lines) == ({}, [])
    assert list(tagtraum.genres.values()).count("Pop_Rock") == 79_937
    magd = read_labels([REAL_DATA / "labels" / "subset10k_MAGD_intersection.tsv"])
    assert len(magd.genres) == 3_699
    assert list(magd.genres.values()).count("New_Age") == 95
