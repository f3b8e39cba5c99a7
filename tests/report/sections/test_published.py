"""Numbers by the published definitions."""

import pandas as pd
from small_findings import write

from spon.report.sections import published

RUN = {"allocation": "TOP-50", "sparsity": 0.5, "seed": 0}
SHIFT = RUN | {"definition": "as_published", "place": "site"}


def test_the_recovery_of_the_shift_is_a_mean_of_ratios_and_beside_it_the_ratio_of_means():
    sites = [
        SHIFT | {"site": "a", "teal_shift": 1.0, "spon_shift": 1.5, "recovery_percent": -50.0},
        SHIFT | {"site": "b", "teal_shift": 3.0, "spon_shift": 2.7, "recovery_percent": 10.0},
        SHIFT | {"site": "all", "teal_shift": 9.0, "spon_shift": 9.0, "recovery_percent": 0.0},
    ]
    # (-50 + 10) / 2, and 1 - 4.2 / 4.
    assert published.describe_published_shift(pd.DataFrame(sites)) == ["-20.0 %", "-5.0 %"]


def test_changes_are_in_percent_of_teal_and_of_dense():
    text = write().split("## As published")[1].split("\n## ")[0]
    # exp(2.4) against exp(2.5) and exp(2).
    assert "| UNIF-ALL | 50 % | 11.02 | -9.52 % | +49.18 % | 24.2 % |" in text


def test_the_pooled_frontier_is_over_all_scopes_and_the_last_digit_decides():
    columns = ["allocation", "scope", "sparsity", "seed", "bias_parameters", "perplexity"]
    table = pd.DataFrame(
        [
            ("DENSE", "", 0.0, None, 0, 10.0),
            ("BASELINE-TEAL", "down_proj", 0.5, None, 0, 12.0),
            ("BASELINE-TEAL", "o_proj", 0.5, None, 0, 11.0),
            ("TOP-50", "down_proj", 0.5, 0, 4, 11.5),
            ("ATTN-ONLY", "o_proj", 0.5, 0, 8, 10.999),
        ],
        columns=columns,
    )
    assert published.pool_frontier(table, {}).endswith(
        "is: BASELINE-TEAL (o_proj, 50 %) and ATTN-ONLY (o_proj, 50 %)."
    )


def test_differences_of_two_allocations_are_those_of_the_first_and_the_last_layer():
    pair = RUN | {"comparison": "allocation", "reference": "UNIF-ALL"}
    sites = [
        pair | {"layer": 0, "cosine": 0.98, "l2_difference": 0.072},
        pair | {"layer": 1, "cosine": 0.70, "l2_difference": 0.26},
    ]
    text = published.tabulate_differences(pd.DataFrame(sites))
    assert "| TOP-50 50 % | UNIF-ALL | 0.840 | 0.072 / 0.26 |" in text
    assert published.tabulate_differences(pd.DataFrame([sites[0] | {"comparison": "seed"}])) == ""


def test_a_study_of_biases_alone_has_the_published_kurtosis():
    statistics = pd.DataFrame([RUN | {"kurtosis_as_published": -2.5}])
    text = published.describe_as_published({}, bias_statistics=statistics)
    assert "-2.50 for TOP-50 50 %" in text
    assert published.describe_as_published({}) == ""
