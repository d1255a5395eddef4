"""Trees of arrays as flat dictionaries by dotted path, and back."""

import numpy as np
import pytest

from msd_jax.trees import flatten, unflatten
from tests.checkpoints_test import bits, make_state


def test_flat_names_are_dotted_paths():
    flat = flatten(make_state(1))
    names = ["params.lstm.kernel", "params.lstm.scale", "counts", "epoch", "stopped"]
    assert list(flat) == names
    assert bits(unflatten(make_state(0), flat)) == bits(make_state(1))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"epoch": None}, "epoch is missing"),
        ({"epoch": np.zeros(3, np.int32)}, r"epoch is int32\(3,\), not int32\(2,\)"),
        ({"stopped": np.zeros(2, np.int8)}, r"stopped is int8\(2,\), not bool\(2,\)"),
    ],
)
def test_arrays_that_do_not_fit_the_structure_are_refused(change, message):
    flat = {k: v for k, v in (flatten(make_state(1)) | change).items() if v is not None}
    with pytest.raises(ValueError, match=message):
        unflatten(make_state(0), flat)
