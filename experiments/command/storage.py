"""When the disk refuses: told apart from our own bugs, whatever the library that met it raises."""

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path

_REFUSALS = (
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EFBIG,
    errno.EROFS,
    errno.EACCES,
    errno.EPERM,
    errno.EIO,
)


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
