"""Makes one page of a study: verdicts, figures, tables. Reads finished runs alone.

python -m experiments.report --workdir=study10
"""

from absl import flags

from experiments.command import command_line
from msd_jax.errors import InputError

WORKDIR = flags.DEFINE_string("workdir", None, "Folder of the study.")
OUT = flags.DEFINE_string(
    "out",
    None,
    "Folder for report.html, report.md and tables/. By default the study's own; the page's links "
    "to metrics are relative to it.",
)

GROUPS = {"Report": (WORKDIR, OUT)}


def main() -> None:
    """Reads the flags and writes the report."""
    if not WORKDIR.value:
        raise InputError("--workdir: give the folder of a study")
    try:
        from experiments.reporting.writing import write_report
    except ModuleNotFoundError as error:
        if error.name != "matplotlib":
            raise
        raise InputError(
            "the report needs matplotlib: python -m pip install -e '.[plots]'"
        ) from None

    print(write_report(WORKDIR.value, OUT.value or WORKDIR.value))


if __name__ == "__main__":
    command_line.run(main, __doc__, GROUPS)
