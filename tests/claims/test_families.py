"""Families of tests: the places of a clause, and those that could not be shown in any case."""

from dataclasses import replace

import numpy as np

from spon.claims import families
from spon.claims.effects import Effect, not_applicable

EFFECT = Effect(1.0, np.nan, np.nan, 0.02, 0.0, sparsities=(0.5,), seeds=1)


def rank(layers, p_value):
    least = {3: 2 / 6, 4: 2 / 24, 5: 2 / 120, 8: 2 / 40320}[layers]
    return replace(EFFECT, p_value=p_value, least=least, limit=f"the order of {layers} layers")


def decide(*effects):
    return families.adjust_places(effects)


def test_holm_counts_the_places_that_were_tested():
    adjusted = decide(EFFECT, replace(EFFECT, p_value=0.04), not_applicable("it was not run"))
    np.testing.assert_allclose([p for _, p, _ in adjusted], [0.04, 0.04, np.nan])
    assert [family for _, _, family in adjusted] == [2, 2, 2]


def test_the_order_of_four_layers_can_show_nothing():
    ((few, p_few, family), (many, p_many, _)) = decide(rank(4, 2 / 24), rank(8, 0.03))
    assert few.missing == (
        "the order of 4 layers cannot give a p-value below 0.0833, "
        "so no order could be told from chance at the 5 % level"
    )
    assert (few.sparsities, family, many.missing) == ((0.5,), 1, "")
    np.testing.assert_allclose([p_few, p_many], [np.nan, 0.03])


def test_five_layers_can_show_something_at_two_places_and_not_at_three():
    # 2 / 120 adjusted over 3 places is just 5 %.
    assert [effect.missing for effect, _, _ in decide(rank(5, 1.0), rank(5, 1.0))] == ["", ""]
    three = decide(*[rank(5, 1.0)] * 3)
    assert all("0.0167, which is 0.05 adjusted over 3 places" in e.missing for e, _, _ in three)


def test_a_place_that_can_come_last_has_a_chance():
    # Both places of 8 layers can be shown before it, so that nothing is left to adjust for.
    assert not any(effect.missing for effect, _, _ in decide(*[rank(8, 1.0)] * 2, rank(5, 1.0)))
