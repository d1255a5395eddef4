"""The models: what they share, what their members may see, and how they start."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from msd_jax import dense, models
from msd_jax.config import Config
from msd_jax.models import make_model, num_params
from msd_jax.snippets import snippets

T, F, K, B = 8, 3, 4, 5
KEY = jax.random.key(0)


def config(model: str, **fields) -> Config:
    return Config(T, F, K, model=model, num_hidden=6, **fields)


def songs() -> tuple[jax.Array, jax.Array]:
    return jax.random.normal(jax.random.key(1), (B, T, F)), jnp.arange(B) % K


def make(**fields) -> models.Model:
    """A model whose functions are compiled, which takes less time here than each operation."""
    model = make_model(config(**fields))
    return model._replace(init=jax.jit(model.init), apply=jax.jit(model.apply))


def test_snippets_are_contiguous_and_in_order():
    inputs = jnp.arange(2 * 6).reshape(2, 6, 1)
    expected = [[[0, 1], [6, 7]], [[2, 3], [8, 9]], [[4, 5], [10, 11]]]
    np.testing.assert_array_equal(snippets(inputs, 3)[..., 0], expected)
    with pytest.raises(ValueError, match="6 segments do not divide into 4 snippets"):
        snippets(inputs, 4)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        # mlp: TF x H + H, H x H + H, H x K + K with H = 6.
        ({"model": "mlp"}, 24 * 6 + 6 + 6 * 6 + 6 + 6 * 4 + 4),
        # LSTM: (F + H) x 4H + 4H = 240; output 28.
        ({"model": "baseline"}, 240 + 28),
        ({"model": "baseline", "head": "relu"}, 240 + 42 + 28),
        ({"model": "multitask", "secondary": "autoencoder"}, 240 + 28 + 6 * 24 + 24),
        ({"model": "multitask", "secondary": "binary"}, 240 + 28 + 28),
        ({"model": "multitask", "secondary": "both"}, 240 + 28 + 6 * 24 + 24 + 28),
        ({"model": "ensemble", "num_snippets": 2}, 2 * (240 + 28) + 4),
        # Members read 4 of the 8 segments: 12 x 6 + 6 = 78, 42, and 28 or, for one logit, 7.
        ({"model": "ensemble", "num_snippets": 2, "member": "mlp"}, 2 * (78 + 42 + 28) + 4),
        (
            {"model": "ensemble", "num_snippets": 2, "decomposition": "round_robin"},
            2 * 6 * (240 + 7) + 4,
        ),
        (
            {"model": "ensemble", "member": "mlp", "decomposition": "one_vs_all"},
            4 * (24 * 6 + 6 + 42 + 7) + 2,
        ),
    ],
)
def test_number_of_parameters_counted_on_paper(fields, expected):
    assert num_params(make(**fields).init(KEY)) == expected


def test_every_model_of_a_seed_starts_with_the_same_shared_layers():
    baseline = make(model="baseline").init(KEY)
    for fields in ({"model": "multitask"}, {"model": "multitask", "secondary": "binary"}):
        params = make(**fields).init(KEY)
        chex.assert_trees_all_equal(
            (params.layers, params.output), (baseline.layers, baseline.output)
        )
    both, autoencoder = (
        make(model="multitask", secondary=task).init(KEY) for task in ("both", "autoencoder")
    )
    chex.assert_trees_all_equal(both._replace(secondary_binary=None), autoencoder)
    members = make(model="ensemble", num_snippets=2).init(KEY).members
    chex.assert_trees_all_equal(jax.tree.map(lambda x: x[0], members), baseline)
    assert not jnp.allclose(members.output.kernel[0], members.output.kernel[1])


def test_dense_kernel_is_a_truncated_normal():
    stddev = 2 / (300 + 100) ** 0.5
    kernel = dense.init_dense(KEY, 300, 100).kernel
    assert 1.95 * stddev < jnp.abs(kernel).max() <= 2 * stddev
    # A normal cut at two std keeps 0.8796 of its std (1 - 4 phi(2) / (2 Phi(2) - 1), its root).
    np.testing.assert_allclose(jnp.std(kernel), 0.8796 * stddev, rtol=0.01)


def test_vmapped_members_equal_a_loop():
    model, single = make(model="ensemble", num_snippets=2), make(model="baseline")
    params = model.init(KEY)
    inputs, _ = songs()
    outputs = model.apply(params, inputs)
    for m, part in enumerate((inputs[:, :4], inputs[:, 4:])):
        member = jax.tree.map(lambda x, m=m: x[m], params.members)
        alone = single.apply(member, part)
        np.testing.assert_allclose(outputs.logits[m], alone.logits, atol=1e-6)
        states = jax.tree.map(lambda x, m=m: x[m], outputs.hidden_states)
        chex.assert_trees_all_close(states, alone.hidden_states, atol=1e-6)


def test_a_member_ignores_the_other_snippets():
    model = make(model="ensemble", num_snippets=2)
    params, (inputs, _) = model.init(KEY), songs()
    before, after = (model.apply(params, x).logits for x in (inputs, inputs.at[:, :4].add(1.0)))
    np.testing.assert_array_equal(before[1], after[1])
    assert (before[0] != after[0]).all()
