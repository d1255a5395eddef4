"""The benchmark's arithmetic, and its contenders at a small size."""

from collections.abc import Callable
from typing import Any
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental import rnn

from experiments.measuring import cudnn
from experiments.measuring.epochs import Epoch, compare, make_epoch
from experiments.measuring.limits import device_limits, numpy_limit
from experiments.measuring.models import MODELS
from experiments.measuring.peers import Contender, Size, flax_peer
from experiments.measuring.rows import make_rows, our_contender, take_turns
from experiments.running.plan import make_plan
from msd_jax import lstm
from msd_jax.batches import Batch
from msd_jax.config import Layers
from msd_jax.dataset import Dataset
from msd_jax.lstm import LSTMParams
from msd_jax.models import make_model
from msd_jax.state import init_state
from msd_jax.step import train_step
from tests.flags_test import settings
from tests.small import make_songs

TINY = Size(num_hidden=4, batch_size=2, num_segments=4, num_features=3, num_genres=3)


def test_operations_of_a_song_by_hand():
    # 120 segments, 400 gate units: 125 inputs forward, 125 for the kernel's gradient, 100 back
    # through h; two operations each. 50 songs are the 1.68 GFLOP of a step.
    assert Size().song_flops == 2 * 120 * 400 * (125 + 125 + 100)
    assert 50 * Size().song_flops == pytest.approx(1.68e9)
    # Both directions are two of them. A layer above reads 200 units of both, gives the kernel's
    # gradient, and sends gradients back to its own 100 and those 200.
    both = Layers(num_layers=2, bidirectional=True)
    above = 2 * 120 * 400 * (300 + 300 + 100 + 200)
    assert Size().flops_of(both) == 2 * (Size().song_flops + above)


def test_least_traffic_of_a_song_by_hand():
    # Six forward values and four gradients of 100 units, and 25 inputs, of 4 bytes, twice each, at
    # 120 segments; a batch of 50 moves 49 MB.
    assert Size().song_bytes == 120 * (10 * 100 + 25) * 4 * 2
    assert 50 * Size().song_bytes == pytest.approx(49.2e6)


def test_rows_by_hand():
    ours = Contender("msd_jax baseline", 8, 400, lambda: None, 3.0, 10**6)
    slow, fast, limit, memory = (
        Contender(name, 1, 100, lambda: None) for name in ("slow", "fast", "limit", "limit 2")
    )
    # 400 songs in 2 s; 100 in 4 s and in 1 s; limits of 250 and 1000 songs a second.
    rows = make_rows([ours, slow, fast, limit, memory], [2.0, 4.0, 1.0, 0.4, 0.1], Size())
    assert [row["songs_per_second"] for row in rows] == pytest.approx([200, 25, 100, 250, 1000])
    assert [row["ratio_to_best_peer"] for row in rows[:3]] == [2.0, 0.25, 1.0]
    assert [row["fraction_of_sgemm"] for row in rows] == pytest.approx([0.8, 0.1, 0.4, 1.0, 4.0])
    assert rows[0]["gflops"] == pytest.approx(200 * 0.0336)  # 33.6 MFLOP a song
    assert (rows[0]["compile_seconds"], rows[0]["peak_bytes"]) == (3.0, 10**6)


def test_contenders_take_turns():
    calls: list[str] = []
    contenders = [Contender(name, 1, 1, lambda name=name: calls.append(name)) for name in "ab"]
    assert len(take_turns(contenders, 3)) == 2
    assert "".join(calls) == "ab" + "ab" * 3  # once to warm up


@pytest.mark.parametrize("name", [*MODELS, "baseline, 2 layers, dropout", "ensemble of 4 mlps"])
def test_our_models_run(name):
    contender = our_contender(name, TINY, 2)
    assert (contender.trials, contender.songs) == (2, 2 * 32 * 2)  # trials x batches x B
    contender.run()
    assert contender.compile_seconds > 0
    assert contender.peak_bytes > 0


def moved(params_of: Callable[[], Any]) -> bool:
    """Whether what a call of a peer gives back has moved from where it began, all finite."""
    params, opt_state = params_of()
    steps = [int(x) for x in jax.tree.leaves(opt_state) if jnp.issubdtype(x.dtype, jnp.integer)]
    momenta = [x for x in jax.tree.leaves(opt_state) if jnp.issubdtype(x.dtype, jnp.floating)]
    is_finite = all(jnp.isfinite(x).all() for x in jax.tree.leaves(params))
    return is_finite and steps == [3] and all(jnp.any(x != 0) for x in momenta)


def test_flax_trains():
    contender = flax_peer(TINY, 1, 3)
    assert contender.songs == 3 * 2
    assert moved(contender.run)
    assert flax_peer(TINY, 2, 3).songs == 2 * 3 * 2


def test_limits_run_and_are_told_in_songs():
    # 2 x 64^3 operations and 2 x 4000 bytes, of a song's 2 x 4 x 16 x (7 + 7 + 4) = 2304
    # operations and 4 x 4 x 2 x (40 + 3) = 1376 bytes.
    limits = [numpy_limit(TINY, 64), *device_limits(TINY, 64, 4000)]
    assert [limit.songs for limit in limits] == [227, 227, 227, 5]
    assert all(limit.trials is None for limit in limits)
    assert [limit.run().size for limit in limits] == [64**2, 64**2, 64**2, 1000]


def test_an_epoch_runs_and_its_bare_parts_are_steps_and_forward_passes():
    songs = make_songs(10), make_songs(8, seed=1)
    dataset = Dataset("d", *songs, None, ("a", "b", "c"))
    flags = settings("--num_hidden=5", "--batch_size=4", "--num_seeds=3", "--num_epochs=2")
    epoch = make_epoch(flags, dataset)
    epoch.epochs.run()
    # Two batches of 4 of 10 songs, for 3 trials.
    assert (epoch.epochs.songs, epoch.steps.songs, epoch.songs) == (2 * 3 * 8, 3 * 8, 8)
    (part,) = make_plan(flags, dataset)
    state = init_state(part.config, jax.random.key(part.trials[1].seed))
    logits = make_model(part.config).apply(state.params, songs[1].inputs).logits
    np.testing.assert_allclose(epoch.validation.run()[1], jnp.sum(logits), rtol=1e-4)
    params, opt_state = state.params, state.opt_state
    for batch in (Batch(*(x[first : first + 4] for x in songs[0])) for first in (0, 4)):
        params, opt_state, _ = train_step(
            part.config, params, opt_state, part.trials[1].hparams, batch
        )
    last = jax.tree.map(lambda x: x[1], epoch.steps.run()[0])
    for x, y in zip(jax.tree.leaves(last), jax.tree.leaves(params), strict=True):
        np.testing.assert_allclose(x, y, atol=1e-5)


def test_an_epoch_compared_by_hand():
    nothing = Contender("", None, 0, lambda: None)
    epoch = Epoch(nothing, nothing, nothing, num_epochs=2, trials=8, songs=2000)
    compared = compare(epoch, [12.0, 5.0, 0.5])
    assert compared["seconds"] == 6.0
    assert compared["over_steps"] == pytest.approx(0.2)  # 6 s in place of 5
    assert compared["over_steps_and_validation"] == pytest.approx(6 / 5.5 - 1)


def packed_layer() -> tuple[LSTMParams, jax.Array, jax.Array]:
    """A layer with a bias, the same packed, and songs [B, T, F]."""
    keys = jax.random.split(jax.random.key(0), 3)
    kernel = jax.random.normal(keys[0], (3 + 4, 16))
    params = LSTMParams(kernel, jax.random.normal(keys[1], (16,)))
    return params, cudnn.pack(params, 3), jax.random.normal(keys[2], (2, 6, 3))


def reference(x, h_0, c_0, weights, lengths, num_features, num_hidden, layers, dropout, both, _):
    """jax's own reference of cuDNN's layer, which runs anywhere, in the place of `rnn.lstm`."""
    shape = (num_features, num_hidden, layers, both)
    unpacked = rnn.unpack_lstm_weights(weights, *shape)
    return rnn.lstm_ref(x, h_0, c_0, *unpacked, lengths, *shape[:3], dropout, both)


def test_cudnn_is_given_our_layer():
    """Values and gradients with respect to the parameters and songs."""
    params, _, songs = packed_layer()

    def theirs(params, songs):
        with mock.patch.object(rnn, "lstm", reference):
            return cudnn.hidden_states(cudnn.pack(params, 3), songs, 4)

    def ours(params, songs):
        return lstm.unroll(params, songs.swapaxes(0, 1)).swapaxes(0, 1)

    np.testing.assert_allclose(theirs(params, songs), ours(params, songs), atol=1e-6)
    gradients = [
        jax.grad(lambda *x, f=f: jnp.sum(jnp.sin(f(*x))), (0, 1))(params, songs)
        for f in (theirs, ours)
    ]
    for x, y in zip(*map(jax.tree.leaves, gradients), strict=True):
        np.testing.assert_allclose(x, y, atol=1e-5)


def test_cudnn_layer_is_differentiated_as_its_interface_has_it():
    """Shapes of `rnn.lstm` and its own backward pass; how much memory it saves only a GPU tells."""
    _, packed, songs = packed_layer()
    sizes = {"compute_rnn_workspace_reserve_space_sizes": lambda *_: (1, 1000)}
    with mock.patch.multiple(rnn.gpu_rnn, create=True, **sizes):
        jaxpr = jax.make_jaxpr(
            jax.grad(lambda packed: jnp.sum(cudnn.hidden_states(packed, songs, 4)))
        )(packed)
    assert jaxpr.out_avals[0].shape == packed.shape == (4 * 4 * (3 + 4) + 2 * 16,)
    calls = {str(call.primitive): call.params for call in jaxpr.eqns}
    assert {"rnn_fwd", "rnn_bwd"} <= calls.keys()
    assert not calls["rnn_bwd"]["cudnn_allow_tf32"]


def test_cudnn_peer_trains():
    with mock.patch.object(rnn, "lstm", reference):
        contender = cudnn.cudnn_peer(TINY, 3)
    assert contender.songs == 3 * 2
    assert moved(contender.run)


@pytest.mark.skipif(not cudnn.has_cudnn(), reason="needs an NVIDIA GPU")
def test_cudnn_equals_our_layer():
    params, packed, songs = packed_layer()
    ours = lstm.unroll(params, songs.swapaxes(0, 1)).swapaxes(0, 1)
    np.testing.assert_allclose(cudnn.hidden_states(packed, songs, 4), ours, atol=1e-5)
