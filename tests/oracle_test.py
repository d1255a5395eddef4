"""Values and gradients against `oracle.npz`: computed once in float64 with PyTorch, by a program
that shares nothing with this project. 4 songs of 12 x 5, 7 units, 3 genres, 2 snippets.
"""

import functools
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from msd_jax import losses, lstm, pooling
from msd_jax.batches import Batch
from msd_jax.config import Config
from msd_jax.dense import DenseParams
from msd_jax.hyperparams import Hyperparams
from msd_jax.layers import LayerParams
from msd_jax.lstm import LSTMParams
from msd_jax.models import EnsembleParams, make_model
from msd_jax.networks import NetworkParams
from msd_jax.objective import objective
from msd_jax.step import train_step

pytestmark = pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])

CONFIGS = {
    "baseline": Config(12, 5, 3, num_hidden=7),
    "autoencoder": Config(12, 5, 3, model="multitask", num_hidden=7, secondary="autoencoder"),
    "binary": Config(12, 5, 3, model="multitask", num_hidden=7, secondary="binary"),
}


@functools.cache
def oracle() -> dict[str, np.ndarray]:
    with np.load(Path(__file__).with_name("oracle.npz")) as arrays:
        return dict(arrays)


@pytest.fixture(autouse=True)
def precision(dtype):
    with jax.enable_x64(dtype == jnp.float64):
        yield


def close(actual, name: str) -> None:
    """To 1e-10 in float64 and to 1e-5 in float32, relative to the largest entry or absolute."""
    expected = oracle()[name]
    tolerance = 1e-10 if actual.dtype == jnp.float64 else 1e-5
    scale = max(1.0, np.abs(expected).max())
    np.testing.assert_allclose(actual, expected, rtol=0, atol=tolerance * scale, err_msg=name)


def get(name: str, dtype) -> jax.Array:
    return jnp.asarray(oracle()[name], dtype)


def batch(dtype) -> Batch:
    return Batch(get("inputs", dtype), jnp.asarray(oracle()["labels"], jnp.int32))


def hparams(l2: float) -> Hyperparams:
    return Hyperparams(
        learning_rate=1e-3, l2=l2, beta=float(oracle()["beta"]), alpha=float(oracle()["alpha"])
    )


def network(dtype, secondary: str | None = None, relu: bool = False) -> NetworkParams:
    def pair(*names: str) -> list[jax.Array]:
        return [get(f"param_{name}", dtype) for name in names]

    return NetworkParams(
        layers=(LayerParams(LSTMParams(*pair("kernel", "bias"))),),
        attention=None,
        relu=DenseParams(*pair("relu_w", "relu_b")) if relu else None,
        output=DenseParams(*pair("head_w", "head_b")),
        secondary=DenseParams(*pair(f"{secondary}_w", f"{secondary}_b")) if secondary else None,
    )


@pytest.mark.parametrize("unroll", [lstm.unroll, lstm.unroll_plain])
def test_hidden_states(dtype, unroll):
    params, inputs = network(dtype).layers[0].forward, batch(dtype).inputs.swapaxes(0, 1)
    hidden_states = unroll(params, inputs, lstm.zero_state(params, 4))
    close(hidden_states.swapaxes(0, 1), "hidden_states")
    close(losses.norm_stabilizer(hidden_states), "norm_stabilizer")


def test_logits_and_cross_entropy(dtype):
    inputs, labels = batch(dtype)
    model = make_model(CONFIGS["baseline"])
    logits = model.apply(network(dtype), inputs).logits
    close(logits, "logits_linear")
    close(losses.cross_entropy(logits, labels), "cross_entropy")
    close(model.apply(network(dtype, relu=True), inputs).logits, "logits_relu")


@pytest.mark.parametrize(
    ("name", "secondary", "secondary_term"),
    [
        ("baseline", None, None),
        ("autoencoder", "ae", "squared_error_mean"),
        ("binary", "bin", "binary_cross_entropy_sum"),
    ],
)
def test_objective_and_every_gradient(dtype, name, secondary, secondary_term):
    params = network(dtype, secondary)
    model = make_model(CONFIGS[name])
    # Of the reference values only the baseline's loss has the L2 term in it.
    weights = hparams(float(oracle()["l2"]) if name == "baseline" else 0.0)
    (loss, report), grads = jax.jit(
        jax.value_and_grad(lambda p: objective(model, p, weights, *batch(dtype)), has_aux=True)
    )(params)
    close(loss, f"loss_{name}")
    if name == "baseline":
        close(report.terms["l2_penalty"], "l2_penalty")
        close(grads.output.bias, "grad_loss_baseline_head_b")
    else:
        close(report.terms["secondary"], secondary_term)
        close(grads.secondary.kernel, f"grad_loss_{name}_{secondary}_w")
    close(grads.layers[0].forward.kernel, f"grad_loss_{name}_kernel")
    close(grads.layers[0].forward.bias, f"grad_loss_{name}_bias")
    close(grads.output.kernel, f"grad_loss_{name}_head_w")


def test_ensemble(dtype):
    inputs, labels = batch(dtype)
    kernel, bias, head_w, head_b = (
        get(f"param_member_{name}", dtype) for name in ("kernel", "bias", "head_w", "head_b")
    )
    layers = (LayerParams(LSTMParams(kernel, bias)),)
    members = NetworkParams(layers, None, None, DenseParams(head_w, head_b), None)
    config = Config(12, 5, 3, model="ensemble", num_hidden=7, num_snippets=2)
    outputs = jax.jit(make_model(config).apply)(
        EnsembleParams(members, jnp.zeros(2, dtype)), inputs
    )
    close(outputs.logits, "member_logits")
    close(jax.vmap(losses.norm_stabilizer)(*outputs.hidden_states), "member_norm_stabilizer")
    log_probs = jax.nn.log_softmax(outputs.logits)
    close(pooling.mean_pool(log_probs), "pooled_mean_log_probs")
    close(pooling.product_pool(log_probs), "pooled_product_log_probs")
    for rule in ("mean", "product"):
        error = pooling.report_error(log_probs, labels, rule)
        close(jnp.mean(error), f"report_error_{rule}")


def test_three_adam_steps(dtype):
    params = network(dtype)
    opt_state = optax.adam(1e-3).init(params)
    step = jax.jit(functools.partial(train_step, CONFIGS["baseline"]))
    for _ in range(3):
        params, opt_state, _ = step(params, opt_state, hparams(l2=0.0), batch(dtype))
    close(params.layers[0].forward.kernel, "adam3_kernel")
    close(params.layers[0].forward.bias, "adam3_bias")
    close(params.output.kernel, "adam3_head_w")
    close(params.output.bias, "adam3_head_b")
