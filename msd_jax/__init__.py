"""Genre classifiers for the Million Song Dataset: pure functions on arrays.

A song goes one way through the modules; each knows only what stands left of it:

    songs, tracks, labels, splits, normaliser -> dataset, synthetic -> snippets -> lstm
        -> layers, readout -> networks, decomposition -> losses, pooling -> models, objective
        -> batches, evaluation -> train
        -> devices, sweep -> digests, checkpoints

Once trained (`trained`, `model_file`), models are asked by `predictor`, after `scale` has looked at
the song.

Axes, everywhere: N songs, B batch, T segments, F features, M members, H hidden, K genres, R trials,
E epochs; C classifiers of a decomposition, D directions, S seeds of one configuration; a docstring
that needs another letter says what it is. Where ranks are checked, another one than is said raises
AssertionError.
"""
