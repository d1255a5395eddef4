"""What every program does with its command line: grouped help, one-line errors, exit codes."""

import os
import sys
import textwrap
from collections.abc import Callable, Mapping, Sequence

from absl import app, flags, logging

from msd_jax.errors import InputError

EXIT_USAGE = 2
EXIT_INTERRUPTED = 75  # EX_TEMPFAIL of sysexits.h: start the same command again

Groups = Mapping[str, Sequence[flags.FlagHolder]]


def fail(message: str, code: int = EXIT_USAGE) -> None:
    """One line on stderr, and out."""
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(code)


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


def run(
    main: Callable[[], None],
    doc: str,
    groups: Groups,
    flag_values: flags.FlagValues = flags.FLAGS,
) -> None:
    """Parses the flags and calls main.

    Exit code 0: done; 2: something given is wrong, in one line on stderr; 75: stopped by a signal,
    the same command goes on. Anything else, with a traceback, is a bug.
    """

    def parse(arguments: Sequence[str]) -> list[str]:
        if any(a in ("--help", "-help", "-h", "--helpfull", "--helpshort") for a in arguments[1:]):
            print(help_text(doc, groups, flag_values))
            sys.exit(0)
        try:
            rest = flag_values(list(arguments))
        except flags.Error as error:
            fail(f"{error} (--help lists the flags)")
        flags.FLAGS.mark_as_parsed()  # absl asks for it, whoever's the flags are
        if len(rest) > 1:
            fail(f"{rest[1]!r} is not a flag: flags are given as --name=value (--help lists them)")
        return rest

    def guarded(_: Sequence[str]) -> None:
        try:
            main()
        except InputError as error:
            fail(str(error))
        except BrokenPipeError:  # the reader of our output has gone, as in `... | head`
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(1)

    logging.set_verbosity(logging.WARNING)  # orbax tells every save at the level below
    app.run(guarded, flags_parser=parse)
