"""What findings say about biases by themselves, on a site or two."""

import pandas as pd

from spon.report.sections import biases

RUN = {"allocation": "TOP-50", "sparsity": 0.5, "seed": 0}
SITE = RUN | {"site": "model.layers.0.mlp.down_proj", "layer": 0, "map": "mlp.down_proj"}
NEXT = {"site": "model.layers.1.mlp.down_proj", "layer": 1}
STATISTICS = SITE | {
    "d_out": 128,
    "l2_norm": 0.25,
    "std": 0.02,
    "max_abs": 0.1,
    "kurtosis_as_published": -2.5,
    "positive_fraction": 0.5,
    "positive_low": 0.41,
    "positive_high": 0.59,
    "mean_over_std": 0.01,
    "skewness": 0.2,
    "excess_kurtosis": 3.0,
    "kurtosis_null_low": -0.6,
    "kurtosis_null_high": 0.9,
    "outliers": 1,
    "outlier_coordinates": 23.0,
    "excess_kurtosis_without_outliers": 0.1,
}
NORMS = SITE | {"l2_norm": 0.25, "boundary": False, "norm_over_widest": 1.0}
NORMS |= {
    "spearman_rho": 1.0,
    "spearman_p": 0.01,
    "spearman_rho_inside": 1.0,
    "spearman_p_inside": 0.02,
}
COSINE = SITE | {
    "comparison": "allocation",
    "reference": "UNIF-ALL",
    "reference_sparsity": 0.5,
    "reference_seed": 0,
}
COSINE |= {"cosine": 0.9, "l2_difference": 0.1, "null_95": 0.17}


def test_entries_with_heavy_tails_are_told_from_normal_ones():
    text = biases.describe_statistics(pd.DataFrame([STATISTICS, STATISTICS | NEXT]), {})
    assert "| TOP-50 50 % | 0.01 | 0.20 | 3.0 | 0.1 | 2/2 sites | 50 % |" in text
    assert "Of 2 sites, 2 have heavier tails than normal numbers and none lighter ones" in text
    assert "Without outlier entries none remain heavier." in text
    assert "At no site do positive and negative entries differ in number" in text
    uneven = pd.DataFrame([STATISTICS | {"positive_low": 0.51}])
    assert "are not equally many at 1 of 1 sites" in biases.conclude_signs(uneven)


def test_norms_grow_only_if_no_random_order_of_the_layers_would_do():
    edge = NORMS | NEXT | {"boundary": True, "norm_over_widest": 1.5, "l2_norm": 0.5}
    text = biases.describe_norms(pd.DataFrame([NORMS, edge]))
    assert "| TOP-50 | 50 % | 0.25 to 0.50 | 1.00 | 0.010 | 1.00 | 1.50 times |" in text
    assert "The norm grows with depth in 1 of 1 run" in text
    assert "The edge of an allocation inflates the norm." in text
    unsure = pd.DataFrame([NORMS | {"spearman_p": 0.3}])
    assert "In none of 1 run does the norm grow or fall" in biases.conclude_norms(unsure)


def test_the_agreement_of_runs_stands_beside_chance_and_another_seed():
    again = COSINE | {
        "comparison": "seed",
        "reference": "TOP-50",
        "reference_seed": 1,
        "cosine": 0.7,
    }
    text = biases.describe_agreement(pd.DataFrame([COSINE, again]), {})
    assert "| another allocation | TOP-50 50 % | UNIF-ALL 50 % | 1 | 0.900 | 0.90 / 0.90 |" in text
    assert (
        "At 1 of the 1 sites that both have, two allocations agree more than two seeds of one; "
        "part of that" in text
    )
    elsewhere = biases.conclude_agreement(pd.DataFrame([COSINE, again | {"sparsity": 0.8}]))
    # There is no other seed at the same sparsity to compare with.
    assert elsewhere == "All 2 cosines lie beyond chance."
    alone = biases.conclude_agreement(pd.DataFrame([COSINE, COSINE | {"cosine": 0.1}]))
    assert alone.startswith("1 of 2 cosines lie beyond chance.")
    assert "There is no second seed" in alone
