"""The flags of what an ensemble is made of. Free of jax: --help is quick."""

from absl import flags

from msd_jax.config import DECOMPOSITIONS, MEMBERS, POOL_WEIGHTS, POOLINGS

MEMBER = flags.DEFINE_enum(
    "member",
    None,
    MEMBERS,
    "The network of each snippet of the ensemble; an mlp has two hidden layers. By default lstm. "
    "Report: lstm; Silla and Kaestner: mlp.",
)
DECOMPOSITION = flags.DEFINE_enum(
    "decomposition",
    None,
    DECOMPOSITIONS,
    "How a member of the ensemble tells the genre: at once, by K yes-no networks (one_vs_all), or "
    "by one for each of the K (K - 1) / 2 pairs of genres (round_robin). By default none. Report: "
    "none; Silla and Kaestner: all three.",
)
POOLING = flags.DEFINE_enum(
    "pooling",
    None,
    POOLINGS,
    "How the ensemble's members agree; mean is m0, product m1, weighted_mean with learnt weights "
    "m2. All are logged, this one chooses the best epoch. By default product. Report: these "
    "three, product best; Silla and Kaestner: all six.",
)
WEIGHTS = flags.DEFINE_enum(
    "pool_weights",
    None,
    POOL_WEIGHTS,
    "What weighs the members in both weighted rules: learnt weights, or each member's validation "
    "accuracy after the epoch before; joint is learnt, but weighted_product moves the members too, "
    "as in the report's code. By default learnt. Report: learnt; Silla and Kaestner: accuracy.",
)

MEMBERSHIP = (MEMBER, DECOMPOSITION, POOLING, WEIGHTS)
