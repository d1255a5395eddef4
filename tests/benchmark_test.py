"""The benchmark's arithmetic, and its contenders at a small size."""

import pytest

from experiments.measuring.peers import Contender, Size, flax_peer, sgemm_gflops
from experiments.measuring.rows import MODELS, make_rows, our_contender, take_turns
from msd_jax.config import Layers

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


def test_rows_by_hand():
    ours = Contender("msd_jax baseline", 8, 400, lambda: None, 3.0, 10**6)
    slow, fast = (Contender(name, 1, 100, lambda: None) for name in ("slow", "fast"))
    # 400 songs in 2 s; 100 in 4 s and in 1 s; 33.6 MFLOP a song, a limit of 100 GFLOP/s.
    first, _, third, limit = make_rows([ours, slow, fast], [2.0, 4.0, 1.0], 100.0, Size())
    assert (first["songs_per_second"], first["ratio_to_best_peer"]) == (200.0, 2.0)
    assert first["gflops"] == pytest.approx(200 * 0.0336)
    assert first["fraction_of_sgemm"] == pytest.approx(200 * 0.0336 / 100)
    assert third["ratio_to_best_peer"] == 1.0
    assert limit["gflops"] == 100.0
    assert all(row.keys() == first.keys() for row in (third, limit))


def test_contenders_take_turns():
    calls: list[str] = []
    contenders = [Contender(name, 1, 1, lambda name=name: calls.append(name)) for name in "ab"]
    seconds, limit = take_turns(contenders, 3)
    assert "".join(calls) == "ab" + "ab" * 3  # once to warm up
    assert len(seconds) == 2
    assert limit > 0


@pytest.mark.parametrize("name", [*MODELS, "baseline, 2 layers, dropout"])
def test_our_models_run(name):
    contender = our_contender(name, TINY, 2)
    assert (contender.trials, contender.songs) == (2, 2 * 32 * 2)  # trials x batches x B
    contender.run()
    assert contender.compile_seconds > 0
    assert contender.peak_bytes > 0


def test_flax_runs_and_so_does_the_limit():
    contender = flax_peer(TINY, 2, 3)
    assert contender.songs == 2 * 3 * 2
    contender.run()
    assert sgemm_gflops(64) > 0
