"""Early against late layers, and one layer more: gains are 0.1, 0.09, 0.08 and 0.04 nats."""

import numpy as np
import pytest
from small_study import ALL, BOTTOM_50, DENSE, NOISE, TEAL, TOP_50, TOP_75, UNIF_ALL, gather, score

from spon.tables import gains

SMALL = gather(*ALL)
STEP = ["smaller", "larger", "added_layers"]


def test_early_layers_are_compared_with_equally_many_late_ones_alone():
    single = score("LAYER-0", "down_proj", 0.5, 0, 2.45, 0.36)
    table = gains.tabulate_layer_position(
        gather(DENSE, TEAL, BOTTOM_50, UNIF_ALL, TOP_75, TOP_50, single)
    )
    assert table[["early", "late", "measure"]].to_numpy().tolist() == [
        ["TOP-50", "BOTTOM-50", "nll"],
        ["TOP-50", "BOTTOM-50", "kl"],
    ]
    expected = {
        "gain_early_nats_per_token": 0.08,
        "gain_late_nats_per_token": 0.04,
        "difference": 0.04,
        "ratio": 2,
    }
    np.testing.assert_allclose(table.loc[0, list(expected)].astype(float), list(expected.values()))
    np.testing.assert_allclose(table.loc[1, ["difference", "ratio"]].astype(float), [0.06, 4])


def test_of_two_allocations_around_the_same_middle_neither_is_the_early_one():
    around = [score(name, "down_proj", 0.5, 0, 2.44, 0.34) for name in ("OUTER", "INNER")]
    assert gains.tabulate_layer_position(gather(DENSE, TEAL, *around)).empty


def test_without_noise_position_is_certain():
    row = gains.tabulate_layer_position(SMALL).iloc[0]
    np.testing.assert_allclose(row[["difference_low", "difference_high"]].astype(float), 0.04)
    np.testing.assert_allclose(row[["ratio_low", "ratio_high"]].astype(float), 2)


def test_a_late_gain_that_may_be_zero_leaves_no_ratio_but_a_difference():
    late = score("BOTTOM-50", "down_proj", 0.5, 0, 2.499, 0.38, noise=NOISE[0])
    row = gains.tabulate_layer_position(gather(DENSE, TEAL, TOP_50, late)).iloc[0]
    assert row[["ratio", "ratio_low", "ratio_high"]].isna().all()
    np.testing.assert_allclose(row["difference"], 0.079)
    assert row["difference_low"] < 0.079 < row["difference_high"]


def test_steps_follow_nested_allocations_from_no_bias_to_all():
    table = gains.tabulate_marginal_gain(SMALL)
    steps = table[(table["scope"] == "down_proj") & (table["measure"] == "nll")]
    assert steps[STEP].to_numpy().tolist() == [
        ["BASELINE-TEAL", "TOP-50", 2],
        ["BASELINE-TEAL", "BOTTOM-50", 2],
        ["TOP-50", "TOP-75", 1],
        ["TOP-75", "UNIF-ALL", 1],
        ["BOTTOM-50", "UNIF-ALL", 2],
    ]
    np.testing.assert_allclose(steps["gain_nats_per_token"], [0.08, 0.04, 0.01, 0.01, 0.06])
    np.testing.assert_allclose(
        steps["gain_per_layer_nats_per_token"], [0.04, 0.02, 0.01, 0.01, 0.03]
    )
    np.testing.assert_allclose(steps["share_of_full_percent"], [80, 40, 90, 100, 100])
    np.testing.assert_allclose(
        steps[["share_low", "share_high"]], steps[["share_of_full_percent"] * 2]
    )


def test_a_step_goes_over_what_was_not_run():
    table = gains.tabulate_marginal_gain(gather(DENSE, TEAL, UNIF_ALL, TOP_50))
    assert table[STEP].to_numpy().tolist()[::2] == [
        ["BASELINE-TEAL", "TOP-50", 2],
        ["TOP-50", "UNIF-ALL", 2],
    ]


def test_every_seed_has_its_own_steps():
    second = [
        score("TOP-50", "down_proj", 0.5, 1, 2.43, 0.33),
        score("UNIF-ALL", "down_proj", 0.5, 1, 2.4, 0.3),
    ]
    table = gains.tabulate_marginal_gain(gather(DENSE, TEAL, UNIF_ALL, TOP_75, TOP_50, *second))
    gained = table[(table["measure"] == "nll") & (table["larger"] == "UNIF-ALL")]
    # Together, without TOP-75, which has one seed.
    assert gained["smaller"].tolist() == ["TOP-75", "TOP-50", "TOP-50"]
    assert gained["seeds"].tolist() == [1, 1, 2]
    assert gained["seed"].isna().tolist() == [False, False, True]
    np.testing.assert_allclose(gained["gain_nats_per_token"], [0.01, 0.03, 0.025])
    together = table[(table["measure"] == "nll") & (table["larger"] == "TOP-50")].iloc[-1]
    assert together["smaller"] == "BASELINE-TEAL"
    assert together["share_of_full_percent"] == pytest.approx(75)  # 0.075 of 0.1


def test_position_is_that_of_the_means_of_the_seeds_that_both_have():
    second = [
        score("TOP-50", "down_proj", 0.5, 1, 2.40, 0.32),
        score("BOTTOM-50", "down_proj", 0.5, 1, 2.44, 0.38),
        score("BOTTOM-50", "down_proj", 0.5, 2, 2.1, 0.38),
    ]
    table = gains.tabulate_layer_position(gather(DENSE, TEAL, TOP_50, BOTTOM_50, *second))
    nll = table[table["measure"] == "nll"]
    assert nll["seeds"].tolist() == [1, 1, 2]
    # Gains of 0.08 and 0.10 early, 0.04 and 0.06 late: the difference is the same in both.
    together = nll.iloc[-1]
    np.testing.assert_allclose(
        together[["gain_early_nats_per_token", "gain_late_nats_per_token"]].astype(float),
        [0.09, 0.05],
    )
    np.testing.assert_allclose(together[["difference_low", "difference_high"]].astype(float), 0.04)


@pytest.mark.parametrize("tabulate", [gains.tabulate_layer_position, gains.tabulate_marginal_gain])
def test_without_runs_a_table_keeps_its_header(tabulate):
    empty = tabulate(gather(DENSE, TEAL))
    assert empty.empty
    assert empty.columns.tolist() == tabulate(SMALL).columns.tolist()
