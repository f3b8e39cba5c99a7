"""Claims about hidden states, on tables small enough to be checked by hand."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import f as f_distribution

from spon.claims import state_effects
from spon.claims.effects import BIASES_ALONE, HALF, Evidence

DOWN = "mlp.down_proj"
RUN = {"allocation": "TOP-50", "sparsity": 0.5, "seed": 0}


def study(**analyses):
    return Evidence(None, {name: pd.DataFrame(rows) for name, rows in analyses.items()})


def only(effects):
    (effect,) = effects
    return effect


def shift(place, site, layer, recovery, **more):
    row = RUN | {
        "definition": "sound",
        "place": place,
        "positions": "rest",
        "site": site,
        "layer": layer,
        "biased": True,
    }
    bounds = {"recovery_low": recovery - 1, "recovery_high": recovery + 1, "p_value": 0.001}
    return (
        row | {"recovery_percent": recovery, "teal_shift": 2.0, "spon_shift": 2.5} | bounds | more
    )


SHIFTS = [
    *[
        shift("site", f"model.layers.{layer}.{DOWN}", layer, recovery)
        for layer, recovery in enumerate([-40, -9, -3, -4])
    ],
    shift("site", f"model.layers.4.{DOWN}", 4, 50.0, biased=False),
    shift("site", f"model.layers.0.{DOWN}", 0, 99.0, definition="as_published"),
    shift("site", f"model.layers.0.{DOWN}", 0, 99.0, positions="first"),
    shift("site", "all", np.nan, -6.0),
    shift("site_same_input", "all", np.nan, -7.0),
    *[
        shift("residual", np.nan, layer, recovery)
        for layer, recovery in [(9, 3.0), (10, 2.0), (8, 1.0)]
    ],
]


def test_a_shift_at_the_sites_is_that_of_biased_sites_inside_the_sparse_model():
    effect = only(state_effects.shift_recovery(study(hidden_state_shift=SHIFTS), ["TOP-50"], 0.0))
    assert (effect.value, effect.low, effect.high, effect.p_value, effect.null) == (
        -6,
        -7,
        -5,
        0.001,
        0,
    )
    assert (effect.sparsities, effect.subject, effect.seeds) == ((0.5,), "TOP-50", 1)
    assert effect.context == "shift 2.5 under SPON, 2 under TEAL"


def test_the_last_layer_speaks_for_the_residual_stream():
    assert (
        only(
            state_effects.residual_recovery(study(hidden_state_shift=SHIFTS), ["TOP-50"], 0.0)
        ).value
        == 2
    )


def test_where_nothing_is_shifted_nothing_can_be_recovered():
    still = shift("site", "all", np.nan, np.nan, p_value=np.nan)
    assert only(
        state_effects.shift_recovery(study(hidden_state_shift=[still]), ["TOP-50"], 0.0)
    ).missing


def test_the_recovery_drops_from_the_first_biased_site_to_the_last():
    effect = only(
        state_effects.shift_recovery_drop(study(hidden_state_shift=SHIFTS), ["TOP-50"], 0.0)
    )
    # -40 less -4, each within 1.
    np.testing.assert_allclose([effect.value, effect.low, effect.high], [-36, -38, -34])
    assert effect.p_value < 1e-100
    assert effect.context == "-40 at the first layer, -4 at the last"
    single = [row for row in SHIFTS if row["site"] in (f"model.layers.0.{DOWN}", "all")]
    assert (
        "2 or more"
        in only(
            state_effects.shift_recovery_drop(study(hidden_state_shift=single), ["TOP-50"], 0.0)
        ).missing
    )


def test_recoveries_are_averaged_over_trainings():
    second = [row | {"seed": 1, "recovery_percent": -8.0} for row in SHIFTS]
    for row in second:
        row |= {"recovery_low": -9.0, "recovery_high": -7.0}
    effect = only(
        state_effects.shift_recovery(study(hidden_state_shift=SHIFTS + second), ["TOP-50"], 0.0)
    )
    assert (effect.value, effect.seeds, list(effect.by_seed)) == (-7, 2, [0, 1])
    assert [single.value for single in effect.by_seed.values()] == [-6, -8]
    # The spread between two trainings makes the interval wider than that of either.
    assert effect.high - effect.low > 2
    assert effect.context == "-6, -8 in single trainings"


CATEGORIES = RUN | {"site": "all", "cka": 0.9996, "cka_low": 0.9994, "cka_high": 0.9998}
CATEGORIES |= {"cka_noised": 0.99951}


def categories(share, prompts=25):
    """The rows of five categories whose prompts' shifts have a share of variance between them."""
    names = ["math", "commonsense", "coding", "safety", "factual", "prompts", "held_out"]
    sound = [CATEGORIES | {"definition": "sound", "category": name} for name in names]
    for row in sound:
        row |= {"samples": 999, "category_share": share, "category_p": 0.3}
    pooled = {"definition": "as_published", "category": "prompts", "samples": prompts}
    return study(category_shift=[*sound, CATEGORIES | pooled])


def test_categories_are_told_apart_by_what_chance_does_not_explain():
    # As much as chance gives: 4 of 24 degrees of freedom.
    effect = only(state_effects.category_share(categories(4 / 24), ["TOP-50"], 14.0))
    np.testing.assert_allclose([effect.value, effect.low, effect.null], [0, 0, 14], atol=1e-9)
    assert effect.context.startswith("16.7 % among these 25 prompts; dealt to the categories")
    # F(4, 20) = 1 / 4 * 20 / 1 = 5: the lower end is above zero where F's own test is below 2.5 %.
    effect = only(state_effects.category_share(categories(0.5), ["TOP-50"], 0.0))
    np.testing.assert_allclose(effect.p_value, 2 * f_distribution.sf(5, 4, 20))
    assert effect.low > 0


@pytest.mark.parametrize(("share", "side"), [(0.02, -1), (0.3, 0), (0.8, 1)])
def test_a_share_is_below_or_above_its_margin_where_the_interval_is(share, side):
    effect = only(state_effects.category_share(categories(share), ["TOP-50"], 14.0))
    outside = int(effect.low > 14) - int(effect.high < 14)
    assert outside == side
    assert (effect.p_value < 0.05) == bool(side)


def test_cka_is_as_far_from_a_bound_as_its_interval_says():
    effect = only(state_effects.held_out_cka(categories(0.25), ["TOP-50"], 0.9994))
    np.testing.assert_allclose(
        [effect.value, effect.low, effect.high, effect.p_value], [0.9996, 0.9994, 0.9998, 0.05]
    )
    assert effect.context == "0.99951 with noise of the shift's size instead of the shift"
    assert only(state_effects.held_out_cka(categories(0.25), ["TOP-50"], 0.999)).p_value < 0.001


def test_alignment_is_held_against_random_directions_and_a_margin():
    # One site's largest cosine is 0.17 by chance, and 1.645 standard deviations are 0.08.
    values = {"definition": "sound", "null_mean": 0.17, "null_95": 0.25}
    rows = [
        RUN | values | {"site": site, "component": component, "max_abs_cosine": cosine}
        for site, cosine in [("a", 0.1), ("b", 0.3)]
        for component in (1, 2)
    ]
    effect = only(state_effects.alignment(study(pca_alignment=rows), ["TOP-50"], 0.1))
    np.testing.assert_allclose([effect.value, effect.null], [0.2, 0.27])
    np.testing.assert_allclose(effect.high - 0.2, HALF * 0.08 / 1.644854 / 2**0.5, rtol=1e-5)
    assert effect.context == "random directions have 0.17 on average"


def test_states_need_a_model():
    for test in (
        state_effects.shift_recovery,
        state_effects.residual_recovery,
        state_effects.shift_recovery_drop,
        state_effects.category_share,
        state_effects.held_out_cka,
        state_effects.alignment,
    ):
        assert only(test(study(), ["TOP-50"], 0.0)).missing == BIASES_ALONE
