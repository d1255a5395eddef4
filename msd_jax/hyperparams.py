"""What may differ between the trials of one program."""

from typing import Any

from flax import struct


class Hyperparams(struct.PyTreeNode):
    """Arrays, so that one program serves every value: [] in a trial, [R] in a sweep.

    learning_rate of Adam; l2 (the report's lambda), beta, alpha and alpha_binary weigh the terms
    of E, see `objective.py`.
    """

    learning_rate: Any = 1e-3
    l2: Any = 0.0
    beta: Any = 100.0
    alpha: Any = 1.0
    alpha_binary: Any = 1.0
