"""What the machine could do at most, as contenders: the songs that its arithmetic or its memory
traffic would be enough for.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from experiments.measuring.peers import Contender, Size

# A device's products and copies are large, so that starting them does not count.
_SIDE, _DEVICE_SIDE, _DEVICE_BYTES = 2048, 8192, 2**30


def numpy_limit(size: Size, side: int = _SIDE) -> Contender:
    """One float32 product of two matrices of side x side in numpy."""
    rng = np.random.default_rng(0)
    a, b = (rng.standard_normal((side, side), dtype=np.float32) for _ in range(2))
    songs = 2 * side**3 // size.song_flops
    return Contender(f"limit: numpy sgemm {side}", None, songs, lambda: np.matmul(a, b))


def _product_limit(size: Size, precision: str, side: int) -> Contender:
    """The same on the device, "highest" or "tensorfloat32"."""
    a, b = jax.random.normal(jax.random.key(0), (2, side, side))
    multiply = jax.jit(functools.partial(jnp.matmul, precision=precision))
    songs = 2 * side**3 // size.song_flops
    what = {"highest": "fp32", "tensorfloat32": "tf32"}[precision]
    return Contender(
        f"limit: {what} product {side}", None, songs, lambda: jax.block_until_ready(multiply(a, b))
    )


def _memory_limit(size: Size, num_bytes: int) -> Contender:
    """An array of float32 read and written once, taken for the least traffic of training."""
    x = jax.random.normal(jax.random.key(0), (num_bytes // 4,))
    negate = jax.jit(jnp.negative)
    songs = 2 * num_bytes // size.song_bytes
    return Contender("limit: memory", None, songs, lambda: jax.block_until_ready(negate(x)))


def device_limits(
    size: Size, side: int = _DEVICE_SIDE, num_bytes: int = _DEVICE_BYTES
) -> list[Contender]:
    """Of an accelerator, the one that counts first: products in fp32, in tf32, and its memory."""
    products = [_product_limit(size, name, side) for name in ("highest", "tensorfloat32")]
    return [*products, _memory_limit(size, num_bytes)]
