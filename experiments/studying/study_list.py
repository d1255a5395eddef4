"""The figures as a list: command, cost and the report's number."""

from experiments.command.console import make_console
from experiments.studying.flops import flops_per_song
from experiments.studying.grids import make_grid
from experiments.studying.presets import ANSWER, EVERY

_SONGS, _SEGMENTS, _FEATURES = 40_000, 120, 25  # of the report's training sets


def petaflops(name: str, size: str) -> float:
    """Matrix products of one seed of a preset on the report's 40,000 songs, in PFLOP."""
    grid = make_grid(size, "text", "msd10")
    return (
        sum(
            grid.num_epochs(point.model, point.options)
            * _SONGS
            * flops_per_song(point, _SEGMENTS, _FEATURES)
            for point in dict.fromkeys(EVERY[name].points(grid))
        )
        / 1e15
    )


def list_presets(size: str) -> None:
    """Prints every preset."""
    console = make_console()
    for name, preset in EVERY.items():
        console.print(f"{name}  {preset.title}")
        for command in preset.commands:
            console.print(f"    python -m experiments.run {command}")
        console.print(
            f"    {petaflops(name, size):.2f} PFLOP a seed on 40,000 songs (size {size}); "
            f"report: {preset.reported}"
        )
    names = ", ".join(ANSWER)
    console.print(
        f"What several figures share is trained once. {names} are trained only with --only=all or "
        "by name."
    )
