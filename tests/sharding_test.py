"""Eight host devices, in a child process: these tests themselves run on two."""

import subprocess
import sys
from pathlib import Path

CHILD = """
import jax
jax.config.update("jax_num_cpu_devices", 8)
import chex
from msd_jax.devices import make_layout
from msd_jax.sweep import Trial
from tests.small import CONFIG
from tests.sweep_test import train

assert jax.device_count() == 8
trials = [Trial(seed, learning_rate=0.01, beta=seed % 3) for seed in range(11)]
assert make_layout(11, CONFIG.batch_size).size == 16  # two on each device, five of them padding
on_one, on_two, on_eight = (train(CONFIG, trials, number, num_epochs=2) for number in (1, 2, 8))
chex.assert_trees_all_equal(on_one, on_two)
chex.assert_trees_all_equal(on_one, on_eight)
assert on_one[0].best_epoch.max() > 0
print("equal")
"""


def test_one_two_and_eight_devices_give_the_same_bits():
    done = subprocess.run(
        [sys.executable, "-c", CHILD],
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.stdout == "equal\n", done.stderr
