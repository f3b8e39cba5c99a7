import json

import numpy as np
import pandas as pd
import pytest
from small_study import DENSE, NOISE, TEAL, UNIF_ALL, gather, reach, score

from spon import stats
from spon.inputs.check import FileError
from spon.tables import methods

METHODS = ["threshold", "wina"]


@pytest.fixture
def table():
    """A second method that is better by 0.1 nats at every block, and with biases by about 0.05."""
    better = score("BASELINE-TEAL", "down_proj", 0.5, pd.NA, 2.4, 0.3)
    corrected = score("UNIF-ALL", "down_proj", 0.5, 0, 2.35, 0.25, noise=NOISE[0])
    reached = reach("down_proj", 0.5, 0.48)
    return methods.tabulate_methods(
        {
            "threshold": gather(DENSE, TEAL, UNIF_ALL),
            "wina": gather(DENSE, better, corrected, thresholds=[reached]),
        }
    )


def pick(table, method, allocation, measure):
    names = (table["method"] == method) & (table["allocation"] == allocation)
    return table[names & (table["measure"] == measure)].squeeze()


def test_a_method_is_compared_with_the_first_one_block_by_block(table):
    row = pick(table, "wina", "BASELINE-TEAL", "nll")
    # Blocks differ by a nat, and the difference by nothing.
    assert row["difference_nats_per_token"] == pytest.approx(-0.1)
    assert row["difference_high"] - row["difference_low"] == pytest.approx(0, abs=1e-9)
    assert row["high"] - row["low"] > 0.01
    assert row["perplexity"] == pytest.approx(np.exp(2.4))
    assert pick(table, "wina", "UNIF-ALL", "kl")["difference_nats_per_token"] == pytest.approx(
        -0.05
    )


def test_the_interval_of_a_difference_is_that_of_its_blocks(table):
    row = pick(table, "wina", "UNIF-ALL", "nll")
    interval = stats.mean_interval(NOISE[0] - 0.05)
    assert row["difference_low"] == pytest.approx(interval.low)
    assert row["p_value"] == pytest.approx(interval.p_value)


def test_holm_counts_the_differences_of_a_measure_and_the_first_method_has_none(table):
    first = table[table["method"] == "threshold"]
    assert first[["difference_nats_per_token", "p_value", "p_holm"]].isna().all(axis=None)
    row = pick(table, "wina", "UNIF-ALL", "nll")
    assert row["p_holm"] == pytest.approx(row["p_value"])  # the larger of two
    assert row["p_value"] > 0.01


def test_every_row_has_the_share_of_weights_that_meets_a_zero(table):
    # Three quarters of the model's weights are in down_proj.
    assert pick(table, "wina", "UNIF-ALL", "nll")["model_sparsity"] == pytest.approx(0.75 * 0.48)
    assert pick(table, "threshold", "UNIF-ALL", "nll")["site_sparsity"] == pytest.approx(0.5)


def test_studies_with_other_evaluations_are_not_compared():
    with pytest.raises(AssertionError, match="the method wina has other evaluations"):
        methods.tabulate_methods(
            {"threshold": gather(DENSE, TEAL, UNIF_ALL), "wina": gather(DENSE, TEAL)}
        )


@pytest.mark.parametrize("name", ["model", "protocol"])
def test_studies_of_another_model_or_text_are_not_compared(tmp_path, name):
    paths = {f"{method}_{kind}": "" for method in METHODS for kind in methods.FILES}
    for method in METHODS:
        for kind, content in {"model": {"files": {}}, "protocol": {"protocol": "a1"}}.items():
            paths[f"{method}_{kind}"] = tmp_path / f"{method}_{kind}.json"
            paths[f"{method}_{kind}"].write_text(json.dumps(content))
    key = {"model": "files", "protocol": "protocol"}[name]
    paths[f"wina_{name}"].write_text(json.dumps({key: "other"}))
    with pytest.raises(FileError, match=f"wina_{name}.json and .*threshold_{name}.json differ"):
        methods.read_methods(paths, {"methods": METHODS})
