"""The tests of msd_jax: one file a module, and the whole programs."""
