"""What every program does with its command line: grouped help, one-line errors, exit codes."""

import os
import sys
import textwrap
from collections.abc import Callable, Mapping, Sequence
from typing import NoReturn

from absl import app, flags, logging

from experiments.command.exits import EXIT_INTERRUPTED, EXIT_STORAGE, fail
from experiments.command.interruption import INTERRUPTION
from experiments.command.storage import StorageError, explain_path
from msd_jax.errors import InputError

Groups = Mapping[str, Sequence[flags.FlagHolder]]
LARGEST_FLOAT = 1e30  # what is computed from it must stay in float32
LARGEST_INT = 2**31 - 1


def help_text(doc: str, groups: Groups, flag_values: flags.FlagValues) -> str:
    """The program's docstring and its flags by group, each with its default."""
    lines = [doc.strip(), ""]
    for title, holders in groups.items():
        lines.append(f"{title}:")
        for holder in holders:
            default = flag_values[holder.name].default_as_str or "''"
            lines.append(f"  --{holder.name}={default.strip(chr(39))}")
            indent = " " * 6
            lines += textwrap.wrap(
                str(flag_values[holder.name].help),
                94,
                initial_indent=indent,
                subsequent_indent=indent,
            )
        lines.append("")
    return "\n".join(lines)


def without_orphans(unraisable: "sys.UnraisableHookArgs") -> None:
    """Threads of tensorstore raise this, dozens of times, after a read or write that failed."""
    if str(unraisable.exc_value) != "Event loop is closed":
        sys.__unraisablehook__(unraisable)


def _check_numbers(groups: Groups) -> None:
    """Ends the program for a number that nothing can be made of: absl's bounds let NaN pass."""
    for holder in (holder for holders in groups.values() for holder in holders):
        values = holder.value if isinstance(holder.value, list) else [holder.value]
        for x in values:
            is_number = isinstance(x, int | float) and not isinstance(x, bool)
            bound = LARGEST_FLOAT if isinstance(x, float) else LARGEST_INT
            if is_number and not abs(x) <= bound:
                fail(f"--{holder.name}={x} is not allowed: it must be below {bound:g}")


def _hang_up() -> NoReturn:
    """Ends quietly where the reader of our output has gone, as in `... | head`."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(1)


def run(
    main: Callable[..., None],
    doc: str,
    groups: Groups,
    flag_values: flags.FlagValues = flags.FLAGS,
    takes_files: bool = False,
) -> None:
    """Parses the flags and calls main, with the list of what is no flag if it takes files.

    Exit code 0: done; 2: something given is wrong; 74: the disk is full or takes nothing; 75:
    stopped by a signal, the same command goes on; but for 0 with one line on stderr. 130 after a
    second Ctrl-C; 1 where nobody reads the output any more, and, with a traceback, for a bug.
    """

    def parse(arguments: Sequence[str]) -> list[str]:
        if any(a in ("--help", "-help", "-h", "--helpfull", "--helpshort") for a in arguments[1:]):
            try:
                print(help_text(doc, groups, flag_values), flush=True)
            except BrokenPipeError:
                _hang_up()
            sys.exit(0)
        try:
            rest = flag_values(list(arguments))
        except flags.Error as error:
            fail(f"{error} (--help lists the flags)")
        _check_numbers(groups)
        flags.FLAGS.mark_as_parsed()  # absl asks for it, whoever's the flags are
        if len(rest) > 1 and not takes_files:
            fail(f"{rest[1]!r} is not a flag: flags are given as --name=value (--help lists them)")
        return rest

    def guarded(rest: Sequence[str]) -> None:
        try:
            main(*[rest[1:]][: int(takes_files)])
        except KeyboardInterrupt:
            fail(f"stopped by a signal; {INTERRUPTION.advice}", EXIT_INTERRUPTED)
        except InputError as error:
            fail(str(error))
        except StorageError as error:
            fail(f"{error}: {INTERRUPTION.advice}", EXIT_STORAGE)
        except BrokenPipeError:
            _hang_up()
        except OSError as error:
            reason = explain_path(error)
            if reason is None:
                raise
            fail(reason)

    # Orbax tells of every save, and of what goes wrong with pages of its own; we say it in a line.
    logging.set_verbosity(logging.FATAL)
    sys.unraisablehook = without_orphans
    app.run(guarded, flags_parser=parse)
