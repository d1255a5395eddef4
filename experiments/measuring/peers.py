"""What the benchmark compares with: flax and torch here, cuDNN in `cudnn.py`.

Each peer trains one LSTM layer with a linear head as the baseline does: cross-entropy at the last
segment, gradients, Adam at 1e-3, batches of random songs. None has the activation stabiliser, which
costs ours a little.
"""

import importlib.util
import multiprocessing
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from msd_jax.config import Layers


class Size(NamedTuple):
    """Of the model and its songs: the report's."""

    num_hidden: int = 100
    batch_size: int = 50
    num_segments: int = 120
    num_features: int = 25
    num_genres: int = 10

    @property
    def song_flops(self) -> int:
        """`flops_of` the report's one layer."""
        return self.flops_of(Layers())

    def flops_of(self, layers: Layers) -> int:
        """Floating point operations of training on one song: the LSTMs' products, forward, for the
        kernel's gradient, and back through the hidden state and, above the first layer, the inputs.
        """
        num_hidden, width = self.num_hidden, layers.num_directions * self.num_hidden
        first = 2 * (self.num_features + num_hidden) + num_hidden
        above = (layers.num_layers - 1) * (2 * (width + num_hidden) + num_hidden + width)
        once = 2 * self.num_segments * 4 * num_hidden
        return layers.num_directions * once * (first + above)

    @property
    def song_bytes(self) -> int:
        """The least traffic of training on one song in float32: i, j, f, o, c, h and the gates'
        gradients are written once and read once, the inputs read forward and backward.
        """
        return 4 * self.num_segments * 2 * (10 * self.num_hidden + self.num_features)


class Contender(NamedTuple):
    """Something that trains, or a limit of what could.

    what: its name; trials: models trained at once, None for a limit; songs: that one call of `run`
    trains, over all of them; compile_seconds and peak_bytes where they are known; layers: of what
    trains, so that deeper networks are credited with their operations; share: of the
    products over whole songs in such layers, what it computes.
    """

    what: str
    trials: int | None
    songs: int
    run: Callable[[], object]
    compile_seconds: float | None = None
    peak_bytes: int | None = None
    layers: Layers = Layers()
    share: float = 1.0


def random_songs(size: Size, num_batches: int) -> tuple[np.ndarray, np.ndarray]:
    """inputs [N, T, F] and labels [N], N = num_batches x B; not zeros, which are quicker."""
    rng = np.random.default_rng(0)
    num_songs = num_batches * size.batch_size
    shape = (num_songs, size.num_segments, size.num_features)
    inputs = rng.standard_normal(shape, dtype=np.float32)
    return inputs, rng.integers(0, size.num_genres, num_songs).astype(np.int32)


def jax_peer(
    what: str,
    size: Size,
    trials: int,
    num_batches: int,
    init: Callable[[jax.Array], Any],
    apply: Callable[[Any, jax.Array], jax.Array],
) -> Contender:
    """Models init(key) and apply(params, inputs [B, T, F]) -> logits, all batches in one jit."""
    optimizer = optax.adam(1e-3)
    inputs, labels = random_songs(size, num_batches)
    data = (
        jnp.asarray(inputs.reshape(num_batches, size.batch_size, *inputs.shape[1:])),
        jnp.asarray(labels.reshape(num_batches, size.batch_size)),
    )

    def loss(params: Any, inputs: jax.Array, labels: jax.Array) -> jax.Array:
        logits = apply(params, inputs)
        return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()

    def train(state: tuple, data: tuple) -> tuple:
        def step(state: tuple, batch: tuple) -> tuple[tuple, None]:
            params, opt_state = state
            updates, opt_state = optimizer.update(jax.grad(loss)(params, *batch), opt_state)
            return (optax.apply_updates(params, updates), opt_state), None

        return jax.lax.scan(step, state, data)[0]

    def start(key: jax.Array) -> tuple:
        params = init(key)
        return params, optimizer.init(params)

    # One model is not vmapped: cuDNN's layer has no rule for it. Initial values never are: batches
    # of QR decompositions wait for each other in jaxlib's threads until none is left.
    begin = jax.jit(start)
    begun = [
        jax.block_until_ready(begin(key)) for key in jax.random.split(jax.random.key(0), trials)
    ]
    states = jax.tree.map(lambda *models: jnp.stack(models), *begun) if trials > 1 else begun[0]
    program = jax.jit(jax.vmap(train, (0, None)) if trials > 1 else train)
    since = time.perf_counter()
    compiled = program.lower(states, data).compile()
    seconds = time.perf_counter() - since
    memory = compiled.memory_analysis()
    return Contender(
        what + (", vmapped" if trials > 1 else ""),
        trials,
        trials * len(labels),
        lambda: jax.block_until_ready(compiled(states, data)),
        seconds,
        memory and memory.argument_size_in_bytes + memory.temp_size_in_bytes,
    )


def flax_peer(size: Size, trials: int, num_batches: int) -> Contender:
    """flax's nn.RNN over OptimizedLSTMCell, its models vmapped."""
    from flax import linen as nn

    class Classifier(nn.Module):
        @nn.compact
        def __call__(self, inputs: jax.Array) -> jax.Array:
            hidden_states = jnp.asarray(nn.RNN(nn.OptimizedLSTMCell(size.num_hidden))(inputs))
            return nn.Dense(size.num_genres)(hidden_states[:, -1])

    model = Classifier()
    shape = (size.batch_size, size.num_segments, size.num_features)

    def apply(params: dict, inputs: jax.Array) -> jax.Array:
        return jnp.asarray(model.apply(params, inputs))

    def init(key: jax.Array) -> Any:
        return model.init(key, jnp.zeros(shape))

    return jax_peer("flax nn.RNN(OptimizedLSTMCell)", size, trials, num_batches, init, apply)


def has_torch() -> bool:
    """Whether the extra `bench` is installed."""
    return importlib.util.find_spec("torch") is not None


def _torch_worker(size: Size, num_batches: int, threads: int, orders: Connection) -> None:
    """Trains on all batches once for each message, and answers it; None ends it."""
    import torch

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    lstm = torch.nn.LSTM(size.num_features, size.num_hidden, batch_first=True)
    head = torch.nn.Linear(size.num_hidden, size.num_genres)
    optimizer = torch.optim.Adam([*lstm.parameters(), *head.parameters()], lr=1e-3)
    inputs, labels = random_songs(size, num_batches)
    batches = list(
        zip(
            torch.from_numpy(inputs).split(size.batch_size),
            torch.from_numpy(labels).long().split(size.batch_size),
            strict=True,
        )
    )
    while orders.recv() is not None:
        for batch_inputs, batch_labels in batches:
            optimizer.zero_grad()
            logits = head(lstm(batch_inputs)[0][:, -1])
            torch.nn.functional.cross_entropy(logits, batch_labels).backward()
            optimizer.step()
        orders.send("done")


@contextmanager
def torch_peer(size: Size, num_batches: int, processes: int, threads: int) -> Iterator[Contender]:
    """torch's nn.LSTM in processes of their own, one model each; it cannot be vmapped."""
    context = multiprocessing.get_context("spawn")
    pipes, workers = [], []
    for _ in range(processes):
        ours, theirs = context.Pipe()
        arguments = (size, num_batches, threads, theirs)
        worker = context.Process(target=_torch_worker, args=arguments, daemon=True)
        worker.start()
        pipes.append(ours)
        workers.append(worker)

    def run() -> None:
        for pipe in pipes:
            pipe.send("train")
        for pipe in pipes:
            pipe.recv()

    name = f"torch nn.LSTM, processes x threads = {processes} x {threads}"
    try:
        yield Contender(name, processes, processes * num_batches * size.batch_size, run)
    finally:
        for pipe, worker in zip(pipes, workers, strict=True):
            pipe.send(None)
            worker.join(10)
