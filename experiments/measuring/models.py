"""What this project trains in the benchmark, by name: fields of its Config."""

from typing import Any

from msd_jax.config import Augmentation, Layers, Recipe

MODELS: dict[str, dict[str, Any]] = {
    "baseline": {"model": "baseline"},
    "ensemble of 4": {"model": "ensemble", "num_snippets": 4},
    "multitask autoencoder": {"model": "multitask", "secondary": "autoencoder"},
}
_MLPS = {"model": "ensemble", "num_snippets": 4, "member": "mlp"}
# Each beside the baseline, at 8 trials alone.
OPTIONS: dict[str, dict[str, Any]] = {
    "ensemble of 4 mlps": _MLPS,
    # Of 40 and 180 networks: at 100 units 64 trials of the latter would take 35 GB.
    "ensemble of 4 mlps of 20, one against all": {
        **_MLPS,
        "decomposition": "one_vs_all",
        "num_hidden": 20,
    },
    "ensemble of 4 mlps of 20, round robin": {
        **_MLPS,
        "decomposition": "round_robin",
        "num_hidden": 20,
    },
    "ensemble of 4, joint weights": {
        "model": "ensemble",
        "num_snippets": 4,
        "pool_weights": "joint",
    },
    "multitask, both tasks": {"model": "multitask", "secondary": "both"},
    "multitask, both, balanced answers": {
        "model": "multitask",
        "secondary": "both",
        "binary_weights": "balanced",
    },
    "baseline, 2 layers": {"layers": Layers(num_layers=2)},
    "baseline, bidirectional": {"layers": Layers(bidirectional=True)},
    "baseline, mean readout": {"layers": Layers(readout="mean")},
    "baseline, max readout": {"layers": Layers(readout="max")},
    "baseline, attention": {"layers": Layers(readout="attention")},
    "baseline, 2 layers, dropout": {"layers": Layers(num_layers=2, dropout=0.5)},
    "baseline, clipped": {"recipe": Recipe(clip_norm=1.0)},
    "baseline, warm-up and cosine": {"recipe": Recipe(schedule="warmup_cosine", num_epochs=40)},
    "baseline, smoothed labels": {"recipe": Recipe(label_smoothing=0.1)},
    "baseline, noise": {"augmentation": Augmentation(noise=0.05)},
    "baseline, feature dropout": {"augmentation": Augmentation(feature_dropout=0.2)},
    "baseline, crops of 60": {"augmentation": Augmentation(crop=60)},
}
