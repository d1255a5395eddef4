"""When the disk refuses: told apart from our own bugs, whatever the library that met it raises."""

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path

from msd_jax.errors import InputError

_REFUSALS = (
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EFBIG,
    errno.EROFS,
    errno.EACCES,
    errno.EPERM,
    errno.EIO,
)


# What is wrong with a path that somebody typed.
_NO_PATH = (errno.ENAMETOOLONG, errno.ENOTDIR, errno.EISDIR, errno.ELOOP)


class StorageError(Exception):
    """A folder takes nothing more; what was complete in it is still there."""


def refusal(error: BaseException | None) -> str | None:
    """The system's words for why it wrote nothing, anywhere in an error's chain of causes."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in _REFUSALS:
            return os.strerror(error.errno)
        # Orbax and tensorstore put the system's error into their text.
        for number in _REFUSALS:
            if os.strerror(number) in str(error):
                return os.strerror(number)
        error = error.__cause__ or error.__context__
    return None


def explain_path(error: OSError) -> str | None:
    """What is wrong with the path that an error is about; None if it is not that."""
    if error.errno not in _NO_PATH or error.filename is None:
        return None
    name = os.fsdecode(error.filename)
    shown = name if len(name) < 200 else f"{name[:100]}...{name[-40:]}"
    return f"{shown}: {os.strerror(error.errno)}: give another path"


def output_file(flag: str, value: str) -> Path:
    """The path of a file that a flag says is to be written.

    Raises:
      InputError: if it can be none, before the work is done that it is for.
    """
    path = Path(value)
    if not path.name or path.is_dir():
        raise InputError(f"--{flag}={value}: the name of a file is needed")
    if not path.parent.is_dir():
        raise InputError(f"--{flag}={value}: there is no folder {path.parent}: make it first")
    return path


@contextlib.contextmanager
def storing(path: Path) -> Iterator[None]:
    """What is done inside writes into `path`.

    Raises:
      StorageError: if the system lets it write no more.
    """
    try:
        yield
    except Exception as error:
        reason = refusal(error)
        if reason is None:
            raise
        raise StorageError(f"{path}: cannot be written any more ({reason})") from error
