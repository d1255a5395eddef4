"""How trials lie on the devices: the leading axis R along a one-dimensional mesh of all of them.

On a CPU each device maps over its trials one at a time: a batched product of small matrices is a
loop of small products there, and one trial's working set stays in the cache. On an accelerator a
device takes all of its trials at once. One trial alone has its batches divided over the devices
instead, and XLA adds what that takes.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from msd_jax import processes
from msd_jax.errors import InputError
from msd_jax.npz import machine_memory


class Layout(NamedTuple):
    """Where the trials of a program lie.

    mesh: all devices in a row; size: places for trials, R and padding; trials_per_call: trials that
    one device takes at once; split_batch: whether the one trial's batches are divided instead.
    """

    mesh: Mesh
    size: int
    trials_per_call: int
    split_batch: bool

    @property
    def everywhere(self) -> NamedSharding:
        """The same on every device."""
        return NamedSharding(self.mesh, PartitionSpec())

    @property
    def divided(self) -> NamedSharding:
        """The leading axis over the devices."""
        return NamedSharding(self.mesh, PartitionSpec("devices"))

    @property
    def trials(self) -> NamedSharding:
        """Of arrays with the leading axis R."""
        return self.everywhere if self.split_batch else self.divided

    @property
    def batch(self) -> NamedSharding | None:
        """Of a batch's songs; None where it lies whole on one device."""
        return self.divided if self.split_batch else None


def make_layout(
    num_trials: int,
    batch_size: int,
    devices: Sequence[jax.Device] | None = None,
    allow_split: bool = True,
) -> Layout:
    """The layout for R trials on the devices, all of them if not given.

    A single trial's batches are divided where `allow_split` is true and the devices divide them
    evenly; its numbers then agree with those of a whole batch to rounding, not to the bit.
    """
    devices = jax.devices() if devices is None else devices
    mesh = jax.make_mesh((len(devices),), ("devices",), (AxisType.Auto,), devices=devices)
    if allow_split and num_trials == 1 and len(devices) > 1 and batch_size % len(devices) == 0:
        return Layout(mesh, size=1, trials_per_call=1, split_batch=True)
    per_device = -(-num_trials // len(devices))
    trials_per_call = 1 if devices[0].platform == "cpu" else per_device
    return Layout(mesh, per_device * len(devices), trials_per_call, split_batch=False)


def map_trials(function: Callable[[Any, Any], Any], layout: Layout) -> Callable[[Any, Any], Any]:
    """Maps function(trial, shared) over the leading axis R of `trial`.

    Args:
      function: of a tree of one trial and a tree that all trials share.
      layout: of the trials.

    Returns:
      A function of trees with the leading axis R, and of the shared one.
    """
    if layout.split_batch:
        return lambda trials, shared: jax.tree.map(
            lambda x: x[None], function(jax.tree.map(lambda x: x[0], trials), shared)
        )

    def on_one_device(trials: Any, shared: Any) -> Any:
        batch_size = layout.trials_per_call if layout.trials_per_call > 1 else None
        return jax.lax.map(lambda trial: function(trial, shared), trials, batch_size=batch_size)

    specs = layout.trials.spec
    return jax.shard_map(
        on_one_device,
        mesh=layout.mesh,
        in_specs=(specs, layout.everywhere.spec),
        out_specs=specs,
        check_vma=False,
    )


def place(tree: Any, sharding: NamedSharding) -> Any:
    """Host arrays, on the devices; every process holds the whole arrays and gives its share."""
    return jax.tree.map(
        lambda x: jax.make_array_from_callback(x.shape, sharding, lambda index: x[index]), tree
    )


def place_trials(tree: Any, layout: Layout) -> Any:
    """Host arrays [R, ...], padded with repetitions, on the devices."""

    def pad(x: np.ndarray) -> np.ndarray:
        return x[np.resize(np.arange(len(x)), layout.size)]

    return place(jax.tree.map(pad, tree), layout.trials)


def to_host(tree: Any, num_trials: int) -> Any:
    """The R trials' leaves as host arrays [R, ...] in every process, the padding left out."""
    if jax.process_count() > 1:
        tree = multihost_utils.process_allgather(tree, tiled=True)
    return jax.tree.map(lambda x: np.array(x[:num_trials]), jax.device_get(tree))


def set_precision(precision: str) -> None:
    """How float32 products are rounded on a GPU: one of config.PRECISIONS; before any program.

    Raises:
      InputError: for "tf32" on a CPU, which has no such products.
    """
    on_cpu = jax.devices()[0].platform == "cpu"
    if precision == "tf32" and on_cpu:
        raise InputError("--precision=tf32 has no effect on a CPU: leave it out")
    if not on_cpu:
        name = {"highest": "highest", "tf32": "tensorfloat32"}[precision]
        jax.config.update("jax_default_matmul_precision", name)


def memory_budget() -> int:
    """Bytes that a program may take on each device: half of the machine's memory, divided over the
    devices of all processes that share it, or nine tenths of an accelerator's own.
    """
    devices = jax.local_devices()
    stats = None if devices[0].platform == "cpu" else devices[0].memory_stats()
    if stats and "bytes_limit" in stats:
        return stats["bytes_limit"] * 9 // 10
    hosts = processes.hosts()
    sharing = hosts.count(hosts[jax.process_index()])
    return machine_memory() // 2 // (sharing * len(devices))
