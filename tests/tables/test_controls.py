"""Controls: what training gains beside what gains as much, or less, without it."""

import numpy as np
import pandas as pd
import pytest
from small_study import ALL, BLOCKS, DENSE, NOISE, TEAL, UNIF_ALL, gather, measure_blocks, score

from spon.tables import controls

MEAN_DOWN = score("MEAN-DOWN", "down_proj", 0.5, 0, 2.45, 0.35)
REPEATED = score("UNIF-ALL", "down_proj", 0.5, 1, 2.398, 0.298)


def tabulate(*evaluations, on_dense=controls.NO_BLOCKS, draws=controls.NO_BLOCKS):
    return controls.tabulate_controls(gather(*evaluations), on_dense, draws)


def choose(table, control, allocation="UNIF-ALL"):
    """The rows of one control beside one allocation."""
    rows = table[(table["control"] == control) & (table["allocation"] == allocation)]
    return rows.set_index("measure")


def block_rows(allocation, nll, kl, blocks=range(BLOCKS), seed=0, cooled=0.01, **more):
    names = {"allocation": allocation, "sparsity": 0.5, "seed": seed, "block": list(blocks)}
    return pd.DataFrame({**names, **measure_blocks(nll, kl, 0.0, cooled, blocks=blocks), **more})


def test_the_mean_residual_gains_half_of_what_training_gains():
    table = tabulate(*ALL, MEAN_DOWN)
    # Beside the trained run at the same sites, not TOP-75.
    assert set(table.loc[table["control"] == "mean_residual", "allocation"]) == {"UNIF-ALL"}
    rows = choose(table, "mean_residual")
    assert rows.index.tolist() == ["nll", "kl"]
    nll = rows.loc["nll"]
    assert (nll["reference"], nll["scope"], nll["seed"], nll["seeds"]) == (
        *("MEAN-DOWN", "down_proj"),
        *(0, 1),
    )
    assert nll["trained_gain_nats_per_token"] == pytest.approx(0.1)
    assert nll["control_gain_nats_per_token"] == pytest.approx(0.05)
    assert nll["difference_nats_per_token"] == pytest.approx(0.05)
    assert nll["share_of_trained_percent"] == pytest.approx(50)


def test_untrained_biases_go_by_how_they_are_learned():
    fisher = score("FISHER-DOWN", "down_proj", 0.5, 0, 2.42, 0.34)
    rows = choose(tabulate(*ALL, fisher, MEAN_DOWN), "fisher")
    assert rows["reference"].tolist() == ["FISHER-DOWN"] * 2
    np.testing.assert_allclose(rows["share_of_trained_percent"].astype(float), [80, 60])


def test_a_control_with_one_seed_stands_beside_all_trainings_together():
    rows = choose(tabulate(*ALL, REPEATED, MEAN_DOWN), "mean_residual").loc["nll"]
    assert rows["seeds"].tolist() == [1, 2]
    assert rows["seed"].isna().tolist() == [False, True]
    # Alone 0.1, both together 0.101.
    np.testing.assert_allclose(rows["trained_gain_nats_per_token"].astype(float), [0.1, 0.101])
    np.testing.assert_allclose(rows["share_of_trained_percent"].astype(float), [50, 5 / 0.101])
    assert rows["p_holm"].isna().tolist() == [True, False]


def test_a_control_with_the_seeds_of_training_is_paired_with_each():
    second = score("MEAN-DOWN", "down_proj", 0.5, 1, 2.448, 0.35)
    rows = choose(tabulate(*ALL, REPEATED, MEAN_DOWN, second), "mean_residual").loc["nll"]
    assert rows["seeds"].tolist() == [1, 1, 2]
    # Both differ from training by 0.05, so their mean does for certain.
    together = rows.iloc[-1]
    difference = together[["difference_nats_per_token", "low", "high"]].astype(float)
    np.testing.assert_allclose(difference, 0.05)
    assert together["control_gain_nats_per_token"] == pytest.approx(0.051)


def test_one_temperature_has_a_share_of_what_training_gains():
    warm = score("BASELINE-TEAL", "down_proj", 0.5, pd.NA, 2.5, 0.4, cooled=0.03)
    rows = choose(tabulate(DENSE, warm, UNIF_ALL), "temperature")
    assert rows["reference"].tolist() == ["BASELINE-TEAL"] * 2
    np.testing.assert_allclose(rows["control_gain_nats_per_token"].astype(float), [0.03, 0.04])
    np.testing.assert_allclose(rows["share_of_trained_percent"].astype(float), [30, 40])


def test_what_biases_gain_on_the_dense_model_is_no_repair():
    rows = choose(tabulate(*ALL, on_dense=block_rows("UNIF-ALL", 1.98, 0.01)), "dense_model")
    assert rows.loc["nll", "control_gain_nats_per_token"] == pytest.approx(0.02)  # dense is 2.0
    assert rows.loc["nll", "share_of_trained_percent"] == pytest.approx(20)
    assert rows.loc["kl", "control_gain_nats_per_token"] == pytest.approx(
        -0.01
    )  # away from the dense model
    assert rows.loc["nll", "reference"] == "DENSE"


def test_a_gain_that_a_temperature_has_too_vanishes_where_each_model_has_its_own():
    dense = score("DENSE", "", np.nan, pd.NA, 2.0, 0.0, cooled=0.02)
    confident = block_rows("UNIF-ALL", 1.98, 0.01, cooled=0.0)
    table = tabulate(dense, TEAL, UNIF_ALL, on_dense=confident)
    rows = choose(table, "dense_model").loc["nll_at_temperature"]
    # The dense model at its temperature is 1.98 as well; TEAL less the run is 0.1 as before.
    assert rows["control_gain_nats_per_token"] == pytest.approx(0)
    assert rows["trained_gain_nats_per_token"] == pytest.approx(0.1)
    assert rows["p_holm"] < 0.05
    beside = choose(table, "dense_temperature").loc["nll"]
    assert beside["control_gain_nats_per_token"] == pytest.approx(0.02)
    assert beside["reference"] == "DENSE"


def test_random_directions_are_compared_on_their_own_blocks_and_their_range_is_kept():
    few = range(0, BLOCKS, 2)
    draws = pd.concat(
        [
            block_rows("RANDOM-DOWN", nll, 0.5, few, draw=draw, norms_of="UNIF-ALL")
            for draw, nll in enumerate([2.6, 2.5, 2.7])
        ]
    )
    nll = choose(tabulate(*ALL, draws=draws), "random").loc["nll"]
    assert (nll["draws"], nll["blocks"]) == (3, 30)
    assert nll["control_gain_nats_per_token"] == pytest.approx(
        -0.1
    )  # 2.5 of TEAL less 2.6 on average
    assert (nll["control_low"], nll["control_high"]) == pytest.approx((-0.2, 0.0))
    assert nll["difference_nats_per_token"] == pytest.approx(0.2)


def test_a_study_without_runs_has_an_empty_table():
    table = tabulate(DENSE, TEAL)
    assert len(table) == 0
    assert {"share_of_trained_percent", "p_holm", "seeds"} <= set(table)


def test_a_share_of_no_gain_is_not_applicable():
    noisy = score("UNIF-ALL", "down_proj", 0.5, 0, 2.5, 0.4, noise=NOISE[0])
    rows = choose(tabulate(DENSE, TEAL, noisy, MEAN_DOWN), "mean_residual")
    assert np.isnan(rows.loc["nll", "share_of_trained_percent"])


def test_the_interval_of_a_share_ends_where_its_null_is_just_not_rejected():
    noisy = score("UNIF-ALL", "down_proj", 0.5, 0, 2.2, 0.3, noise=0.2 * NOISE[0])
    row = choose(tabulate(DENSE, TEAL, noisy, MEAN_DOWN), "mean_residual").loc["nll"]
    # Only the trained gain of 0.3 is uncertain, so the share is 0.05 over the ends of its own.
    trained = gather(DENSE, TEAL, noisy).gain("nll", 2).interval()
    expected = 5 / np.array([trained.high, trained.value, trained.low])
    np.testing.assert_allclose(
        row[["share_low", "share_of_trained_percent", "share_high"]].astype(float), expected
    )
