"""A Dask cluster as an executor; the only module that needs the extra `dask`."""

from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager

from msd_jax.errors import InputError


@contextmanager
def dask_executor(address: str) -> Iterator[tuple[Executor, int]]:
    """An executor over the cluster's workers, and how many calls they take at a time.

    Raises:
      InputError: if Dask is not installed, or the cluster not there.
    """
    try:
        from distributed import Client
    except ImportError:
        raise InputError(
            "--dask_scheduler needs Dask: python -m pip install -e '.[dask]'"
        ) from None
    try:
        client = Client(address, timeout="5s")
    except (OSError, ValueError) as error:
        raise InputError(
            f"--dask_scheduler={address}: no scheduler answers there "
            f"({' '.join(str(error).split())[:200]})"
        ) from error
    with client:
        num_threads = sum(client.ncores().values())
        if not num_threads:
            raise InputError(f"--dask_scheduler={address}: the cluster has no workers: start some")
        yield client.get_executor(), num_threads
