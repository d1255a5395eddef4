"""Deeper and richer networks inside every model: what is drawn, dropped, penalised and shared."""

import dataclasses

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from msd_jax import lstm
from msd_jax.batches import take
from msd_jax.config import READOUTS, Config, Layers
from msd_jax.dense import dense, init_dense
from msd_jax.hyperparams import Hyperparams
from msd_jax.layers import LayerParams
from msd_jax.models import Model, make_model, num_params, weights
from msd_jax.networks import NetworkParams, Outputs
from msd_jax.objective import objective
from msd_jax.optimiser import make_optimiser
from tests.small import CONFIG, RICH, F, K, T, make_songs

KEY, H = jax.random.key(0), 5
HPARAMS = Hyperparams(learning_rate=0.01, l2=0.01, beta=2.0, alpha=0.5)
BATCH = take(make_songs(4), jnp.arange(4))
DROPPING = Layers(num_layers=2, dropout=0.5)


def config(layers: Layers, **fields) -> Config:
    return Config(T, F, K, num_hidden=H, batch_size=4, layers=layers, **fields)


def make(layers: Layers, **fields) -> Model:
    """A model whose functions are compiled, which takes less time here than each operation."""
    model = make_model(config(layers, **fields))
    return model._replace(init=jax.jit(model.init), apply=jax.jit(model.apply))


def init_written_out(key: jax.Array) -> NetworkParams:
    """The report's network as it was drawn before there were layers to choose."""
    lstm_key, _, output_key, _ = jax.random.split(jax.random.fold_in(key, 0), 4)
    layers = (LayerParams(lstm.init(lstm_key, F, H)),)
    return NetworkParams(layers, None, None, init_dense(output_key, H, K), None)


def apply_written_out(params: NetworkParams, inputs: jax.Array, key=None) -> Outputs:
    """One LSTM, its last state, a linear layer: no stack, no readout, no dropout."""
    hidden_states = lstm.unroll(params.layers[0].forward, inputs.swapaxes(0, 1))
    return Outputs(dense(params.output, hidden_states[-1]), (hidden_states,))


def test_the_default_network_is_the_reports_to_the_bit():
    def after_three_steps(model: Model) -> NetworkParams:
        optimiser = make_optimiser(CONFIG, HPARAMS)

        @jax.jit
        def step(params, state, key):
            grads = jax.grad(lambda p: objective(model, p, HPARAMS, *BATCH, key)[0])(params)
            updates, state = optimiser.update(grads, state, params)
            return optax.apply_updates(params, updates), state

        params = model.init(KEY)
        state = optimiser.init(params)
        for number in range(3):
            params, state = step(params, state, jax.random.key(number))
        return params

    ours = make_model(CONFIG)
    written_out = Model(init_written_out, apply_written_out, CONFIG)
    chex.assert_trees_all_equal(ours.init(KEY), written_out.init(KEY))
    chex.assert_trees_all_equal(after_three_steps(ours), after_three_steps(written_out))


def test_number_of_parameters_counted_on_paper():
    # Two layers, both directions: (F + H) x 4H + 4H = 180 each, then (2H + H) x 4H + 4H = 320.
    # Attention 2H, ReLU 2H x H + H, output H x K + K.
    layers = Layers(num_layers=2, bidirectional=True, readout="attention")
    params = jax.eval_shape(make_model(config(layers, head="relu")).init, KEY)
    assert num_params(params) == 2 * 180 + 2 * 320 + 10 + 55 + 18
    # L2 falls on the four kernels of the LSTMs, attention, ReLU and output: on no bias.
    shapes = [(8, 20)] * 2 + [(15, 20)] * 2 + [(10,), (10, 5), (5, 3)]
    assert sorted(w.shape for w in weights(params)) == sorted(shapes)


@pytest.mark.parametrize("readout", READOUTS)
def test_every_readout_starts_from_the_same_draws(readout):
    baseline = make_model(CONFIG).init(KEY)
    params = make_model(config(Layers(readout=readout))).init(KEY)
    chex.assert_trees_all_equal(params._replace(attention=None), baseline)
    assert (params.attention is not None) == (readout == "attention")


@pytest.mark.parametrize(
    "fields",
    [
        {"model": "ensemble", "num_snippets": 2},
        {"model": "multitask", "secondary": "autoencoder", "head": "relu"},
    ],
    ids=lambda fields: fields["model"],
)
def test_every_parameter_of_every_model_learns(fields):
    model = make_model(config(RICH.layers, **fields))
    gradient = jax.jit(jax.grad(lambda p: objective(model, p, HPARAMS, *BATCH, KEY)[0]))
    grads = gradient(jax.jit(model.init)(KEY))
    for path, grad in jax.tree_util.tree_leaves_with_path(grads):
        assert np.isfinite(grad).all(), path
        assert np.abs(grad).max() > 0, path


def test_the_stabiliser_falls_on_every_layer_and_direction():
    """By hand in float64, 1/T sum_t (|h_t| - |h_t-1|)^2 of each; two layers, both directions."""
    model = make(Layers(num_layers=2, bidirectional=True))
    params = model.init(KEY)
    _, report = objective(model, params, HPARAMS, *BATCH)
    hidden_states = model.apply(params, BATCH.inputs).hidden_states
    assert len(hidden_states) == 4
    expected = 0.0
    for states in hidden_states:
        norms = np.sqrt((np.asarray(states, np.float64) ** 2).sum(-1))
        expected += (np.diff(norms, axis=0) ** 2).sum(0).mean() / T
    np.testing.assert_allclose(report.terms["norm_stabilizer"], expected, rtol=1e-5)


def test_both_heads_of_a_multitask_model_stand_on_the_same_dropped_readout():
    model = make(DROPPING, model="multitask", secondary="binary")
    params = model.init(KEY)
    outputs = model.apply(params._replace(secondary=params.output), BATCH.inputs, KEY)
    np.testing.assert_array_equal(outputs.binary_logits, outputs.logits)
    evaluated = model.apply(params, BATCH.inputs)
    assert not jnp.allclose(evaluated.logits, outputs.logits, atol=1e-4)


def test_members_drop_their_own():
    """Two members with the same parameters hear the same snippet twice."""
    model = make(DROPPING, model="ensemble", num_snippets=2)
    params = model.init(KEY)
    same = jax.tree.map(lambda x: x.at[1].set(x[0]), params.members)
    half = BATCH.inputs[:, : T // 2]
    inputs = jnp.concatenate([half, half], axis=1)
    evaluated, trained = (
        model.apply(params._replace(members=same), inputs, key).logits for key in (None, KEY)
    )
    np.testing.assert_array_equal(evaluated[0], evaluated[1])
    assert not jnp.allclose(trained[0], trained[1], atol=1e-4)


def test_one_snippet_drops_what_the_baseline_does():
    ensemble, baseline = (make(DROPPING, model=name) for name in ("ensemble", "baseline"))
    said = ensemble.apply(ensemble.init(KEY), BATCH.inputs, KEY).logits[0]
    alone = baseline.apply(baseline.init(KEY), BATCH.inputs, KEY).logits
    np.testing.assert_allclose(said, alone, atol=1e-6)


def test_the_expected_readout_under_dropout_is_that_of_evaluation():
    """One layer, so that the logits are linear in what is dropped: the mean over 4,000 keys.

    A logit's deviation over keys is measured; the mean's standard error is that by sqrt(4,000).
    """
    model = make_model(config(Layers(dropout=0.3)))
    params = model.init(KEY)
    keys = jax.random.split(jax.random.key(1), 4000)
    logits = jax.jit(jax.vmap(lambda key: model.apply(params, BATCH.inputs, key).logits))(keys)
    evaluated = model.apply(params, BATCH.inputs).logits
    errors = (logits.mean(axis=0) - evaluated) / (logits.std(axis=0) / 4000**0.5)
    assert np.abs(errors).max() < 4  # of 12; beyond 4 is one in 16,000 each


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"num_layers": 0}, "num_layers is 0: it must be 1 to 100"),
        ({"num_layers": 101}, "num_layers is 101"),
        ({"dropout": 1.0}, "dropout is 1.0: it must be at least 0 and below 1"),
        ({"dropout": -0.1}, "dropout is -0.1"),
        ({"dropout": float("nan")}, "dropout is nan"),
        ({"readout": "first"}, "readout is 'first': use one of last, mean, max, attention"),
    ],
)
def test_layers_that_make_no_network_are_refused(fields, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        Layers(**fields)


def test_an_mlp_has_no_layers_to_change():
    with pytest.raises(ValueError, match="an mlp has no LSTM layers"):
        dataclasses.replace(CONFIG, model="mlp", layers=Layers(dropout=0.1))
