"""The places of a clause as one family of tests: Holm's adjustment, and tests without a chance."""

from collections.abc import Sequence

import numpy as np

from spon import stats
from spon.claims.effects import Effect, not_applicable, say_number

ALPHA = round(1 - stats.LEVEL, 9)


def adjust_places(effects: Sequence[Effect]) -> list[tuple[Effect, float, int]]:
    """Each effect of a clause, its adjusted p-value, and over how many places it is adjusted.

    An effect whose test could not have reached 5 % there is not applicable.
    """
    effects = drop_hopeless(effects)
    p_values = np.array([effect.p_value for effect in effects], dtype=float)
    family = int(np.count_nonzero(~np.isnan(p_values)))
    adjusted = stats.adjust_holm(p_values)
    return [(effect, float(p), family) for effect, p in zip(effects, adjusted, strict=True)]


def drop_hopeless(effects: Sequence[Effect]) -> list[Effect]:
    """The effects, those not applicable whose p-value could not be below 5 % in any outcome.

    At best, all places that can reach a smaller p-value do; Holm multiplies by the number of the
    others.
    """
    kept = list(effects)
    while True:
        limits = [effect.least for effect in kept if not effect.missing]
        hopeless = [
            least for least in limits if least * sum(other >= least for other in limits) >= ALPHA
        ]
        if not hopeless:
            return kept
        worst, places = max(hopeless), sum(other >= max(hopeless) for other in limits)
        kept = [
            explain_limit(effect, places)
            if not effect.missing and effect.least == worst
            else effect
            for effect in kept
        ]


def explain_limit(effect: Effect, places: int) -> Effect:
    """The effect as not applicable, since its test cannot reach 5 %."""
    least = f"{effect.limit} cannot give a p-value below {say_number(effect.least)}"
    if effect.least < ALPHA:
        least += f", which is {say_number(effect.least * places)} adjusted over {places} places"
    return not_applicable(
        f"{least}, so no order could be told from chance at the 5 % level",
        sparsities=effect.sparsities,
        subject=effect.subject,
        seeds=effect.seeds,
    )
