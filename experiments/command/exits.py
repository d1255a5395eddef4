"""How a program ends: one line on stderr and one of these codes. A traceback is a bug of ours."""

import sys
from typing import NoReturn

EXIT_USAGE = 2  # something given is wrong
EXIT_STORAGE = 74  # EX_IOERR of sysexits.h: the disk is full or takes nothing; mend that, go on
EXIT_INTERRUPTED = 75  # EX_TEMPFAIL: start the same command again


def fail(message: str, code: int = EXIT_USAGE) -> NoReturn:
    """One line on stderr, and out."""
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(code)
