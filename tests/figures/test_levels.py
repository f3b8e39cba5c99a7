"""Levels of runs whose intervals are those of paired differences."""

import numpy as np
import pandas as pd
import pytest

from spon.figures import levels

DENSE, TEAL = levels.DENSE, levels.TEAL
# TEAL loses 0.4 nats; two seeds of TOP-50 win back 0.1 and 0.3 of it.
PERPLEXITY = pd.DataFrame(
    [(DENSE, None, None, 2.0), (TEAL, "s", None, 2.4), ("TOP", "s", 0, 2.3), ("TOP", "s", 1, 2.1)],
    columns=["allocation", "scope", "seed", "nll_nats_per_token"],
).assign(sparsity=0.5)
CONTRASTS = pd.DataFrame(
    [
        (TEAL, DENSE, None, 0.4, 0.3, 0.5),
        ("TOP", TEAL, 0, -0.1, -0.2, 0.0),
        ("TOP", TEAL, None, -0.2, -0.25, -0.15),
        ("TOP", "UNIF", 0, 9.0, 9.0, 9.0),
    ],
    columns=["allocation", "reference", "seed", "difference_nats_per_token", "low", "high"],
).assign(scope="s", sparsity=0.5, measure="nll")


def test_an_interval_is_that_of_the_difference_around_the_references_level():
    found = levels.measure_levels(PERPLEXITY, CONTRASTS, "nll")
    bounds = found[["level", "low", "high"]].to_numpy()
    assert bounds[[0, 1, 3]] == pytest.approx(
        np.array([[2.4, 2.3, 2.5], [2.3, 2.2, 2.4], [2.2, 2.15, 2.25]])
    )


def test_a_mean_over_seeds_follows_them_and_a_run_without_a_contrast_has_no_interval():
    found = levels.measure_levels(PERPLEXITY, CONTRASTS, "nll")
    assert found["single"].tolist() == [False, True, True, False]
    assert np.isnan(found["seed"].iloc[3])
    assert np.isnan(found["low"].iloc[2])


def test_one_seed_has_no_mean_beside_it():
    found = levels.measure_levels(PERPLEXITY[:3], CONTRASTS, "nll")
    assert len(found) == 2
    assert not found["single"].any()
