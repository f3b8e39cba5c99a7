"""Evaluations side by side: their order, their costs, and what pairing them is worth."""

import numpy as np
import pandas as pd
import pytest
from small_study import ALL, DENSE, NOISE, TEAL, TOP_50, TOP_75, UNIF_ALL, gather, score

from spon.tables.outcomes import adjust_per_measure

REPEATED = score("TOP-50", "down_proj", 0.5, 1, 2.43, 0.33)


def test_points_stand_in_the_order_of_the_tables_whatever_the_order_of_the_files():
    points = gather(*ALL[::-1], REPEATED).points
    assert points["allocation"].tolist() == [
        *("DENSE", "BASELINE-TEAL", "UNIF-ALL", "TOP-75", "TOP-50", "TOP-50", "BOTTOM-50"),
        *("BASELINE-TEAL", "ATTN-ONLY"),
    ]
    assert points["seed"].astype(object).where(points["seed"].notna(), None).tolist() == [
        *(None, None, 0, 0, 0, 1, 0),
        *(None, 0),
    ]
    assert points["sparsity"].tolist() == [0, *[0.5] * 8]
    assert points["teal"].tolist() == [0, *[1] * 6, *[7] * 2]


def test_a_point_costs_its_layers_its_sites_and_one_parameter_per_output():
    points = gather(*ALL).points.set_index(["scope", "allocation"])
    costs = points[["layers", "sites", "bias_parameters", "model_sparsity"]]
    assert costs.loc["", "DENSE"].tolist() == [0, 0, 0, 0]
    assert costs.loc["down_proj", "BASELINE-TEAL"].tolist() == [0, 0, 0, 0.375]
    assert costs.loc["down_proj", "TOP-75"].tolist() == [3, 3, 6, 0.375]
    assert costs.loc["o_proj", "ATTN-ONLY"].tolist() == [4, 4, 8, 0.125]


def test_the_mean_over_blocks_is_all_nats_over_all_predictions():
    longer = [table.assign(predictions=np.arange(60) % 7 + 4) for table in (DENSE, TEAL)]
    outcomes = gather(*longer)
    expected = longer[1]["nll_nats"].sum() / longer[1]["predictions"].sum()
    np.testing.assert_allclose(outcomes.means["nll"][1], expected)
    np.testing.assert_allclose(outcomes.means["perplexity"][1], np.exp(expected))


def test_blocks_stand_in_the_order_of_the_text_whatever_the_order_of_the_rows():
    noisy = score("TOP-50", "down_proj", 0.5, 0, 2.42, 0.32, noise=NOISE[0])
    expected = gather(DENSE, TEAL, noisy).series["nll"]
    for shuffled in ([DENSE, TEAL, noisy.iloc[::-1]], [DENSE.iloc[::-1], TEAL, noisy]):
        np.testing.assert_array_equal(gather(*shuffled).series["nll"], expected)


def test_what_all_evaluations_share_is_no_uncertainty_of_their_difference():
    outcomes = gather(*ALL)
    own, paired = outcomes.perplexity(2), outcomes.difference("nll", 2, 1)
    assert own.high / own.low > 1.01
    np.testing.assert_allclose([paired.low, paired.value, paired.high], -0.1)


def test_a_perplexity_is_the_exponential_of_the_mean_likelihood():
    outcomes = gather(DENSE, TEAL, TOP_50, REPEATED)
    assert outcomes.quantity("perplexity", 2).value == pytest.approx(np.exp(2.42))
    # Of several trainings, of their mean.
    assert outcomes.quantity("perplexity", (2, 3)).value == pytest.approx(np.exp(2.425))
    assert outcomes.perplexity((2, 3)).value == pytest.approx(np.exp(2.425))


def test_several_trainings_are_answered_for_by_their_mean_and_their_spread():
    outcomes = gather(DENSE, TEAL, TOP_50, REPEATED)
    assert outcomes.trainings("TOP-50", 0.5) == (2, 3)
    assert outcomes.trainings("TOP-50", 0.6) == ()
    assert outcomes.difference("nll", 2, 1).value == pytest.approx(-0.08)
    together = outcomes.difference("nll", (2, 3), 1)
    # Blocks do not vary, trainings by 0.01: Student's t of one degree of freedom is 12.7.
    half = 12.706 * 0.01 / 2
    np.testing.assert_allclose(
        [together.low, together.value, together.high], [-0.075 - half, -0.075, -0.075 + half], 1e-4
    )
    assert outcomes.recovery("nll", (2, 3)).value == pytest.approx(15)


def test_an_evaluation_has_its_temperature_and_its_confidence():
    outcomes = gather(DENSE, TEAL, score("TOP-50", "down_proj", 0.5, 0, 2.4, 0.3, cooled=0.02))
    assert outcomes.points["temperature"].tolist() == [1.1, 1.1, 1.2]
    np.testing.assert_allclose(outcomes.points["kl_95"], [0, 1.2, 0.9])
    np.testing.assert_allclose(outcomes.means["nll_at_temperature"], [1.99, 2.49, 2.38])
    np.testing.assert_allclose(outcomes.means["top1"], 0.9)
    np.testing.assert_allclose(outcomes.means["entropy"], 2)


def test_runs_are_compared_within_a_scope_a_sparsity_and_a_seed_and_then_over_seeds():
    other = score("UNIF-ALL", "down_proj", 0.5, 1, 2.43, 0.33)
    outcomes = gather(DENSE, TEAL, UNIF_ALL, TOP_75, TOP_50, REPEATED, other)
    groups = [[outcomes.label(runs) for runs in group] for group in outcomes.groups()]
    assert groups == [
        ["UNIF-ALL/s0.5/seed0", "TOP-75/s0.5/seed0", "TOP-50/s0.5/seed0"],
        ["UNIF-ALL/s0.5/seed1", "TOP-50/s0.5/seed1"],
        ["UNIF-ALL/s0.5", "TOP-50/s0.5"],
    ]


def test_trainings_are_compared_that_have_a_seed_in_common():
    third = score("TOP-50", "down_proj", 0.5, 2, 2.43, 0.33)
    others = [score("UNIF-ALL", "down_proj", 0.5, seed, 2.43, 0.33) for seed in (1, 2, 3)]
    outcomes = gather(DENSE, TEAL, *others, TOP_50, REPEATED, third)
    everything, half = outcomes.trainings("UNIF-ALL", 0.5), outcomes.trainings("TOP-50", 0.5)
    assert outcomes.share_seeds(everything, half) == [everything[:2], half[1:]]
    # TEAL has no seed and stands beside all.
    assert outcomes.share_seeds((1,), half) == [(1,), half]
    # Of seeds 0 and 1 and of 1 and 2, one is shared: no mean over seeds.
    assert outcomes.share_seeds(everything[:2], half[:2]) == []
    assert outcomes.share_seeds(everything[:1], half[1:2]) == [everything[:1], half[1:2]]


def test_of_the_rows_of_one_comparison_that_of_most_trainings_counts():
    frame = pd.DataFrame(
        {
            "allocation": ["A", "A", "A", "B"],
            "seeds": [1, 1, 2, 1],
            "measure": "nll",
            "p_value": [0.5, 0.6, 0.01, 0.04],
        }
    )
    adjusted = adjust_per_measure(frame, ["allocation"])["p_holm"]
    np.testing.assert_allclose(adjusted, [np.nan, np.nan, 0.02, 0.04])


def test_every_point_has_a_label_of_its_own():
    outcomes = gather(*ALL, REPEATED)
    labels = [outcomes.label(point) for point in outcomes.points.index]
    assert len(set(labels)) == len(labels)
    assert labels[:2] == ["DENSE", "BASELINE-TEAL/down_proj/s0.5"]


@pytest.mark.parametrize("broken", [np.inf, np.nan])
def test_a_likelihood_that_is_not_finite_is_refused_by_name(broken):
    with pytest.raises(ValueError) as error:
        gather(DENSE, TEAL, TOP_50.assign(kl_nats=broken))
    assert str(error.value) == (
        "every block needs a finite likelihood, "
        "found one that is not in kl_nats of TOP-50/s0.5/seed0"
    )


@pytest.mark.parametrize(
    "other", [TEAL.assign(predictions=11), TEAL.iloc[1:]], ids=["longer", "missing"]
)
def test_evaluations_of_different_blocks_are_not_compared(other):
    with pytest.raises(AssertionError, match="differ in their blocks"):
        gather(DENSE, other)


def test_an_empty_table_keeps_its_header():
    empty = gather(DENSE).table([], ["scope", "seed", "gain"])
    assert empty.columns.tolist() == ["scope", "seed", "gain", "protocol"]
    assert empty.empty
    assert isinstance(empty["seed"].dtype, pd.Int64Dtype)
