"""Frontiers: a point is worth its cost only if it is better beyond doubt than what costs less."""

import numpy as np
import pytest
from small_study import (
    ALL,
    ATTN_TEAL,
    DENSE,
    NOISE,
    TEAL,
    TOP_50,
    TOP_75,
    UNIF_ALL,
    gather,
    reach,
    score,
)

from spon.tables import pareto

NEAR_TOP_50 = score("TOP-75", "down_proj", 0.5, 0, 2.419, 0.32, noise=0.1 * NOISE[0])


def order_of(*better):
    """The order of three points where the first of each pair is better, the rest are tied."""
    order = np.zeros((3, 3), dtype=int)
    for first, second in better:
        order[first, second], order[second, first] = -1, 1
    return order


def find(costs, *better):
    return pareto.find_frontier([0, 1, 2], np.array(costs, dtype=float), order_of(*better))


def test_a_cost_that_buys_less_perplexity_is_worth_it():
    assert find([0, 1, 2], (1, 0), (2, 1), (2, 0)) == {0, 1, 2}


def test_a_cost_that_buys_a_tie_or_a_loss_is_not():
    assert find([0, 1, 2]) == {0}
    assert find([0, 1, 2], (0, 1), (0, 2)) == {0}


def test_of_equal_costs_the_better_point_stays_and_ties_stay_together():
    assert find([1, 1, 1], (0, 2)) == {0, 1}
    assert find([1, 1, 1]) == {0, 1, 2}


def test_ties_do_not_chain():
    # The second is tied with both, the third better than the first: the second alone is
    # superfluous.
    assert find([0, 1, 2], (2, 0)) == {0, 2}


def test_points_are_told_apart_only_where_their_paired_difference_is():
    outcomes = gather(DENSE, TEAL, NEAR_TOP_50, TOP_50)
    order = pareto.compare_points(outcomes, [(0,), (1,), (2,), (3,)], "nll")
    np.testing.assert_array_equal(
        order, [[0, -1, -1, -1], [1, 0, 1, 1], [1, -1, 0, 0], [1, -1, 0, 0]]
    )


def tabulate(*evaluations, measure="nll"):
    table = pareto.tabulate_pareto(gather(*evaluations))
    return table[table["measure"] == measure]


def test_within_a_scope_biases_are_the_cost_and_teal_costs_nothing():
    table = tabulate(*ALL)
    inside = table[(table["frontier"] == "scope") & (table["scope"] == "down_proj")].set_index(
        "allocation"
    )
    assert inside["cost_name"].unique().tolist() == ["bias_parameters"]
    assert inside["cost"].to_dict() == {
        **{"BASELINE-TEAL": 0, "UNIF-ALL": 8, "TOP-75": 6},
        **{"TOP-50": 4, "BOTTOM-50": 4},
    }
    assert inside.index[~inside["on_frontier"]].tolist() == ["BOTTOM-50"]
    np.testing.assert_allclose(inside.loc["TOP-50", "perplexity"], np.exp(2.42))


def test_a_tie_is_named_on_both_sides_and_never_pays_for_more_biases():
    table = tabulate(DENSE, TEAL, NEAR_TOP_50, TOP_50)
    inside = table[table["frontier"] == "scope"].set_index("allocation")
    assert inside["tied_with"].to_dict() == {
        "BASELINE-TEAL": "",
        "TOP-75": "TOP-50/s0.5/seed0",
        "TOP-50": "TOP-75/s0.5/seed0",
    }
    assert inside["on_frontier"].to_dict() == {
        "BASELINE-TEAL": True,
        "TOP-75": False,
        "TOP-50": True,
    }


def test_over_all_scopes_the_sparser_model_is_the_cheaper_one():
    table = tabulate(*ALL)
    model = table[table["frontier"] == "model"]
    assert model["cost_name"].unique().tolist() == ["model_sparsity"]
    assert model["cost"].tolist() == [0, *[0.375] * 5, *[0.125] * 2]
    # At 37.5 % UNIF-ALL is best, at 12.5 % ATTN-ONLY, at 0 % the dense model, each better than
    # what is sparser.
    assert model["allocation"][model["on_frontier"]].tolist() == ["DENSE", "UNIF-ALL", "ATTN-ONLY"]


def test_a_sparser_point_that_is_as_good_drives_out_a_denser_one():
    table = tabulate(DENSE, ATTN_TEAL, TEAL, score("UNIF-ALL", "down_proj", 0.5, 0, 2.05, 0.1))
    model = table[table["frontier"] == "model"].set_index(["scope", "allocation"])["on_frontier"]
    assert model[model].index.tolist() == [("", "DENSE"), ("down_proj", "UNIF-ALL")]


def test_every_scope_and_sparsity_has_its_own_frontier():
    denser = [
        score("BASELINE-TEAL", "down_proj", 0.8, None, 3.5, 1.0),
        score("TOP-50", "down_proj", 0.8, 0, 3.4, 0.9),
    ]
    table = tabulate(DENSE, TEAL, TOP_50, TOP_75, UNIF_ALL, *denser)
    inside = table[table["frontier"] == "scope"]
    assert inside.groupby("sparsity").size().to_dict() == {0.5: 4, 0.8: 2}
    assert inside["on_frontier"].all()


def test_several_seeds_are_one_point_at_their_mean():
    second = score("TOP-50", "down_proj", 0.5, 1, 2.45, 0.33)
    table = tabulate(DENSE, TEAL, TOP_50, second, UNIF_ALL)
    top = table[(table["frontier"] == "scope") & (table["allocation"] == "TOP-50")]
    assert len(top) == 1
    assert top["seed"].isna().all()
    assert top["seeds"].tolist() == [2]
    np.testing.assert_allclose(top["perplexity"], np.exp(2.435))
    # Two trainings 0.03 apart leave open where more of them would be.
    assert top["tied_with"].tolist() == ["BASELINE-TEAL/down_proj/s0.5;UNIF-ALL/s0.5/seed0"]


def test_a_mean_is_compared_with_what_has_one_seed_and_seeds_with_one_another():
    tops = [score("TOP-50", "down_proj", 0.5, seed, 2.45, 0.33) for seed in (1, 2)]
    wholes = [score("UNIF-ALL", "down_proj", 0.5, seed, 2.4, 0.3) for seed in (1, 2, 3)]
    outcomes = gather(DENSE, TEAL, TOP_75, *tops, *wholes)
    whole, top = outcomes.trainings("UNIF-ALL", 0.5), outcomes.trainings("TOP-50", 0.5)
    single = outcomes.trainings("TOP-75", 0.5)
    assert pareto.pair_trainings(outcomes, single, whole) == (single, whole)
    assert pareto.pair_trainings(outcomes, top, whole) == [top, whole[:2]]
    assert pareto.pair_trainings(outcomes, top, whole[1:]) == [top[:1], whole[1:2]]


def test_by_kl_another_point_may_be_worth_its_cost():
    near = score("TOP-75", "down_proj", 0.5, 0, 2.43, 0.31)
    evaluations = (DENSE, TEAL, TOP_50, near)
    by_nll, by_kl = (tabulate(*evaluations, measure=measure) for measure in ("nll", "kl"))
    found = [
        table[table["frontier"] == "scope"].set_index("allocation") for table in (by_nll, by_kl)
    ]
    assert [table["on_frontier"]["TOP-75"] for table in found] == [False, True]
    assert found[1]["level"]["TOP-75"] == pytest.approx(0.31)
    assert found[0]["level"]["TOP-75"] == found[0]["perplexity"]["TOP-75"]
    assert found[1]["perplexity"]["TOP-75"] == found[0]["perplexity"]["TOP-75"]


def test_sparsities_that_differ_by_less_than_is_shown_are_equal_costs():
    centred = score("MODE-DOWN", "down_proj", 0.5, 0, 2.44, 0.36)

    def find_runs(reached):
        own = reach("down_proj", 0.5, reached).assign(allocation="MODE-DOWN", seed=0)
        thresholds = [reach("down_proj", 0.5, 0.5), own]
        table = pareto.tabulate_pareto(
            gather(DENSE, UNIF_ALL, TEAL, centred, thresholds=thresholds)
        )
        model = table[(table["frontier"] == "model") & (table["measure"] == "nll")]
        return set(model.loc[model["on_frontier"], "allocation"])

    # The centred run is worse; sparser by far, it is worth its cost.
    assert find_runs(0.5001) == {"DENSE", "UNIF-ALL"}
    assert find_runs(0.51) == {"DENSE", "UNIF-ALL", "MODE-DOWN"}
