"""A study of four layers whose tables can be worked out by hand."""

import numpy as np
import pandas as pd

from spon.allocate import allocate_biases, list_sites
from spon.tables import outcomes

DOWN, OUT = "mlp.down_proj", "self_attn.o_proj"
# 12 and 4 weights per layer: down_proj holds three quarters of them.
SHAPE = {
    "layers": 4,
    "linear_weights": 64,
    "maps": {DOWN: {"d_in": 6, "d_out": 2}, OUT: {"d_in": 2, "d_out": 2}},
}
SCOPES = {"down_proj": [DOWN], "o_proj": [OUT]}
LAYERS = {
    "UNIF-ALL": "all",
    "TOP-75": {"first": 0.75},
    "TOP-50": {"first": 0.5},
    "BOTTOM-50": {"last": 0.5},
}
LAYERS |= {"OUTER": [0, 3], "INNER": [1, 2], "LAYER-0": [0]}
SITES = [
    allocate_biases(SHAPE, [DOWN], [DOWN], layers).assign(allocation=a)
    for a, layers in LAYERS.items()
]
SITES.append(allocate_biases(SHAPE, [OUT], [OUT], "all").assign(allocation="ATTN-ONLY"))
SITES = [rows.assign(learn="kl") for rows in SITES]
ways = {"MEAN-DOWN": "mean_residual", "FISHER-DOWN": "fisher", "MODE-DOWN": "mode"}
for name, learn in ways.items():
    SITES.append(SITES[0].assign(allocation=name, learn=learn))
BLOCKS, PREDICTIONS = 60, 10
# Some blocks of text are harder than others, for every model alike; the mean is zero.
TEXT = np.tile([-1.0, 0.0, 1.0], BLOCKS // 3)
# Two series without mean that wander, so that what they are added to is uncertain.
NOISE = [
    np.repeat([0.3, -0.3, -0.1, 0.1], BLOCKS // 4),
    np.repeat([0.1, -0.1, 0.3, -0.3], BLOCKS // 4),
]


def score(allocation, scope, sparsity, seed, nll, kl, noise=0.0, cooled=0.01, entropy=2.0):
    """One evaluation: nats per token above the text's own, and the noise in them.

    At its own temperature its negative log-likelihood is lower by `cooled`.
    """
    keys = {"allocation": allocation, "scope": scope, "sparsity": sparsity, "seed": seed}
    return pd.DataFrame(
        {**keys, "block": range(BLOCKS), **measure_blocks(nll, kl, noise, cooled, entropy)}
    )


def measure_blocks(nll, kl, noise=0.0, cooled=0.01, entropy=2.0, blocks=range(BLOCKS)):
    """The columns of an evaluation that do not name it."""
    text = TEXT[list(blocks)]
    return {
        "predictions": PREDICTIONS,
        "nll_nats": PREDICTIONS * (nll + text + noise),
        "kl_nats": PREDICTIONS * np.full(len(text), kl),
        "entropy_nats": PREDICTIONS * np.full(len(text), entropy),
        "top1": np.full(len(text), PREDICTIONS - 1),
        "nll_at_temperature_nats": PREDICTIONS * (nll - cooled + text + noise),
        "kl_at_temperature_nats": PREDICTIONS * np.full(len(text), 0.9 * kl),
        "temperature": 1 + 10 * cooled,
        "kl_median": kl / 2,
        "kl_95": 3 * kl,
        "kl_99": 5 * kl,
    }


DENSE = score("DENSE", "", np.nan, pd.NA, 2.0, 0.0)
TEAL = score("BASELINE-TEAL", "down_proj", 0.5, pd.NA, 2.5, 0.4)
UNIF_ALL = score("UNIF-ALL", "down_proj", 0.5, 0, 2.4, 0.3)
TOP_75 = score("TOP-75", "down_proj", 0.5, 0, 2.41, 0.31)
TOP_50 = score("TOP-50", "down_proj", 0.5, 0, 2.42, 0.32)
BOTTOM_50 = score("BOTTOM-50", "down_proj", 0.5, 0, 2.46, 0.38)
ATTN_TEAL = score("BASELINE-TEAL", "o_proj", 0.5, pd.NA, 2.1, 0.1)
ATTN_ONLY = score("ATTN-ONLY", "o_proj", 0.5, 0, 2.02, 0.02)
ALL = [DENSE, TEAL, UNIF_ALL, TOP_75, TOP_50, BOTTOM_50, ATTN_TEAL, ATTN_ONLY]


def reach(scope, sparsity, reached):
    """The thresholds of a scope, whose sites all reach the same sparsity."""
    names = {"scope": scope, "sparsity": sparsity, "sparsity_sparse_pass": reached}
    return list_sites(SHAPE, SCOPES[scope], range(4))[["site"]].assign(**names)


def reach_what_was_asked(*evaluations):
    """The thresholds of some evaluations whose sites reach the sparsity that was asked for."""
    baselines = pd.concat(evaluations).dropna(subset="sparsity")
    places = baselines[["scope", "sparsity"]].drop_duplicates().itertuples(index=False)
    return [reach(scope, sparsity, sparsity) for scope, sparsity in places]


def gather(*evaluations, thresholds=()):
    """Put evaluations side by side, which reach the sparsity asked for if nothing else is said."""
    asked = [reach("down_proj", 0.5, 0.5), *reach_what_was_asked(*evaluations)]
    return outcomes.gather_outcomes(
        pd.concat(evaluations),
        pd.concat(SITES),
        pd.concat(thresholds or asked).drop_duplicates(),
        SHAPE,
        list(SCOPES),
        protocol="a1b2",
    )
