"""npz files: read with suspicion (headers first, never a pickle), and written in blocks."""

import contextlib
import lzma
import math
import os
import warnings
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np
from numpy.lib import format as npy_format

from msd_jax.errors import InputError


def machine_memory() -> int:
    """Bytes of physical memory, or of the container's limit where that is lower."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = Path("/sys/fs/cgroup/memory.max")
    try:
        return min(memory, int(limit.read_text()))
    except (OSError, ValueError):  # no such file, or "max"
        return memory


def _read_header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype]:
    read = {
        (1, 0): npy_format.read_array_header_1_0,
        (2, 0): npy_format.read_array_header_2_0,
        (3, 0): npy_format.read_array_header_2_0,
    }
    try:
        # A header written by Python 2 is read with a warning: it is refused like other damage.
        with warnings.catch_warnings(action="error"):
            return read[npy_format.read_magic(file)](file)
    except Exception as error:  # numpy lets through whatever its parser meets in a damaged header
        raise ValueError(f"a damaged npy header, {error}") from error


def _declared_bytes(archive: zipfile.ZipFile, key: str, path: Path) -> int:
    """The size that a member's header declares; refuses pickles and headers that lie."""
    info = archive.getinfo(f"{key}.npy")
    with archive.open(info) as file:
        shape, _, dtype = _read_header(file)
        header_bytes = file.tell()
    if dtype.hasobject:
        raise InputError(
            f"{path}: {key} is a pickled object, which is never opened: save plain arrays"
        )
    if dtype.itemsize == 0:
        raise InputError(
            f"{path}: {key} has elements of no size: the file is damaged, make it anew"
        )
    size = math.prod(shape) * dtype.itemsize
    if header_bytes + size != info.file_size:
        raise InputError(
            f"{path}: {key} declares {size:,} bytes and holds {info.file_size - header_bytes:,}: "
            "the file is damaged, make it anew"
        )
    return size


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[zipfile.ZipFile]:
    """The archive; whatever goes wrong with it, in opening or later, becomes an InputError."""
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except FileNotFoundError:
        raise InputError(f"{path}: no such file: check dataset and data_dir") from None
    except InputError:
        raise
    except (
        OSError,
        ValueError,
        EOFError,
        zipfile.BadZipFile,
        zlib.error,
        lzma.LZMAError,
        NotImplementedError,
        RuntimeError,
        SyntaxError,
        MemoryError,
        OverflowError,
    ) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"{path}: not a readable npz file ({reason}): make it anew") from error


def array_names(path: Path) -> set[str]:
    """The names of the arrays in an npz file.

    Raises:
      InputError: no such file, no npz.
    """
    with _opened(path) as archive:
        return {name.removesuffix(".npy") for name in archive.namelist()}


def read_npz(path: Path, keys: Sequence[str]) -> dict[str, np.ndarray]:
    """Reads the named arrays of an npz file that nobody vouches for.

    Args:
      path: of the file.
      keys: the arrays to read; others in the file are not touched.

    Returns:
      The arrays by name.

    Raises:
      InputError: no such file, no npz, a key missing, a pickled object, headers that declare more
        than this machine's memory or anything else than the file holds, damaged data.
    """
    with _opened(path) as archive:
        members = set(archive.namelist())
        missing = [key for key in keys if f"{key}.npy" not in members]
        if missing:
            # Names may hold anything: as Python writes them they stay on the line.
            names = sorted(repr(name.removesuffix(".npy")) for name in members)
            found = ", ".join(names)[:200] or "nothing"
            raise InputError(f"{path}: no {' and no '.join(missing)} in it, only {found}")
        declared = sum(_declared_bytes(archive, key, path) for key in keys)
        if declared > machine_memory():
            raise InputError(
                f"{path}: declares {declared:,} bytes, more than this machine's memory of "
                f"{machine_memory():,}: the file is damaged, or needs a larger machine"
            )
        return {key: _read_array(archive, key) for key in keys}


def _read_array(archive: zipfile.ZipFile, key: str) -> np.ndarray:
    with archive.open(f"{key}.npy") as file:
        return npy_format.read_array(file, allow_pickle=False)


class Blocks(NamedTuple):
    """An array too large for the memory: blocks of rows that make up [N, ...]."""

    shape: tuple[int, ...]
    dtype: np.dtype
    rows: Iterable[np.ndarray]


def write_npz(path: Path, arrays: Mapping[str, np.ndarray | Blocks]) -> None:
    """Writes what numpy.savez would, with no array whole in memory; the same bytes every time.

    Raises:
      ValueError: if blocks are not of the shape and type they declare.
    """
    with zipfile.ZipFile(path, "w") as archive:
        for name, array in arrays.items():
            if isinstance(array, np.ndarray):
                array = Blocks(array.shape, array.dtype, [array])
            with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as file:
                _write_blocks(file, array)


def _write_blocks(file: IO[bytes], array: Blocks) -> None:
    header = {"descr": npy_format.dtype_to_descr(array.dtype), "fortran_order": False}
    npy_format.write_array_header_1_0(file, {**header, "shape": array.shape})
    count = 0
    for block in array.rows:
        if block.dtype != array.dtype or block.shape[1:] != array.shape[1:]:
            raise ValueError(f"a block is {block.dtype}{block.shape}, not {array[:2]}")
        file.write(np.ascontiguousarray(block).data)
        count += block.size
    if count != math.prod(array.shape):
        raise ValueError(f"{count} numbers in blocks, not {array.shape}")
