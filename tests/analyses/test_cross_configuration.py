"""Pairs of biases whose angle and distance can be seen by eye."""

import numpy as np
import pytest
from published_biases import agrees, gather_published, needs_published, read_published_table

from spon.analyses import cross_configuration
from spon.analyses.runs import Run

SITES = [f"model.layers.{layer}.mlp.down_proj" for layer in range(3)]
EAST, NORTH, UP = np.eye(3)


def make(allocation, *biases, sparsity=0.5, seed=0, first=0):
    return Run(allocation, sparsity, seed, dict(zip(SITES[first:], biases, strict=False)))


UNIF_ALL = make("UNIF-ALL", EAST, NORTH, UP)


def compare(*runs):
    return cross_configuration.describe_cross_configuration(runs)


def test_the_table_has_the_columns_that_were_promised():
    assert ", ".join(compare(UNIF_ALL).columns) == (
        "comparison, allocation, sparsity, seed, reference, reference_sparsity, reference_seed, "
        "site, layer, map, cosine, l2_difference, null_95"
    )
    assert compare(UNIF_ALL).empty, "one run has nothing to be compared with"


def test_identical_biases_have_cosine_one_and_orthogonal_ones_zero():
    table = compare(make("TOP-50", EAST, 2 * UP), UNIF_ALL)
    assert table["cosine"].tolist() == [1, 0]
    np.testing.assert_allclose(table["l2_difference"], [0, 5**0.5])


def test_length_changes_the_difference_and_not_the_cosine():
    row = compare(make("TOP-50", -3 * EAST), UNIF_ALL).iloc[0]
    assert (row["cosine"], row["l2_difference"]) == (-1, 4)


def test_the_null_is_that_of_random_directions():
    # In three dimensions 95 % of random directions stay under a cosine of 0.95.
    assert compare(make("TOP-50", EAST), UNIF_ALL)["null_95"].tolist() == pytest.approx([0.95])


def test_only_shared_sites_are_compared():
    table = compare(make("BOTTOM-50", NORTH, UP, first=1), UNIF_ALL)
    assert table["layer"].tolist() == [1, 2]
    assert compare(make("TOP-50", EAST), make("BOTTOM-50", UP, first=2)).empty


@pytest.mark.parametrize("swapped", [False, True])
def test_the_run_with_more_sites_is_the_reference(swapped):
    runs = [UNIF_ALL, make("TOP-50", EAST)]
    row = compare(*(runs[::-1] if swapped else runs)).iloc[0]
    assert (row["comparison"], row["allocation"], row["reference"]) == (
        "allocation",
        "TOP-50",
        "UNIF-ALL",
    )
    assert (row["sparsity"], row["reference_sparsity"], row["seed"], row["reference_seed"]) == (
        0.5,
        0.5,
        0,
        0,
    )


@pytest.mark.parametrize("swapped", [False, True])
def test_repeats_are_compared_with_the_first_seed_and_other_sparsities_with_the_lowest(swapped):
    repeat, sparser = make("UNIF-ALL", EAST, seed=1), make("UNIF-ALL", EAST, sparsity=0.6)
    base = make("UNIF-ALL", NORTH)
    for run, name in ((repeat, "seed"), (sparser, "sparsity")):
        pair = (base, run) if swapped else (run, base)
        row = compare(*pair).iloc[0]
        assert row["comparison"] == name
        assert (row["sparsity"], row["seed"]) == (run.sparsity, run.seed)
        assert (row["reference_sparsity"], row["reference_seed"]) == (0.5, 0)


def test_runs_that_differ_in_two_things_are_not_compared():
    assert compare(make("TOP-50", EAST, seed=1), UNIF_ALL).empty
    assert compare(make("UNIF-ALL", EAST, seed=1, sparsity=0.6), UNIF_ALL).empty


def test_every_pair_of_a_sweep_is_compared_once():
    runs = [
        make(name, EAST, sparsity=s, seed=seed)
        for name in "AB"
        for s in (0.5, 0.6)
        for seed in (0, 1)
    ]
    table = compare(*runs)
    assert table["comparison"].value_counts().to_dict() == {
        "allocation": 4,
        "sparsity": 4,
        "seed": 4,
    }


@needs_published
def test_the_published_cosines_and_all_but_two_published_differences_are_found(tmp_path):
    table = compare(*gather_published(tmp_path))
    printed = read_published_table("cross_config")
    assert set(zip(table["allocation"], table["reference"], strict=True)) == {
        ("TOP-50", "UNIF-ALL")
    }
    rows = list(zip(table.to_dict("records"), printed, strict=True))
    assert all(agrees(row["cosine"], expected["cosine"]) for row, expected in rows)
    wrong = {
        row["layer"]: (round(row["l2_difference"], 5), expected["l2_difference"])
        for row, expected in rows
        if not agrees(row["l2_difference"], expected["l2_difference"])
    }
    assert wrong == {1: (0.00848, "0.009"), 4: (0.01346, "0.014")}, "two were rounded up"
    assert round(table["cosine"].mean(), 3) == 0.943
    assert (table["cosine"] > table["null_95"]).all()
