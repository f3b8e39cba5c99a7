import json

import pandas as pd

from spon.report.metrics import collect_metrics

PLACE = {"scope": "down_proj", "sparsity": 0.5}
PERPLEXITY = pd.DataFrame(
    [
        {"allocation": "DENSE", "scope": "", "sparsity": 0.0, "perplexity": 10.0},
        PLACE | {"allocation": "BASELINE-TEAL", "perplexity": 12.0},
        PLACE | {"allocation": "SMALL", "seed": 0, "bias_parameters": 5},
        PLACE | {"allocation": "LARGE", "seed": 0, "bias_parameters": 10},
        PLACE | {"allocation": "LARGE", "seed": 1, "bias_parameters": 10},
        PLACE | {"allocation": "MEAN", "seed": 0, "bias_parameters": 10},
    ]
)
ALLOCATIONS = {"LARGE": {"learn": "kl"}, "MEAN": {"learn": "mean_residual"}}
RECOVERY = pd.DataFrame(
    [
        PLACE | {"allocation": "LARGE", "seeds": 1, "measure": "kl", "recovery_percent": 30.0},
        PLACE | {"allocation": "LARGE", "seeds": 2, "measure": "kl", "recovery_percent": 29.0},
        PLACE | {"allocation": "LARGE", "seeds": 2, "measure": "nll", "recovery_percent": 25.0},
    ]
)


def test_a_scope_counts_by_its_trained_allocation_with_the_most_biases_over_all_trainings():
    metrics = collect_metrics(PERPLEXITY, RECOVERY, ALLOCATIONS)
    shares = {"kl_recovered_percent": 29.0, "nll_recovered_percent": 25.0}
    assert metrics == {"dense_perplexity": 10.0, "LARGE": {"s0.5": shares}}


def test_a_share_that_is_not_known_is_null():
    unknown = RECOVERY.assign(recovery_percent=float("nan"))
    metrics = collect_metrics(PERPLEXITY, unknown, ALLOCATIONS)
    assert '"kl_recovered_percent": null' in json.dumps(metrics, allow_nan=False)
