"""Claims about text: the study's gains are 0.1, 0.09, 0.08 and 0.04 nats of 0.5 lost."""

import numpy as np
import pytest
from small_study import (
    ALL,
    ATTN_ONLY,
    BOTTOM_50,
    DENSE,
    NOISE,
    TEAL,
    TOP_50,
    UNIF_ALL,
    gather,
    score,
)

from spon.claims import outcome_effects
from spon.claims.effects import BIASES_ALONE, Evidence

SMALL = Evidence(gather(*ALL), {})
ALONE = Evidence(None, {})
# At 60 % sparsity costs 1 nat, and gains are 0.3, 0.24 and 0.06.
SPARSER = [
    score("BASELINE-TEAL", "down_proj", 0.6, None, 3.0, 0.8),
    score("UNIF-ALL", "down_proj", 0.6, 0, 2.7, 0.6),
    score("TOP-50", "down_proj", 0.6, 0, 2.76, 0.62),
    score("BOTTOM-50", "down_proj", 0.6, 0, 2.94, 0.74),
]
BOTH = Evidence(gather(*ALL, *SPARSER), {})


def only(effects):
    (effect,) = effects
    return effect


def test_recovery_at_one_scope_is_compared_with_that_at_another():
    # 80 % of 0.1 nats against 20 % of 0.5; by KL 80 % against 25 %.
    for measure, points in (("nll", 60), ("kl", 55)):
        effect = only(
            outcome_effects.recovery_difference(SMALL, "ATTN-ONLY", "UNIF-ALL", measure, 0.0)
        )
        np.testing.assert_allclose([effect.value, effect.low, effect.high], points)
        assert (effect.sparsities, effect.seeds) == ((0.5,), 1)
    assert effect.context == "ATTN-ONLY 80, UNIF-ALL 25"
    reverse = only(outcome_effects.recovery_difference(SMALL, "UNIF-ALL", "ATTN-ONLY", "kl", 0.0))
    np.testing.assert_allclose(reverse.value, -55)


def test_recovery_in_perplexity_is_of_the_means_and_not_of_nats():
    effect = only(
        outcome_effects.recovery_difference(SMALL, "ATTN-ONLY", "UNIF-ALL", "perplexity", 0.0)
    )
    damages = np.exp([2.1, 2.5]) - np.exp(2)
    gains = np.exp([2.1, 2.5]) - np.exp([2.02, 2.4])
    np.testing.assert_allclose(effect.value, 100 * (gains[0] / damages[0] - gains[1] / damages[1]))


def test_sparsity_at_one_scope_is_compared_with_that_at_another():
    # 0.1 nats against 0.5, by KL 0.1 against 0.4.
    for measure, nats in (("nll", -0.4), ("kl", -0.3)):
        effect = only(
            outcome_effects.damage_difference(SMALL, "o_proj", "down_proj", measure, 0.0)
        )
        np.testing.assert_allclose([effect.value, effect.low, effect.high], nats)
        assert (effect.sparsities, effect.seeds, effect.by_seed) == ((0.5,), 0, {})
    assert effect.context == "o_proj 0.1, down_proj 0.4"
    one = Evidence(gather(DENSE, TEAL), {})
    assert (
        "no TEAL at both"
        in only(outcome_effects.damage_difference(one, "o_proj", "down_proj", "nll", 0.0)).missing
    )


def test_a_damage_that_may_be_zero_is_divided_by_nowhere():
    harmless = score("BASELINE-TEAL", "o_proj", 0.5, None, 2.001, 0.1, noise=NOISE[0])
    study = Evidence(gather(DENSE, TEAL, UNIF_ALL, harmless, ATTN_ONLY), {})
    effect = only(outcome_effects.recovery_difference(study, "ATTN-ONLY", "UNIF-ALL", "nll", 0.0))
    assert np.isnan(effect.value)
    assert effect.missing.startswith(
        "the damage at o_proj is not shown to be above zero (0.001 [-"
    )
    assert effect.missing.endswith("nats per token), so a ratio to it has no meaning")
    assert effect.sparsities == (0.5,)
    assert (
        only(
            outcome_effects.recovery_difference(study, "ATTN-ONLY", "UNIF-ALL", "kl", 0.0)
        ).missing
        == ""
    )


def test_early_gains_are_a_multiple_of_late_ones():
    for measure, ratio in (("nll", 2), ("kl", 4)):
        effect = only(outcome_effects.gain_ratio(SMALL, "TOP-50", "BOTTOM-50", measure, 1.0))
        np.testing.assert_allclose(effect.value, ratio)
    assert effect.context == "TOP-50 0.08, BOTTOM-50 0.02"


def test_a_ratio_of_gains_grows_from_a_sparsity_to_the_next():
    effect = only(outcome_effects.gain_ratio_growth(BOTH, "TOP-50", "BOTTOM-50", "nll", 0.0))
    np.testing.assert_allclose(effect.value, 0.24 / 0.06 - 0.08 / 0.04)
    assert effect.sparsities == (0.5, 0.6)
    late = score("BOTTOM-50", "down_proj", 0.6, 0, 2.999, 0.74, noise=NOISE[0])
    study = Evidence(gather(*ALL, *SPARSER[:-1], late), {})
    effect = only(outcome_effects.gain_ratio_growth(study, "TOP-50", "BOTTOM-50", "nll", 0.0))
    assert effect.missing.startswith("the gain of BOTTOM-50 at 60 % is not shown to be above zero")
    assert (
        "no two sparsities"
        in only(
            outcome_effects.gain_ratio_growth(SMALL, "TOP-50", "BOTTOM-50", "nll", 0.0)
        ).missing
    )


def test_of_two_gains_that_may_be_zero_that_at_the_lower_sparsity_is_named():
    late = [
        score("BOTTOM-50", "down_proj", 0.5, 0, 2.499, 0.38, noise=NOISE[0]),
        score("BOTTOM-50", "down_proj", 0.6, 0, 2.999, 0.74, noise=NOISE[0]),
    ]
    study = Evidence(gather(DENSE, TEAL, TOP_50, *SPARSER[:-1], *late), {})
    effect = only(outcome_effects.gain_ratio_growth(study, "TOP-50", "BOTTOM-50", "nll", 0.0))
    assert effect.missing.startswith("the gain of BOTTOM-50 at 50 % is not shown to be above zero")


def test_a_share_of_the_gain_is_held_against_that_of_another_half():
    arguments = {"part": "TOP-50", "other": "BOTTOM-50", "whole": "UNIF-ALL"}
    effects = outcome_effects.share_difference(BOTH, **arguments, measure="nll", against=0.0)
    # 80 % against 40 %, at 60 % sparsity 80 % against 20 %.
    np.testing.assert_allclose([effect.value for effect in effects], [40, 60])
    assert effects[0].context == "TOP-50 80, BOTTOM-50 40"
    absent = outcome_effects.share_difference(
        BOTH, "TOP-75", "BOTTOM-50", "UNIF-ALL", measure="nll", against=0.0
    )[1]
    assert absent.missing.startswith("the study has no run of TOP-75 beside one of BOTTOM-50")
    assert absent.sparsities == (0.6,)


def frontier(study, allocation, *rivals, margin=10.0):
    return only(outcome_effects.on_frontier(study, allocation, list(rivals), "nll", 0.0, margin))


def test_an_allocation_is_compared_with_the_best_of_at_most_its_cost_in_its_scope():
    rivals = ["BOTTOM-50", "TOP-75", "UNIF-ALL", "ATTN-ONLY"]
    effect = frontier(SMALL, "TOP-50", *rivals)
    np.testing.assert_allclose([effect.value, effect.low, effect.high], -0.04)
    assert effect.context == "the best of at most its cost is BOTTOM-50"
    assert (effect.holds, effect.p_value < 1e-9) == (True, True)
    worse = frontier(SMALL, "BOTTOM-50", "TOP-50", "TOP-75")
    np.testing.assert_allclose(worse.value, 0.04)
    assert (worse.holds, worse.p_value < 1e-9) == (False, True)
    whole = frontier(SMALL, "UNIF-ALL", *rivals)
    assert (round(whole.value, 9), whole.context) == (
        -0.01,
        "the best of at most its cost is TOP-75",
    )


def test_without_rivals_the_best_is_no_bias_at_all():
    effect = frontier(Evidence(gather(DENSE, TEAL, TOP_50), {}), "TOP-50", "TOP-75")
    np.testing.assert_allclose(effect.value, -0.08)
    assert effect.context == "the best of at most its cost is BASELINE-TEAL"


@pytest.mark.parametrize(
    ("excess", "holds"), [(0.0, True), (-0.01, True), (0.004, False), (0.012, False)]
)
def test_a_tie_stays_on_the_frontier_and_a_better_rival_does_not(excess, holds):
    rival = score("BOTTOM-50", "down_proj", 0.5, 0, 2.42 - excess, 0.38)
    effect = frontier(Evidence(gather(DENSE, TEAL, TOP_50, rival), {}), "TOP-50", "BOTTOM-50")
    assert (effect.holds, effect.p_value < 0.05) == (holds, True)


def test_a_noisy_tie_is_neither_on_the_frontier_nor_off_it():
    rival = score("BOTTOM-50", "down_proj", 0.5, 0, 2.42, 0.38, noise=NOISE[0])
    effect = frontier(Evidence(gather(DENSE, TEAL, TOP_50, rival), {}), "TOP-50", "BOTTOM-50")
    assert effect.p_value > 0.05
    wide = frontier(
        Evidence(gather(DENSE, TEAL, TOP_50, rival), {}), "TOP-50", "BOTTOM-50", margin=1000.0
    )
    assert (wide.holds, wide.p_value < 0.05) == (True, True)


def test_what_is_no_better_than_no_bias_is_not_shown_to_be_on_the_frontier():
    useless = score("TOP-50", "down_proj", 0.5, 0, 2.499, 0.32, noise=NOISE[0])
    effect = frontier(Evidence(gather(DENSE, TEAL, useless), {}), "TOP-50")
    assert (effect.holds, effect.p_value > 0.05) == (True, True)


def test_each_step_of_a_chain_is_compared_with_the_one_before_per_layer():
    effects = outcome_effects.marginal_gain_change(
        SMALL, ["TOP-50", "TOP-75", "UNIF-ALL"], "nll", 0.0
    )
    assert [effect.subject for effect in effects] == ["TOP-50→TOP-75", "TOP-75→UNIF-ALL"]
    # Two layers gain 0.08, the next one 0.01, the last one 0.01.
    np.testing.assert_allclose([effect.value for effect in effects], [0.01 - 0.04, 0], atol=1e-12)
    assert effects[0].context == "0.04 a layer before, 0.01 now"
    shorter = only(outcome_effects.marginal_gain_change(SMALL, ["TOP-50", "UNIF-ALL"], "nll", 0.0))
    np.testing.assert_allclose(shorter.value, 0.02 / 2 - 0.04)


def test_relative_gain_is_of_teals_perplexity():
    names = ["UNIF-ALL", "ATTN-ONLY", "RARE"]
    effects = outcome_effects.relative_gain(SMALL, names, "perplexity", 0.0)
    np.testing.assert_allclose(
        [effect.value for effect in effects[:2]], 100 * (1 - np.exp([-0.1, -0.08]))
    )
    assert [effect.subject for effect in effects] == ["UNIF-ALL", "ATTN-ONLY", "RARE"]
    assert effects[2].missing == "the study has no run of RARE"


def test_relative_gain_grows_by_what_it_is_more_at_the_next_sparsity():
    names = ["UNIF-ALL", "ATTN-ONLY"]
    effects = outcome_effects.relative_gain_growth(BOTH, names, "perplexity", 0.0)
    np.testing.assert_allclose(effects[0].value, 100 * (np.exp(-0.1) - np.exp(-0.3)))
    assert (effects[0].sparsities, effects[0].subject) == ((0.5, 0.6), "UNIF-ALL")
    assert (
        effects[1].missing == "the study has no two sparsities with runs of ATTN-ONLY of one seed"
    )


def test_of_kl_divergence_the_share_of_teals_own_is_meant():
    names = ["UNIF-ALL"]
    effect = only(outcome_effects.relative_gain(SMALL, names, "kl", 0.0))
    np.testing.assert_allclose(effect.value, 25)
    # 0.1 of 0.4, then 0.2 of 0.8.
    growth = only(outcome_effects.relative_gain_growth(BOTH, names, "kl", 0.0))
    np.testing.assert_allclose(growth.value, 0, atol=1e-12)
    assert growth.context == "25 before, 25 now"


def test_one_test_is_of_all_trainings_and_single_ones_stand_beside_it():
    second = [
        score("TOP-50", "down_proj", 0.5, 1, 2.44, 0.33),
        score("UNIF-ALL", "down_proj", 0.5, 1, 2.3, 0.3),
        score("BOTTOM-50", "down_proj", 0.5, 1, 2.46, 0.3),
    ]
    study = Evidence(gather(*ALL, *second), {})
    effect = only(outcome_effects.gain_ratio(study, "TOP-50", "BOTTOM-50", "nll", 1.0))
    # Gains of 0.08 and 0.06 over 0.04 and 0.04: the ratio of their means, with the spread.
    np.testing.assert_allclose(effect.value, 1.75)
    assert (effect.seeds, effect.low < 1.5, effect.high > 2) == (2, True, True)
    np.testing.assert_allclose([one.value for one in effect.by_seed.values()], [2, 1.5])
    # The second seed has no ATTN-ONLY.
    recovery = outcome_effects.recovery_difference(study, "ATTN-ONLY", "UNIF-ALL", "nll", 0.0)
    assert only(recovery).seeds == 1


def test_a_null_other_than_zero_moves_the_p_value_and_not_the_effect():
    noisy = score("TOP-50", "down_proj", 0.5, 0, 2.42, 0.32, noise=NOISE[0])
    study = Evidence(gather(DENSE, TEAL, noisy, UNIF_ALL, BOTTOM_50), {})
    apart, equal = (
        only(outcome_effects.gain_ratio(study, "TOP-50", "BOTTOM-50", "nll", against))
        for against in (20.0, 2.0)
    )
    assert (apart.low, apart.high) == (equal.low, equal.high)
    assert apart.p_value < 0.05
    np.testing.assert_allclose(equal.p_value, 1)


@pytest.mark.parametrize(
    ("test", "arguments"),
    [
        ("recovery_difference", ("ATTN-ONLY", "UNIF-ALL", "nll", 0.0)),
        ("gain_ratio", ("TOP-50", "BOTTOM-50", "nll", 1.0)),
        ("gain_ratio_growth", ("TOP-50", "BOTTOM-50", "nll", 0.0)),
        ("damage_difference", ("o_proj", "down_proj", "nll", 0.0)),
        ("share_difference", ("TOP-50", "BOTTOM-50", "UNIF-ALL", "nll", 0.0)),
        ("on_frontier", ("TOP-50", ["BOTTOM-50"], "nll", 0.0, 10.0)),
        ("marginal_gain_change", (["TOP-50", "TOP-75", "UNIF-ALL"], "nll", 0.0)),
        ("relative_gain", (["TOP-50", "UNIF-ALL"], "kl", 0.0)),
        ("relative_gain_growth", (["TOP-50", "UNIF-ALL"], "kl", 0.0)),
    ],
)
def test_biases_alone_say_nothing_about_text(test, arguments):
    assert only(getattr(outcome_effects, test)(ALONE, *arguments)).missing == BIASES_ALONE
