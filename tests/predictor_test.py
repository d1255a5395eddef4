"""What trained models say of songs: by hand, and against the evaluation that training does."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from msd_jax.config import Config
from msd_jax.dense import DenseParams
from msd_jax.evaluation import evaluate
from msd_jax.layers import LayerParams
from msd_jax.lstm import LSTMParams
from msd_jax.models import EnsembleParams, PoolWeights, make_model
from msd_jax.networks import MLPParams, NetworkParams
from msd_jax.predictor import predict, vote
from msd_jax.program import to_program
from tests.small import CONFIG, ENSEMBLE, RICH, ROUND_ROBIN, F, K, T, make_songs


def stacked(config: Config, num_trials: int):
    keys = jax.vmap(jax.random.key)(jnp.arange(num_trials))
    return jax.vmap(make_model(config).init)(keys)


def constant_mlp(*logits: tuple[float, float]) -> MLPParams:
    """Trials whose logits are these whatever they hear: zero kernels, and the output's bias."""
    num_trials = len(logits)

    def layer(num_inputs: int, num_outputs: int, bias) -> DenseParams:
        return DenseParams(np.zeros((num_trials, num_inputs, num_outputs), np.float32), bias)

    hidden = np.zeros((num_trials, 2), np.float32)
    return MLPParams(
        layer(4, 2, hidden), layer(2, 2, hidden), layer(2, 2, np.array(logits, np.float32))
    )


def test_seeds_vote_by_the_mean_of_their_probabilities():
    # Odds of 3 to 1 and of 1 to 9: probabilities 3/4 and 1/10, so 17/40 for the first genre. The
    # product of them would give 3/9 to 1, a quarter.
    config = Config(2, 2, 2, model="mlp", num_hidden=2)
    params = constant_mlp((np.log(3), 0), (0, np.log(9)))
    said = predict(config, params, np.ones((3, 2, 2), np.float16))
    assert said.snippet_log_probs is None
    np.testing.assert_allclose(np.exp(said.log_probs), [[17 / 40, 23 / 40]] * 3, rtol=1e-6)


def constant_ensemble(*logits: list[tuple[float, float]]) -> EnsembleParams:
    """Trials of two members whose logits are these whatever they hear: a list for each trial."""
    bias = np.array(logits, np.float32)
    num_trials, num_members, _ = bias.shape

    def zeros(*shape: int) -> np.ndarray:
        return np.zeros((num_trials, num_members, *shape), np.float32)

    layers = (LayerParams(LSTMParams(zeros(3, 4), zeros(4))),)
    members = NetworkParams(layers, None, None, DenseParams(zeros(1, 2), bias), None)
    equal = np.zeros((num_trials, num_members), np.float32)
    return EnsembleParams(members, PoolWeights(equal, equal))


def test_each_snippet_speaks_for_itself_and_the_rule_comes_before_the_vote():
    # Trial 0: odds 1:1 and 3:1, product 3:1. Trial 1: odds 1:3 and 1:1, product 1:3. The vote of
    # 3/4 and 1/4 is 1/2; snippet 0 says (1/2 + 1/4) / 2 = 3/8, snippet 1 (3/4 + 1/2) / 2 = 5/8.
    config = Config(2, 2, 2, model="ensemble", num_snippets=2, num_hidden=1, pooling="product")
    three = np.log(3)
    params = constant_ensemble([(0, 0), (three, 0)], [(0, three), (0, 0)])
    said = predict(config, params, np.ones((3, 2, 2), np.float16))
    np.testing.assert_allclose(np.exp(said.log_probs), [[1 / 2, 1 / 2]] * 3, rtol=1e-6)
    assert said.snippet_log_probs.shape == (2, 3, 2)
    probs = np.exp(said.snippet_log_probs)
    np.testing.assert_allclose(probs[0], [[3 / 8, 5 / 8]] * 3, rtol=1e-6)
    np.testing.assert_allclose(probs[1], [[5 / 8, 3 / 8]] * 3, rtol=1e-6)


@pytest.mark.parametrize(
    "config", [CONFIG, ENSEMBLE, ROUND_ROBIN], ids=lambda c: c.model + c.decomposition
)
def test_one_trial_is_as_good_as_its_evaluation_says(config):
    songs = make_songs(23)  # no multiple of the batch of 4
    params = stacked(config, 1)
    said = predict(config, params, songs.inputs)
    metrics = evaluate(config, jax.tree.map(lambda x: x[0], params), songs)
    assert np.mean(said.log_probs.argmax(axis=1) == songs.labels) == pytest.approx(
        float(metrics["accuracy"])
    )
    loss = -said.log_probs[np.arange(23), songs.labels].mean()
    assert loss == pytest.approx(float(metrics["loss"]), rel=1e-5)


@pytest.mark.parametrize("num_songs", [1, 3, 4, 9])
def test_a_song_is_answered_alike_in_any_company(num_songs):
    songs, params, told = make_songs(num_songs).inputs, stacked(ENSEMBLE, 2), []
    together = predict(ENSEMBLE, params, songs, told.append)
    assert sum(told) == num_songs
    for index in range(num_songs):
        alone = predict(ENSEMBLE, params, songs[index : index + 1])
        np.testing.assert_allclose(alone.log_probs[0], together.log_probs[index], atol=1e-6)
        np.testing.assert_allclose(
            alone.snippet_log_probs[:, 0], together.snippet_log_probs[:, index], atol=1e-6
        )


def test_no_songs_have_no_answers():
    said = predict(ENSEMBLE, stacked(ENSEMBLE, 2), np.zeros((0, T, F), np.float16))
    assert (said.log_probs.shape, said.snippet_log_probs.shape) == ((0, K), (2, 0, K))


def test_answers_come_from_float32_products_on_every_device():
    """Some GPUs take TF32 where nothing is asked; a run is trained and tested in float32."""
    params, inputs = stacked(CONFIG, 2), make_songs(3).inputs
    asked = jax.jit(lambda x: vote(CONFIG, params, x).log_probs).lower(inputs).as_text()
    products = [line for line in asked.splitlines() if "dot_general" in line]
    assert products
    assert all("precision = [HIGHEST, HIGHEST]" in line for line in products)


@pytest.mark.parametrize(
    "config",
    [CONFIG, ENSEMBLE, RICH, ROUND_ROBIN],
    ids=["baseline", "ensemble", "rich", "round_robin"],
)
def test_the_program_says_the_same_for_any_number_of_songs(config):
    pytest.importorskip("flatbuffers")
    params = stacked(config, 2)
    program = jax.export.deserialize(bytearray(to_program(config, params)))
    assert program.platforms == ("cpu", "cuda", "rocm", "tpu")
    for num_songs in (1, 7):
        inputs = make_songs(num_songs, seed=num_songs).inputs
        expected = predict(config, params, inputs).log_probs
        np.testing.assert_allclose(program.call(inputs), expected, atol=1e-6)
