"""What the study trains beyond the report: its ancestors, its open question, a better recipe."""

from typing import Any

from experiments.studying.grids import Grid, Point

DECOMPOSITIONS = ("none", "one_vs_all", "round_robin")
DEPTHS = (1, 2, 3)


def parts(grid: Grid) -> int:
    """Snippets of Silla and Kaestner's ensembles: their three, or the report's where T forbids."""
    return 3 if grid.num_segments % 3 == 0 else grid.snippets[1]


def mlp_members(grid: Grid, decomposition: str) -> Point:
    """An MLP for each part of the song and each question of the decomposition."""
    point = Point("ensemble", grid.member_hidden, parts(grid), l2=0.01)
    return point.having(member="mlp", decomposition=decomposition, pool_weights="accuracy")


def lstm_members(grid: Grid, decomposition: str) -> Point:
    """An LSTM for each."""
    point = grid.ensemble(parts(grid))
    return point.having(decomposition=decomposition, pool_weights="accuracy")


def ancestors(grid: Grid) -> list[Point]:
    """Members and decompositions, and the feed-forward network on the whole song."""
    members = [make(grid, d) for make in (mlp_members, lstm_members) for d in DECOMPOSITIONS]
    return [grid.mlp(0.0), grid.mlp(0.01), grid.baseline, *members]


def kinds(grid: Grid) -> dict[str, dict[str, Any]]:
    """Richer LSTMs by name: the options that make one of the report's."""
    depths: dict[str, dict[str, Any]] = {
        f"{n} layers" if n > 1 else "1 layer": {"num_layers": n} for n in DEPTHS
    }
    return {
        **depths,
        "bidirectional": {"bidirectional": True},
        "attention": {"readout": "attention"},
    }


def single(grid: Grid, kind: str) -> Point:
    """The baseline as a richer LSTM."""
    return grid.baseline.having(**kinds(grid)[kind])


def ensembled(grid: Grid, kind: str) -> Point:
    """The report's best model with richer LSTMs."""
    return grid.ensemble(grid.snippets[1]).having(**kinds(grid)[kind])


def deeper(grid: Grid) -> list[Point]:
    """Every kind alone and as an ensemble."""
    return [make(grid, kind) for kind in kinds(grid) for make in (single, ensembled)]


def crop(grid: Grid) -> int:
    """Segments of a random crop: about four fifths of the song, whole in each snippet."""
    most = grid.snippets[1]
    return most * (4 * grid.num_segments // (5 * most))


def recipe(grid: Grid) -> dict[str, dict[str, Any]]:
    """The parts of the recipe by name."""
    return {
        "attention": {"readout": "attention"},
        "dropout": {"dropout": 0.3},
        "clipping": {"clip_norm": 1.0},
        "schedule": {"schedule": "warmup_cosine"},
        "label smoothing": {"label_smoothing": 0.1},
        "augmentation": {"noise": 0.3, "feature_dropout": 0.1, "augmented_fraction": 0.5},
        "crops": {"crop": crop(grid)},
    }


def reports_best(grid: Grid) -> Point:
    """Four snippets, which the recipe is to better."""
    return grid.ensemble(grid.snippets[1])


def cooked(grid: Grid, *names: str) -> Point:
    """The report's best model with these parts of the recipe."""
    point = reports_best(grid)
    for name in names:
        point = point.having(**recipe(grid)[name])
    return point


def whole(grid: Grid) -> Point:
    """The whole recipe."""
    return cooked(grid, *recipe(grid))


def without(grid: Grid, left_out: str) -> Point:
    """The recipe less one part."""
    return cooked(grid, *(name for name in recipe(grid) if name != left_out))


def recipe_names(grid: Grid) -> dict[Point, str]:
    """Short names of what has most of the recipe, whose description would be long."""
    names = {without(grid, name): f"the recipe without {name}" for name in recipe(grid)}
    return {whole(grid): "the whole recipe", **names}


def both_tasks(grid: Grid) -> Point:
    """Both secondary tasks at once, each with the smaller weight of the report's."""
    alpha = grid.alphas[0]
    return grid.multitask("both", alpha).having(alpha_binary=alpha)


def beyond(grid: Grid) -> list[Point]:
    """The recipe, each part of it left out, each alone; and both secondary tasks."""
    tasks = [grid.multitask(task, grid.alphas[0]) for task in ("autoencoder", "binary")]
    return [
        reports_best(grid),
        whole(grid),
        *(without(grid, name) for name in recipe(grid)),
        *(cooked(grid, name) for name in recipe(grid)),
        grid.baseline,
        *tasks,
        both_tasks(grid),
    ]
