"""Bytes changed at random, for the tests and for longer runs outside them.

    for data in mutants(good, seed, count): ...

gives `count` damaged versions of `good`; a seed gives the same ones every time.
"""

from collections.abc import Iterator

import numpy as np

# What damage likes: ends of ranges, sizes, HDF5's "undefined address", line ends and tabs.
_BYTES = (b"\x00", b"\xff", b"\x7f\xff\xff\xff", b"\xff" * 8, b"\x00" * 8, b"\n", b"\t", b"#", b"-")


def mutate(data: bytes, rng: np.random.Generator) -> bytes:
    """One damaged version: one to eight edits, or a cut."""
    changed = bytearray(data)
    # Formats keep their structure in front: half of the edits go there.
    reach = len(changed) if rng.random() < 0.5 else min(len(changed), 4096)
    for _ in range(rng.integers(1, 9)):
        if not changed:
            break
        at = int(rng.integers(0, max(1, min(reach, len(changed)))))
        kind = rng.integers(0, 6)
        if kind == 0:
            changed[at] ^= 1 << rng.integers(0, 8)
        elif kind == 1:
            changed[at] = rng.integers(0, 256)
        elif kind == 2:
            value = _BYTES[rng.integers(0, len(_BYTES))]
            changed[at : at + len(value)] = value
        elif kind == 3 and rng.random() < 0.2:  # seldom: HDF5 tells another length at once
            del changed[at : at + int(rng.integers(1, 9))]
        elif kind == 4:
            size, source = int(rng.integers(1, 65)), int(rng.integers(0, len(changed)))
            changed[at : at + size] = changed[source : source + size]
        elif rng.random() < 0.1:
            del changed[at:]
    return bytes(changed)


def mutants(data: bytes, seed: int, count: int) -> Iterator[bytes]:
    """`count` damaged versions."""
    rng = np.random.default_rng(seed)
    return (mutate(data, rng) for _ in range(count))
