"""Runs that can be compared: at one sparsity, with the same seeds."""

import numpy as np
from small_study import ALL, DENSE, TEAL, UNIF_ALL, gather, score

from spon.claims import matches

SECOND = [score("TOP-50", "down_proj", 0.5, 1, 2.44, 0.33)]
SPARSER = [
    score("BASELINE-TEAL", "down_proj", 0.6, None, 3.0, 0.8),
    score("TOP-50", "down_proj", 0.6, 1, 2.7, 0.6),
]
STUDY = gather(*ALL, *SECOND, *SPARSER)


def test_runs_match_where_all_allocations_have_their_seed():
    (half,), why = matches.match_runs(STUDY, ["TOP-50", "UNIF-ALL"])
    assert (half.sparsity, half.seeds, why) == (0.5, (0,), "")
    alone, _ = matches.match_runs(STUDY, ["TOP-50"])
    assert [(match.sparsity, match.seeds) for match in alone] == [(0.5, (0, 1)), (0.6, (1,))]
    assert matches.match_runs(STUDY, ["TOP-50", "RARE"]) == ([], "the study has no run of RARE")


def test_numbers_of_a_match_are_means_over_its_seeds():
    (match, _), _ = matches.match_runs(STUDY, ["TOP-50"])
    np.testing.assert_allclose(match.gain("nll", "TOP-50").value, (0.08 + 0.06) / 2)
    np.testing.assert_allclose(match.keep([1]).gain("nll", "TOP-50").value, 0.06)
    np.testing.assert_allclose(match.recovery("nll", "TOP-50").value, 14)
    np.testing.assert_allclose(match.relative_gain("kl", "TOP-50").value, 100 * 0.075 / 0.4)
    assert (match.layers("TOP-50"), match.parameters("TOP-50")) == (2, 4)


def test_sparsities_are_compared_by_the_seeds_that_both_have():
    def grow(lower, higher):
        grown = higher.gain("nll", "TOP-50") - lower.gain("nll", "TOP-50")
        return matches.not_applicable(f"{grown.value:.2f}")

    (effect,) = matches.between_sparsities(matches.Evidence(STUDY, {}), ["TOP-50"], grow)
    assert (effect.missing, effect.sparsities, effect.seeds) == ("0.24", (0.5, 0.6), 1)


def test_damage_is_of_the_sparsities_that_all_scopes_have():
    ((sparsity, lost),) = matches.damages(STUDY, "nll", ["o_proj", "down_proj"]).items()
    assert sparsity == 0.5
    np.testing.assert_allclose([quantity.value for quantity in lost], [0.1, 0.5])
    assert matches.damages(gather(DENSE, TEAL, UNIF_ALL), "nll", ["o_proj"]) == {}
