"""Settings of all tests.

Two host devices, as the programs have on two cores; broadcasting between ranks is an error; the
examples of property tests are the same every time, so that what is red is red again, and have no
deadline: a machine that stands still for a moment is not a fault.
"""

import jax
from hypothesis import settings

jax.config.update("jax_num_cpu_devices", 2)
jax.config.update("jax_numpy_rank_promotion", "raise")
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")
