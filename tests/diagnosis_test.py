"""--debug_nans: the word on where a number stopped being finite names what we broke."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from msd_jax.batches import draw
from msd_jax.config import Augmentation, Recipe
from msd_jax.dataset import Songs
from msd_jax.diagnosis import diagnose
from msd_jax.hyperparams import Hyperparams
from msd_jax.state import init_state
from msd_jax.train import run_epoch
from tests.small import CONFIG, make_songs

KEY, MLP = jax.random.key(3), dataclasses.replace(CONFIG, model="mlp", batch_size=1)
ALL = {
    "recipe": Recipe(clip_norm=1.0, schedule="warmup_cosine", num_epochs=5, label_smoothing=0.1),
    "augmentation": Augmentation(noise=0.1, feature_dropout=0.1, crop=4),
}
TRAIN, VALID = make_songs(6), make_songs(7, seed=1)


def with_song(songs: Songs, number: int, value: float) -> Songs:
    inputs = songs.inputs.copy()
    inputs[number] = value
    return songs._replace(inputs=inputs)


@pytest.mark.parametrize(
    ("config", "hparams", "train", "valid", "words"),
    [
        # The fourth song of the first epoch's order is too large for its square.
        (
            dataclasses.replace(MLP, model="multitask"),
            Hyperparams(0.01),
            with_song(TRAIN, int(draw(KEY, jnp.int32(0), 6).order[3]), 1e30),
            VALID,
            "epoch 1, training step 4: term secondary is inf",
        ),
        # Nor does a window of it, whatever noise is added, stop it; its rate is a scheduled one.
        (
            dataclasses.replace(MLP, model="multitask", **ALL),
            Hyperparams(0.01),
            with_song(TRAIN, int(draw(KEY, jnp.int32(0), 6).order[3]), 1e30),
            VALID,
            "epoch 1, training step 4: term secondary is inf",
        ),
        (
            dataclasses.replace(MLP, **ALL),
            Hyperparams(np.inf),
            TRAIN,
            VALID,
            "training step 1: Adam's step of first.kernel in",
        ),
        (MLP, Hyperparams(0.01, l2=np.inf), TRAIN, VALID, "epoch 1, training step 1: loss is inf"),
        (MLP, Hyperparams(np.inf), TRAIN, VALID, "training step 1: Adam's step of first.kernel in"),
        (
            MLP,
            Hyperparams(0.01),
            TRAIN,
            with_song(VALID, 5, np.inf),
            "epoch 1, validation: loss_softmax of song 5 is nan",
        ),
    ],
    ids=["term", "term of a recipe", "step of a recipe", "loss", "step", "validation"],
)
def test_it_names_step_and_term(config, hparams, train, valid, words):
    loop = jax.jit(run_epoch, static_argnums=0)
    hparams = jax.tree.map(jnp.float32, hparams)
    state, _ = loop(config, KEY, hparams, init_state(config, KEY), train, valid)
    assert state.diverged == 1
    told = diagnose(config, KEY, hparams, jax.device_get(state), train, valid)
    assert words in told
