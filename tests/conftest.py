"""Two host devices, as the programs have on two cores; broadcasting between ranks is an error."""

import jax

jax.config.update("jax_num_cpu_devices", 2)
jax.config.update("jax_numpy_rank_promotion", "raise")
