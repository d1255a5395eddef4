"""What a training computes, on paper: the FLOPs of its matrix products."""

from experiments.studying.grids import Point


def num_classifiers(decomposition: str, num_genres: int) -> int:
    """Questions that each member answers."""
    pairs = num_genres * (num_genres - 1) // 2
    return {"none": 1, "one_vs_all": num_genres, "round_robin": pairs}[decomposition]


def num_scans(point: Point, num_genres: int) -> int:
    """How often a song is gone through in time: once for each layer, direction and classifier."""
    options = point.options
    if "mlp" in (point.model, options.member):
        return 0
    directions = 2 if options.bidirectional else 1
    return num_classifiers(options.decomposition, num_genres) * options.num_layers * directions


def _lstm(point: Point, num_segments: int, num_features: int) -> float:
    """Forward, one song: every layer's products, in one direction or both."""
    width, options = point.num_hidden, point.options
    directions = 2 if options.bidirectional else 1
    inputs = [num_features] + [directions * width] * (options.num_layers - 1)
    return directions * sum(num_segments * 2 * (size + width) * 4 * width for size in inputs)


def flops_per_song(
    point: Point, num_segments: int, num_features: int, num_genres: int = 10
) -> float:
    """Of one training step, per song: forward, and backward twice that; small heads left out.

    Args:
      point: what is trained.
      num_segments: T of a song; a crop of the point takes its place.
      num_features: F.
      num_genres: K, which says how many classifiers a decomposition has; MSD10's by default.
    """
    width, options = point.num_hidden, point.options
    num_segments = options.crop or num_segments
    inputs = num_segments * num_features
    classifiers = num_classifiers(options.decomposition, num_genres)
    if point.model == "mlp":
        return 3.0 * 2 * (inputs * width + width**2)
    if options.member == "mlp":
        members = point.num_snippets or 1
        return 3.0 * classifiers * 2 * (inputs * width + members * width**2)
    rebuild = 2 * width * inputs if point.secondary in ("autoencoder", "both") else 0
    return 3.0 * (classifiers * _lstm(point, num_segments, num_features) + rebuild)
