"""npz files from elsewhere: read exactly as they were saved, or refused in one way."""

import io
import pickle
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.lib import format as npy_format

from msd_jax.errors import InputError
from msd_jax.npz import Blocks, machine_memory, read_npz, write_npz

SAVERS = pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
# Byte edits: what is done, where as a fraction of the file, and with which value or length.
EDITS = st.lists(
    st.tuples(st.sampled_from(["flip", "set", "delete", "truncate"]), st.floats(0, 1), st.binary()),
    min_size=1,
    max_size=3,
)


def edit(data: bytes, edits: list[tuple[str, float, bytes]]) -> bytes:
    changed = bytearray(data)
    for kind, fraction, value in edits:
        at = min(int(fraction * len(changed)), len(changed) - 1)
        if at < 0:
            break
        if kind == "flip":
            changed[at] ^= 1 << (len(value) % 8)
        elif kind == "set":
            changed[at : at + len(value)] = value
        elif kind == "delete":
            del changed[at : at + 1 + len(value)]
        else:
            del changed[at:]
    return bytes(changed)


def npy(descr: str, shape: tuple[int, ...], data: bytes = b"") -> bytes:
    """A .npy file whose header says whatever we like."""
    file = io.BytesIO()
    header = {"descr": descr, "fortran_order": False, "shape": shape}
    npy_format.write_array_header_1_0(file, header)
    return file.getvalue() + data


def write_zip(path: Path, claimed: int | None = None, **members: bytes) -> Path:
    """A zip of the members; `claimed` is the size that its directory tells of each."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(f"{name}.npy", data)
        if claimed is not None:  # the directory is written on closing
            for info in archive.infolist():
                info.file_size = claimed
    return path


def test_reads_what_numpy_saved_whatever_the_order_of_its_bytes(tmp_path):
    arrays = {
        "fortran": np.asfortranarray(np.arange(24, dtype=np.float32).reshape(2, 3, 4)),
        "big_endian": np.arange(5, dtype=">i8"),
        "strided": np.arange(20, dtype=np.float16)[::3],
        "text": np.array(["Rap", "RnB"]),
        "empty": np.zeros((0, 3)),
        "scalar": np.array(7),
    }
    assert not arrays["fortran"].flags.c_contiguous
    np.savez(tmp_path / "a.npz", **arrays)
    read = read_npz(tmp_path / "a.npz", tuple(arrays))
    assert read.keys() == arrays.keys()
    for name, array in arrays.items():
        assert read[name].dtype == array.dtype
        np.testing.assert_array_equal(read[name], array, strict=True)


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
def test_reads_every_npy_version(tmp_path, version):
    file = io.BytesIO()
    npy_format.write_array(file, np.arange(6.0), version=version)
    read = read_npz(write_zip(tmp_path / "a.npz", x=file.getvalue()), ("x",))["x"]
    np.testing.assert_array_equal(read, np.arange(6.0), strict=True)


@pytest.mark.parametrize("version", [(0, 0), (1, 1), (4, 0), (9, 9)])
def test_refuses_unknown_npy_versions(tmp_path, version):
    data = npy("<f4", (2,), bytes(8))
    changed = data[:6] + bytes(version) + data[8:]
    with pytest.raises(InputError, match=r"a\.npz"):
        read_npz(write_zip(tmp_path / "a.npz", x=changed), ("x",))


@pytest.mark.parametrize("shape", [(10**12,), (200 * 2**40 // 4,), (3,), (1,), (0,), (2, 2)])
def test_refuses_a_header_that_lies_about_its_size_and_is_quick_about_it(tmp_path, shape):
    # The member holds two float32; 200 TB is declared by the second shape.
    path = write_zip(tmp_path / "a.npz", x=npy("<f4", shape, bytes(8)))
    start = time.process_time()
    with pytest.raises(InputError, match=r"a\.npz: x declares .* and holds 8"):
        read_npz(path, ("x",))
    assert time.process_time() - start < 1


def test_refuses_more_than_the_memory_though_zip_and_header_agree(tmp_path):
    header = npy("<f4", (50 * 2**40,))  # 200 TB, in a file of a few hundred bytes
    path = write_zip(tmp_path / "a.npz", claimed=len(header) + 200 * 2**40, x=header + bytes(100))
    start = time.process_time()
    with pytest.raises(InputError, match=r"a\.npz: declares 219,902,325,555,200 bytes, more than"):
        read_npz(path, ("x",))
    assert time.process_time() - start < 1


def test_refuses_arrays_that_are_too_much_for_the_memory_only_together(tmp_path):
    size = int(0.6 * machine_memory())
    header = npy("|u1", (size,))
    path = write_zip(tmp_path / "a.npz", claimed=len(header) + size, x=header, y=header)
    with pytest.raises(InputError, match="more than this machine's memory"):
        read_npz(path, ("x", "y"))


class Touch:
    """Unpickling it makes a file: what an attacker's pickle would do, and worse."""

    def __init__(self, path: Path) -> None:
        """`path` is of the file that it makes."""
        self.path = path

    def __reduce__(self):
        """Says how to unpickle it."""
        return Path.touch, (self.path,)


def test_pickled_objects_are_refused_and_never_executed(tmp_path):
    trace = tmp_path / "trace"
    np.savez(tmp_path / "a.npz", x=np.array([Touch(trace)], dtype=object))
    (tmp_path / "bare.npz").write_bytes(pickle.dumps(Touch(trace)))
    with pytest.raises(InputError, match=r"a\.npz: x is a pickled object"):
        read_npz(tmp_path / "a.npz", ("x",))
    with pytest.raises(InputError, match=r"bare\.npz"):
        read_npz(tmp_path / "bare.npz", ("x",))
    assert not trace.exists()
    # The pickle is a live one: numpy, told to trust the file, does execute it.
    with np.load(tmp_path / "a.npz", allow_pickle=True) as archive:
        _ = archive["x"]
    assert trace.exists()


def test_a_structured_type_with_an_object_in_it_is_a_pickle_too(tmp_path):
    array = np.zeros(2, dtype=[("a", "f4"), ("b", "O")])
    np.savez(tmp_path / "a.npz", x=array)
    with pytest.raises(InputError, match="x is a pickled object"):
        read_npz(tmp_path / "a.npz", ("x",))


def test_arrays_that_nobody_asked_for_are_not_touched(tmp_path):
    trace = tmp_path / "trace"
    objects = np.array([Touch(trace)], dtype=object)
    np.savez(tmp_path / "a.npz", x=np.arange(3), objects=objects)
    np.testing.assert_array_equal(read_npz(tmp_path / "a.npz", ("x",))["x"], np.arange(3))
    assert not trace.exists()


@SAVERS
def test_a_flipped_bit_anywhere_in_the_data_is_found(tmp_path, save):
    # Incompressible data, and more than zipfile reads at once, so that the header is parsed first.
    path = tmp_path / "a.npz"
    array = np.random.default_rng(0).integers(0, 256, 20_000, dtype=np.uint8)
    save(path, x=array)
    good = path.read_bytes()
    for at in np.linspace(1000, 20_000, 20).astype(int):  # the directory lies beyond 20,000
        path.write_bytes(good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :])
        with pytest.raises(InputError, match=r"a\.npz: not a readable npz file"):
            read_npz(path, ("x",))


@SAVERS
@pytest.mark.parametrize("kept", [0.0, 0.1, 0.5, 0.9, 0.999])
def test_a_truncated_file_is_refused(tmp_path, save, kept):
    path = tmp_path / "a.npz"
    save(path, x=np.random.default_rng(0).normal(size=2000))
    data = path.read_bytes()
    path.write_bytes(data[: int(kept * len(data))])
    with pytest.raises(InputError, match=r"a\.npz: not a readable npz file"):
        read_npz(path, ("x",))


def test_files_of_another_kind_are_refused(tmp_path):
    (tmp_path / "text.npz").write_text("inputs,targets\n1,2\n")
    (tmp_path / "folder.npz").mkdir()
    np.save(tmp_path / "bare.npy", np.arange(3))
    for name in ("text.npz", "folder.npz", "bare.npy", "text.npz/below"):
        with pytest.raises(InputError, match=f"{name}: not a readable npz file"):
            read_npz(tmp_path / name, ("x",))
    with pytest.raises(InputError, match=r"gone\.npz: no such file"):
        read_npz(tmp_path / "gone.npz", ("x",))


# In the zip's directory, marked PK 1 2, flags stand 8 bytes from the mark and the method 10.
@pytest.mark.parametrize(("offset", "value"), [(8, 1), (10, 99)], ids=["encrypted", "method"])
def test_a_zip_that_python_cannot_unpack_is_refused(tmp_path, offset, value):
    path = write_zip(tmp_path / "a.npz", x=npy("<f4", (2,), bytes(8)))
    data = bytearray(path.read_bytes())
    data[data.index(b"PK\1\2") + offset] = value
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"a\.npz: not a readable npz file"):
        read_npz(path, ("x",))


def test_a_missing_key_is_named_with_those_that_are_there(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.arange(3), y=np.arange(3))
    with pytest.raises(InputError, match=r"a\.npz: no inputs and no targets in it, only 'x', 'y'$"):
        read_npz(tmp_path / "a.npz", ("x", "inputs", "targets"))
    write_zip(tmp_path / "empty.npz")
    with pytest.raises(InputError, match="no x in it, only nothing"):
        read_npz(tmp_path / "empty.npz", ("x",))


@pytest.fixture(scope="module")
def scratch(tmp_path_factory):
    return tmp_path_factory.mktemp("npz") / "a.npz"


@SAVERS
@settings(max_examples=150, deadline=None)
@given(edits=EDITS)
def test_a_damaged_file_gives_the_very_arrays_or_an_input_error(scratch, save, edits):
    arrays = {"x": np.linspace(0, 1, 40, dtype=np.float16).reshape(4, 10), "y": np.array([b"a"])}
    save(scratch, **arrays)
    scratch.write_bytes(edit(scratch.read_bytes(), edits))
    try:
        read = read_npz(scratch, ("x", "y"))
    except InputError as error:
        assert "\n" not in str(error)
        return
    for name, array in arrays.items():
        np.testing.assert_array_equal(read[name], array, strict=True)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_a_flipped_bit_in_a_header_is_an_input_error(tmp_path, save):
    """The member is too long for its checksum to be checked before numpy reads the header."""
    path = tmp_path / "a.npz"
    save(path, inputs=np.random.default_rng(0).random(5000).astype(np.float32))
    sound = path.read_bytes()
    refused = 0
    for bit in range(8 * 40, 8 * 200, 3):
        damaged = bytearray(sound)
        damaged[bit // 8] ^= 1 << (bit % 8)
        path.write_bytes(damaged)
        try:
            read_npz(path, ("inputs",))
        except InputError:
            refused += 1
    assert refused > 200


@pytest.mark.parametrize("descr", ["|S0", "<U0"])
def test_elements_of_no_size_are_refused_however_many(tmp_path, descr):
    path = write_zip(tmp_path / "a.npz", label_map=npy(descr, (10**12,)))
    with pytest.raises(InputError, match="elements of no size"):
        read_npz(path, ("label_map",))


def test_written_in_blocks_it_is_what_savez_writes(tmp_path):
    whole = np.arange(60, dtype=np.float16).reshape(10, 3, 2)
    others = {"targets": np.arange(10, dtype=np.int8), "label_map": np.array([b"Rap", b"RnB"])}
    np.savez(tmp_path / "savez.npz", inputs=whole, **others)
    blocks = Blocks(whole.shape, whole.dtype, iter([whole[:4], whole[4:4], whole[4:]]))
    write_npz(tmp_path / "blocks.npz", {"inputs": blocks, **others})
    write_npz(tmp_path / "whole.npz", {"inputs": np.asfortranarray(whole), **others})
    savez, blockwise, at_once = (
        (tmp_path / f"{name}.npz").read_bytes() for name in ("savez", "blocks", "whole")
    )
    assert savez == blockwise == at_once


@pytest.mark.parametrize("sizes", [(4, 5), (4, 7), ()])
def test_blocks_that_are_not_what_they_declare_are_an_error(tmp_path, sizes):
    rows = [np.zeros((size, 3), np.float16) for size in sizes]
    with pytest.raises(ValueError, match="numbers in blocks"):
        write_npz(tmp_path / "a.npz", {"x": Blocks((10, 3), np.dtype(np.float16), rows)})
    for block in (np.zeros((10, 3)), np.zeros((10, 2), np.float16)):
        with pytest.raises(ValueError, match="a block is float"):
            write_npz(tmp_path / "a.npz", {"x": Blocks((10, 3), np.dtype(np.float16), [block])})
