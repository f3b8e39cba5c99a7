"""Frontiers: a point is worth its cost only if it is better beyond doubt than what costs less."""

import numpy as np
from small_study import ALL, ATTN_TEAL, DENSE, NOISE, TEAL, TOP_50, TOP_75, UNIF_ALL, gather, score

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
    order = pareto.compare_points(gather(DENSE, TEAL, NEAR_TOP_50, TOP_50))
    np.testing.assert_array_equal(
        order, [[0, -1, -1, -1], [1, 0, 1, 1], [1, -1, 0, 0], [1, -1, 0, 0]]
    )


def test_within_a_scope_biases_are_the_cost_and_teal_costs_nothing():
    table = pareto.tabulate_pareto(gather(*ALL))
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
    table = pareto.tabulate_pareto(gather(DENSE, TEAL, NEAR_TOP_50, TOP_50))
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
    table = pareto.tabulate_pareto(gather(*ALL))
    model = table[table["frontier"] == "model"]
    assert model["cost_name"].unique().tolist() == ["model_sparsity"]
    assert model["cost"].tolist() == [0, *[0.375] * 5, *[0.125] * 2]
    # At 37.5 % UNIF-ALL is best, at 12.5 % ATTN-ONLY, at 0 % the dense model, each better than
    # what is sparser.
    assert model["allocation"][model["on_frontier"]].tolist() == ["DENSE", "UNIF-ALL", "ATTN-ONLY"]


def test_a_sparser_point_that_is_as_good_drives_out_a_denser_one():
    table = pareto.tabulate_pareto(
        gather(DENSE, ATTN_TEAL, TEAL, score("UNIF-ALL", "down_proj", 0.5, 0, 2.05, 0.1))
    )
    model = table[table["frontier"] == "model"].set_index(["scope", "allocation"])["on_frontier"]
    assert model[model].index.tolist() == [("", "DENSE"), ("down_proj", "UNIF-ALL")]


def test_every_scope_and_sparsity_has_its_own_frontier():
    denser = [
        score("BASELINE-TEAL", "down_proj", 0.8, None, 3.5, 1.0),
        score("TOP-50", "down_proj", 0.8, 0, 3.4, 0.9),
    ]
    table = pareto.tabulate_pareto(gather(DENSE, TEAL, TOP_50, TOP_75, UNIF_ALL, *denser))
    inside = table[table["frontier"] == "scope"]
    assert inside.groupby("sparsity").size().to_dict() == {0.5: 4, 0.8: 2}
    assert inside["on_frontier"].all()
