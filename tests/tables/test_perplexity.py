"""Tables of a study whose numbers are round: what stands in them, and how they are written."""

import json

import numpy as np
import pandas as pd
import pytest
from small_study import ALL, ATTN_TEAL, DENSE, NOISE, TEAL, TOP_50, UNIF_ALL, gather, score

from spon.tables import perplexity

SMALL = gather(*ALL)
REPEATED = score("TOP-50", "down_proj", 0.5, 1, 2.43, 0.33)


def test_the_perplexity_table_has_the_columns_that_were_promised():
    assert ", ".join(perplexity.tabulate_perplexity(SMALL).columns) == (
        "allocation, scope, sparsity, seed, layers, sites, bias_parameters, site_sparsity, "
        "model_sparsity, perplexity, perplexity_low, perplexity_high, nll_nats_per_token, "
        "kl_nats_per_token, entropy_nats, top1_percent, kl_median, kl_95, kl_99, temperature, "
        "nll_at_temperature, gain_percent, over_dense_percent, recovery_percent, "
        "recovery_nll_percent, recovery_kl_percent, recovery_own_temperature_percent, steps, "
        "converged, protocol"
    )


def test_a_runs_row_follows_from_its_likelihood_and_its_baselines():
    row = perplexity.tabulate_perplexity(SMALL).iloc[2]
    assert (row["allocation"], row["scope"], row["seed"], row["protocol"]) == (
        "UNIF-ALL",
        "down_proj",
        0,
        "a1b2",
    )
    numbers = {
        "perplexity": np.exp(2.4),
        "nll_nats_per_token": 2.4,
        "kl_nats_per_token": 0.3,
        "site_sparsity": 0.5,
        "model_sparsity": 0.375,
        "gain_percent": 100 * (1 - np.exp(-0.1)),
        "over_dense_percent": 100 * (np.exp(0.4) - 1),
        "recovery_percent": 100 * (np.exp(2.5) - np.exp(2.4)) / (np.exp(2.5) - np.exp(2.0)),
        "recovery_nll_percent": 20,
        "recovery_kl_percent": 25,
        "entropy_nats": 2,
        "top1_percent": 90,
        "kl_median": 0.15,
        "kl_95": 0.9,
        "kl_99": 1.5,
        "temperature": 1.1,
        "nll_at_temperature": 2.39,
        "recovery_own_temperature_percent": 20,
    }
    np.testing.assert_allclose(row[list(numbers)].astype(float), list(numbers.values()))


def test_recovery_at_the_own_temperature_takes_away_what_a_temperature_repairs():
    # Each at its own: TEAL 2.5 - 0.04, the run 2.4 - 0.01, dense 2 - 0.02.
    evaluations = (
        score("DENSE", "", np.nan, pd.NA, 2.0, 0.0, cooled=0.02),
        score("BASELINE-TEAL", "down_proj", 0.5, pd.NA, 2.5, 0.4, cooled=0.04),
        UNIF_ALL,
    )
    row = perplexity.tabulate_perplexity(gather(*evaluations)).iloc[2]
    assert row["recovery_own_temperature_percent"] == pytest.approx(100 * 0.07 / 0.48)
    assert row["recovery_nll_percent"] == pytest.approx(20)


def test_baselines_gain_nothing_and_have_no_recovery():
    dense, teal = perplexity.tabulate_perplexity(SMALL).iloc[:2].to_dict("records")
    assert (dense["over_dense_percent"], dense["kl_nats_per_token"], teal["gain_percent"]) == (
        0,
        0,
        0,
    )
    assert np.isnan([row["recovery_percent"] for row in (dense, teal)]).all()
    assert np.isnan(dense["gain_percent"])


def test_a_perplexitys_interval_is_that_of_its_mean_likelihood():
    row = perplexity.tabulate_perplexity(SMALL).iloc[0]
    np.testing.assert_allclose(
        row["perplexity_low"] * row["perplexity_high"], row["perplexity"] ** 2
    )
    assert row["perplexity_low"] < row["perplexity"]


@pytest.mark.parametrize(
    ("nll", "kl", "recovered"), [(2.0, 0.0, 100), (2.5, 0.4, 0), (2.6, 0.48, -20)]
)
def test_a_dense_run_recovers_everything_and_one_that_is_teal_nothing(nll, kl, recovered):
    table = perplexity.tabulate_damage_recovery(
        gather(DENSE, TEAL, score("TOP-50", "down_proj", 0.5, 0, nll, kl))
    )
    assert table["measure"].tolist() == ["perplexity", "nll", "kl", "nll_at_temperature"]
    shares = table.set_index("measure").loc[
        ["nll", "kl", "nll_at_temperature"], ["recovery_percent", "low", "high"]
    ]
    np.testing.assert_allclose(shares, recovered, atol=1e-9)


def test_recovery_is_shown_with_the_levels_that_it_is_computed_from():
    row = perplexity.tabulate_damage_recovery(SMALL).iloc[-3]
    assert (row["allocation"], row["measure"]) == ("ATTN-ONLY", "nll")
    np.testing.assert_allclose(
        row[["dense", "teal", "spon", "recovery_percent"]].astype(float), [2, 2.1, 2.02, 80]
    )


def test_recovery_of_damage_that_may_be_zero_is_not_applicable():
    harmless = score("BASELINE-TEAL", "down_proj", 0.5, pd.NA, 2.001, 0.4, noise=NOISE[0])
    table = perplexity.tabulate_damage_recovery(gather(DENSE, harmless, TOP_50)).set_index(
        "measure"
    )
    assert (
        table.loc[["perplexity", "nll"], ["recovery_percent", "low", "high"]].isna().all(axis=None)
    )
    np.testing.assert_allclose(table.loc["kl", "recovery_percent"], 20)


def test_contrasts_are_teal_from_dense_runs_from_teal_and_runs_from_one_another():
    table = perplexity.tabulate_contrasts(gather(DENSE, TEAL, UNIF_ALL, TOP_50, REPEATED))
    pairs = (
        table[table["measure"] == "kl"][["contrast", "allocation", "reference"]]
        .to_numpy()
        .tolist()
    )
    assert pairs == [
        ["teal_dense", "BASELINE-TEAL", "DENSE"],
        ["run_teal", "UNIF-ALL", "BASELINE-TEAL"],
        ["run_teal", "TOP-50", "BASELINE-TEAL"],
        ["run_teal", "TOP-50", "BASELINE-TEAL"],
        ["run_teal", "TOP-50", "BASELINE-TEAL"],
        ["run_run", "UNIF-ALL", "TOP-50"],
    ]
    assert table[table["measure"] == "kl"]["seeds"].tolist() == [0, 1, 1, 1, 2, 1]
    last = table.iloc[-2]
    assert (last["seed"], last["reference_seed"], last["measure"], last["blocks"]) == (
        0,
        0,
        "nll",
        60,
    )
    np.testing.assert_allclose(
        last[["difference_nats_per_token", "low", "high"]].astype(float), -0.02
    )


def test_a_run_that_is_better_than_its_reference_has_a_negative_difference():
    table = perplexity.tabulate_contrasts(SMALL).set_index(["contrast", "allocation", "measure"])
    np.testing.assert_allclose(
        table.loc[("teal_dense", "BASELINE-TEAL", "nll"), "difference_nats_per_token"], [0.5, 0.1]
    )
    np.testing.assert_allclose(
        table.loc[("run_teal", "TOP-50", "nll"), "difference_nats_per_token"], -0.08
    )


def test_allocations_with_several_seeds_are_compared_by_their_means_too():
    other = score("UNIF-ALL", "down_proj", 0.5, 1, 2.41, 0.3)
    table = perplexity.tabulate_contrasts(gather(DENSE, TEAL, UNIF_ALL, other, TOP_50, REPEATED))
    pairs = table[(table["contrast"] == "run_run") & (table["measure"] == "nll")]
    assert pairs["seeds"].tolist() == [1, 1, 2]
    assert pairs[["seed", "reference_seed"]].isna().to_numpy().tolist() == [
        *([False] * 2, [False] * 2),
        [True] * 2,
    ]
    # Both trainings differ by 0.02, so their mean does for certain; and it alone is adjusted.
    np.testing.assert_allclose(pairs[["difference_nats_per_token", "low", "high"]], -0.02)
    assert pairs["p_holm"].isna().tolist() == [True, True, False]


def test_recovery_over_seeds_is_that_of_the_mean_gain():
    table = perplexity.tabulate_damage_recovery(gather(DENSE, TEAL, TOP_50, REPEATED))
    nll = table[table["measure"] == "nll"]
    np.testing.assert_allclose(nll["recovery_percent"], [16, 14, 15])
    np.testing.assert_allclose(nll["spon"], [2.42, 2.43, 2.425])
    assert nll["seeds"].tolist() == [1, 1, 2]
    assert nll["high"].iloc[2] - nll["low"].iloc[2] > 1
    np.testing.assert_allclose(nll["high"].iloc[:2], nll["low"].iloc[:2])


def test_the_family_of_a_test_is_all_contrasts_of_its_measure():
    noisy = score("TOP-50", "down_proj", 0.5, 0, 2.45, 0.32, noise=NOISE[0])
    other = score("UNIF-ALL", "down_proj", 0.5, 0, 2.44, 0.3, noise=NOISE[1])
    table = perplexity.tabulate_contrasts(gather(DENSE, TEAL, noisy, other, ATTN_TEAL))
    family = table[table["measure"] == "nll"].sort_values("p_value")
    steps = np.maximum.accumulate(family["p_value"] * np.arange(5, 0, -1)).clip(upper=1)
    np.testing.assert_allclose(family["p_holm"], steps)
    assert family["p_value"].nunique() == 4  # both baselines differ from dense for certain


def test_a_study_without_runs_has_shorter_tables_with_all_their_columns():
    bare = gather(DENSE, TEAL)
    assert len(perplexity.tabulate_perplexity(bare)) == 2
    assert len(perplexity.tabulate_contrasts(bare)) == 2
    recovery = perplexity.tabulate_damage_recovery(bare)
    assert recovery.empty
    assert recovery.columns.tolist() == perplexity.tabulate_damage_recovery(SMALL).columns.tolist()
    assert perplexity.summarise(bare)["scopes"]["down_proj"]["s0.5"]["runs"] == {}
    alone = perplexity.tabulate_contrasts(gather(DENSE))
    assert alone.empty
    assert alone.columns.tolist() == perplexity.tabulate_contrasts(bare).columns.tolist()


def test_the_summary_holds_the_tables_numbers_as_plain_json():
    summary = perplexity.summarise(SMALL)
    assert json.loads(json.dumps(summary, allow_nan=False)) == summary
    assert list(summary) == ["protocol", "blocks", "dense", "scopes"]
    assert (summary["protocol"], summary["blocks"]) == ("a1b2", 60)
    level = summary["scopes"]["down_proj"]["s0.5"]
    assert list(level["runs"]) == [
        "UNIF-ALL/seed0",
        "TOP-75/seed0",
        "TOP-50/seed0",
        "BOTTOM-50/seed0",
    ]
    np.testing.assert_allclose(summary["dense"]["perplexity"], np.exp(2.0))
    np.testing.assert_allclose(level["teal"]["kl_nats_per_token"], 0.4)
    run = level["runs"]["TOP-75/seed0"]
    np.testing.assert_allclose(run["recovery_nll_percent"], 18)
    confidence = {"entropy_nats", "top1_percent", "kl_95", "temperature", "nll_at_temperature"}
    assert all(confidence <= set(numbers) for numbers in (summary["dense"], level["teal"], run))


def write(frame, folder):
    paths = [folder / f"table.{form}" for form in ("csv", "json", "tex")]
    perplexity.write_table(frame, *paths)
    return paths


def test_written_tables_have_twelve_digits_of_which_none_is_lost(tmp_path):
    frame = perplexity.tabulate_perplexity(SMALL)
    csv, records, _ = write(frame, tmp_path)
    numbers = frame.select_dtypes("float64").columns
    read = pd.read_csv(csv)
    pd.testing.assert_frame_equal(read[numbers], frame[numbers], rtol=1e-11)
    first = json.loads(records.read_text())[0]
    assert list(first) == frame.columns.tolist()
    assert first["perplexity"] == read["perplexity"][0] == 7.38905609893  # e squared
    assert first["seed"] is None
    assert first["recovery_percent"] is None


def test_digits_that_hang_on_the_order_of_a_sum_are_not_written(tmp_path):
    sums = [pd.DataFrame({"nats": [total]}) for total in (0.1 + 0.2 + 0.3, 0.3 + 0.2 + 0.1)]
    assert sums[0]["nats"][0] != sums[1]["nats"][0]
    first, second = ([path.read_bytes() for path in write(table, tmp_path)] for table in sums)
    assert first == second


def test_the_same_table_is_written_as_the_same_bytes(tmp_path):
    tables = [perplexity.tabulate_contrasts(gather(*ALL)) for _ in "ab"]
    first, second = ([path.read_bytes() for path in write(table, tmp_path)] for table in tables)
    assert first == second


def test_latex_shows_four_digits_and_escapes_names(tmp_path):
    frame = pd.DataFrame({"gain_percent": [12.34567, np.nan], "scope": ["down_proj", "50%"]})
    text = write(frame, tmp_path)[2].read_text()
    assert r"gain\_percent & scope \\" in text
    assert r"12.35 & down\_proj \\" in text
    assert r"-- & 50\% \\" in text


@pytest.mark.parametrize(
    ("value", "text"),
    [(20.0001, "20.00"), (0.5, "0.5"), (0.0, "0"), (1234.5, "1234"), (1.23456e-9, "1.235e-09")],
)
def test_measured_digits_are_kept_and_exact_numbers_not_padded(value, text):
    assert perplexity.format_significant(value) == text
