"""Effects of claims: ranks, spreads and chance checked by hand, and how files are read."""

import json

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scipy.stats import spearmanr
from small_study import ALL, SCOPES, SHAPE, SITES, gather, reach_what_was_asked

from spon.claims import effects
from spon.sites import EVALUATION

RUNS = pd.DataFrame(
    {
        "allocation": ["TOP-50", "TOP-50", "MEAN-DOWN"],
        "sparsity": [0.6, 0.5, 0.5],
        "seed": [0, 0, 0],
        "definition": ["sound", "sound", "sound"],
        "size": [3.0, 2.0, 9.0],
    }
)


def measure_size(rows):
    return effects.Effect(rows["size"].item(), 1.0, 4.0, 0.01, 0.0)


def test_a_correlation_over_many_layers_is_that_of_scipy():
    values = np.random.default_rng(0).standard_normal(12)
    effect = effects.rank_sites(np.arange(12.0), values, 0.0)
    expected = spearmanr(np.arange(12), values)
    np.testing.assert_allclose(
        [effect.value, effect.p_value], [expected.statistic, expected.pvalue]
    )
    assert effect.least == 0


def test_a_correlation_over_few_layers_says_the_least_p_value_that_it_could_have():
    effect = effects.rank_sites(np.arange(4.0), np.array([4.0, 1.0, 2.0, 3.0]), 0.0)
    assert (effect.least, effect.limit) == (2 / 24, "the order of 4 layers")
    assert np.isnan([effect.low, effect.high]).all()
    assert "needs 3 or more" in effects.rank_sites(np.arange(2.0), np.arange(2.0), 0.0).missing
    assert "different values" in effects.rank_sites(np.arange(4.0), np.ones(4), 0.0).missing


def test_a_mean_over_sites_has_students_interval():
    # Mean 2, standard deviation 1, so an error of 1 / sqrt(3), and t(2) is 4.3027.
    effect = effects.mean_over_sites(np.array([1.0, 2.0, 3.0]), 0.0)
    np.testing.assert_allclose(
        [effect.value, effect.high - 2, 2 - effect.low], [2, *[4.3027 / 3**0.5] * 2], rtol=1e-4
    )
    np.testing.assert_allclose(effect.p_value, 0.0742, atol=1e-4)
    assert effects.mean_over_sites(np.array([2.0, 2.0]), 2.0).p_value == 1
    assert effects.mean_over_sites(np.array([2.0, 2.0]), 0.0).p_value == 0
    assert "and there are 1" in effects.mean_over_sites(np.array([2.0]), 0.0).missing


def test_two_standard_deviations_of_chance_are_five_percent():
    effect = effects.normal_effect(3.0, 1.0, 2 / effects.HALF)
    np.testing.assert_allclose([effect.low, effect.high, effect.p_value], [1, 5, 0.05])
    assert effects.normal_effect(1.0, 1.0, 0.0).p_value == 1
    assert effects.normal_effect(1.1, 1.0, 0.0).p_value == 0


@pytest.mark.parametrize(("value", "p_value"), [(0.0, 0.05), (0.5, 0.327), (2.0, 0.05)])
def test_inside_or_beyond_a_margin_the_nearer_end_is_tested(value, p_value):
    # The margin of 1 is 1.96, 0.98 and again 1.96 standard deviations away.
    effect = effects.normal_effect(value, 0.0, 1 / effects.HALF, margin=1.0)
    np.testing.assert_allclose(effect.p_value, p_value, atol=5e-4)


def normal(value, deviation):
    return effects.normal_effect(value, 0.0, deviation)


def test_an_average_over_trainings_adds_the_spread_between_them():
    average = effects.average_effects(
        {0: normal(1.0, 0.3), 1: normal(2.0, 0.3), 4: normal(3.0, 0.3)}
    )
    # Within 0.09, between 1 / 3, together 0.42333, and 2 (0.42333 / 0.33333)^2 = 3.2258 degrees.
    half = stats.t.ppf(0.975, 2 * (0.09 + 1 / 3) ** 2 * 9) * (0.09 + 1 / 3) ** 0.5
    np.testing.assert_allclose(
        [average.value, average.low, average.high], [2, 2 - half, 2 + half], rtol=1e-9
    )
    assert (average.seeds, list(average.by_seed)) == (3, [0, 1, 4])
    assert average.context == "1, 2, 3 in single trainings"


def test_trainings_that_agree_are_as_uncertain_as_one():
    average = effects.average_effects({0: normal(2.0, 0.3), 1: normal(2.0, 0.3)})
    one = effects.average_effects({0: normal(2.0, 0.3)})
    assert (one.low, one.high, one.seeds) == (average.low, average.high, 1)


def test_trainings_without_a_number_do_not_count():
    missing = effects.not_applicable("it was not run")
    assert effects.average_effects({0: missing, 1: normal(2.0, 0.3)}).seeds == 1
    assert effects.average_effects({0: missing}).missing == "it was not run"


def test_runs_are_looked_up_by_name_so_that_controls_are_not_taken_for_learned_ones():
    evidence = effects.Evidence(None, {"bias_statistics": RUNS})
    of_runs = effects.effects_per_run(
        evidence, "bias_statistics", ["TOP-50"], measure_size, definition="sound"
    )
    assert [
        (effect.sparsities, effect.seeds, effect.subject, effect.value) for effect in of_runs
    ] == [
        ((0.5,), 1, "TOP-50", 2.0),
        ((0.6,), 1, "TOP-50", 3.0),
    ]


def test_what_a_study_does_not_have_is_not_applicable_and_says_why():
    alone = effects.Evidence(None, {"bias_statistics": RUNS})
    whole = effects.Evidence(gather(*ALL), {"bias_statistics": RUNS.iloc[:0]})

    def why(evidence, analysis):
        (effect,) = effects.effects_per_run(
            evidence, analysis, ["UNIF-ALL", "TOP-75"], measure_size
        )
        assert np.isnan([effect.value, effect.low, effect.high, effect.p_value]).all()
        return effect.missing

    assert why(alone, "pca_alignment") == effects.BIASES_ALONE
    assert (
        why(alone, "bias_statistics")
        == "the analysis bias_statistics was made for no run of UNIF-ALL or TOP-75"
    )
    assert why(whole, "pca_alignment").startswith(
        "the study has no rows of the analysis pca_alignment"
    )
    assert why(whole, "bias_statistics").startswith(
        "the study has no rows of the analysis bias_statistics"
    )


def test_an_effect_without_a_number_is_not_applicable():
    broken = effects.Effect(np.nan, np.nan, np.nan, np.nan, 0.0)
    placed = effects.locate_effect(broken, (0.5,), "TOP-50")
    assert (placed.missing, placed.subject) == ("the analysis has no number there", "TOP-50")


def test_numbers_are_said_with_the_digits_that_matter():
    said = {
        0.0: "0",
        58.123: "58.1",
        -0.0022: "-0.0022",
        12345.6: "12300",
        -1.0: "-1",
        0.000061538: "6.15e-05",
    }
    said |= {0.943: "0.943", 0.99968: "0.99968", 0.9999: "0.9999", -0.9434: "-0.943"}
    assert {value: effects.say_number(value) for value in said} == said
    assert effects.say_number(-0.0) == "0"


def test_an_interval_is_said_if_there_is_one():
    assert effects.say_interval(effects.Effect(2.0, 1.0, 3.0, 0.01, 0.0)) == "2 [1, 3]"
    assert effects.say_interval(effects.Effect(2.0, np.nan, np.nan, 0.01, 0.0)) == "2"


def test_a_study_is_read_from_its_files(tmp_path):
    paths = {"nll": [], "sites": []}
    paths |= {name: tmp_path / f"{name}.json" for name in ("model", "protocol")}
    for number, evaluation in enumerate(ALL):
        paths["nll"].append(tmp_path / f"{number}.parquet")
        evaluation.astype({"seed": "Int64"}).to_parquet(paths["nll"][-1])
    for number, rows in enumerate(SITES):
        paths["sites"].append(tmp_path / f"{number}.csv")
        rows.to_csv(paths["sites"][-1], index=False)
    paths["thresholds"] = [tmp_path / "thresholds.csv"]
    pd.concat(reach_what_was_asked(*ALL)).to_csv(paths["thresholds"][0], index=False)
    paths["model"].write_text(json.dumps({"shape": SHAPE}))
    paths["protocol"].write_text(json.dumps({"protocol": "a1b2"}))
    paths["norm_ranking"] = tmp_path / "norm_ranking.csv"
    RUNS.to_csv(paths["norm_ranking"], index=False)
    again = tmp_path / "bias_statistics.csv"
    RUNS.assign(seed=1).to_csv(again, index=False)
    paths |= {"bias_statistics": [paths["norm_ranking"], again], "pca_alignment": []}
    allocations = [rows["allocation"].iloc[0] for rows in SITES]
    evaluations = [table[EVALUATION].iloc[0].to_dict() for table in ALL]
    spec = {"scopes": SCOPES, "allocations": allocations, "evaluations": evaluations}
    evidence = effects.read_evidence(paths, spec)
    expected = gather(*ALL)
    assert evidence.outcomes.points["label"].tolist() == expected.points["label"].tolist()
    np.testing.assert_array_equal(evidence.outcomes.series["kl"], expected.series["kl"])
    pd.testing.assert_frame_equal(evidence.analyses["norm_ranking"], RUNS)
    assert evidence.analyses["bias_statistics"].index.tolist() == list(range(6))
    assert set(evidence.analyses) == {"norm_ranking", "bias_statistics"}


def test_a_study_of_biases_alone_is_read_without_settings(tmp_path):
    RUNS.to_csv(tmp_path / "norms.csv", index=False)
    evidence = effects.read_evidence(
        {"norm_ranking": tmp_path / "norms.csv", "nll": [], "claims": "x"}, {"code": "ab"}
    )
    assert evidence.outcomes is None
    assert list(evidence.analyses) == ["norm_ranking"]
