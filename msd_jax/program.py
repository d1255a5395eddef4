"""A portable program of trained models: compiled code's input, with the parameters inside it.

`jax.export` promises that a program runs with the versions of jax of the six months after the one
that wrote it: it is for deployment, the model file is the archive.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jax import export

from msd_jax.config import Config
from msd_jax.predictor import vote

PLATFORMS = ("cpu", "cuda", "rocm", "tpu")


def to_program(config: Config, params: Any) -> bytes:
    """The vote of trials [R, ...] as a program: inputs [N, T, F] float32, standardised, to [N, K]
    log-probabilities, for any N, on any of `PLATFORMS`.
    """
    params = jax.tree.map(jnp.asarray, params)

    def log_probs(inputs: jax.Array) -> jax.Array:
        return vote(config, params, inputs).log_probs

    (num_songs,) = export.symbolic_shape("num_songs")
    shape = (num_songs, config.num_segments, config.num_features)
    exported = export.export(jax.jit(log_probs), platforms=PLATFORMS)(
        jax.ShapeDtypeStruct(shape, jnp.float32)
    )
    return bytes(exported.serialize())
