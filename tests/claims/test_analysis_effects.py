"""Claims about states and biases, on tables small enough to be checked by hand."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import combine_pvalues, spearmanr

from spon.analyses import bias_statistics, cross_configuration, norm_ranking
from spon.analyses.runs import Run
from spon.claims import analysis_effects
from spon.claims.effects import BIASES_ALONE, HALF, Evidence

DOWN = "mlp.down_proj"
RUN = {"allocation": "TOP-50", "sparsity": 0.5, "seed": 0}
# |cos| of a random direction in 400 dimensions has a standard deviation of 1 / 20.
NULL_95 = HALF / 20


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


def pair(comparison, layer, cosine, **more):
    row = (
        {"comparison": comparison}
        | RUN
        | {"reference": "UNIF-ALL", "reference_sparsity": 0.5, "reference_seed": 0}
    )
    return (
        row
        | {
            "site": f"model.layers.{layer}.{DOWN}",
            "layer": layer,
            "cosine": cosine,
            "null_95": NULL_95,
        }
        | more
    )


ACROSS = [pair("allocation", layer, cosine) for layer, cosine in enumerate([0.9, 0.8, 0.7, 0.6])]
SEEDS = [
    pair("seed", layer, cosine, reference="TOP-50", reference_seed=1)
    for layer, cosine in enumerate([0.5, 0.5, 0.4, 0.2])
]


def test_a_shift_at_the_sites_is_that_of_biased_sites_inside_the_sparse_model():
    effect = only(
        analysis_effects.shift_recovery(study(hidden_state_shift=SHIFTS), ["TOP-50"], 0.0)
    )
    assert (effect.value, effect.low, effect.high, effect.p_value, effect.null) == (
        -6,
        -7,
        -5,
        0.001,
        0,
    )
    assert (effect.sparsities, effect.subject, effect.seed) == ((0.5,), "TOP-50", 0)
    assert effect.context == "shift 2.5 under SPON, 2 under TEAL"


def test_the_last_layer_speaks_for_the_residual_stream():
    assert (
        only(
            analysis_effects.residual_recovery(study(hidden_state_shift=SHIFTS), ["TOP-50"], 0.0)
        ).value
        == 2
    )


def test_where_nothing_is_shifted_nothing_can_be_recovered():
    still = shift("site", "all", np.nan, np.nan, p_value=np.nan)
    assert only(
        analysis_effects.shift_recovery(study(hidden_state_shift=[still]), ["TOP-50"], 0.0)
    ).missing


def test_recovery_is_ranked_over_the_biased_sites():
    effect = only(
        analysis_effects.shift_recovery_with_depth(
            study(hidden_state_shift=SHIFTS), ["TOP-50"], 0.0
        )
    )
    # Ranks 1, 2, 4, 3: one of 3 neighbouring swaps of the 24 orders, beside the order itself, on
    # either side.
    np.testing.assert_allclose([effect.value, effect.p_value], [0.8, 8 / 24])


CATEGORIES = RUN | {
    "definition": "sound",
    "site": "all",
    "cka": 0.9996,
    "cka_low": 0.9994,
    "cka_high": 0.9998,
}
CATEGORIES |= {"cka_noised": 0.99951, "category_share": 0.25, "category_p": 0.3}


def test_categories_are_held_against_prompts_in_random_order():
    rows = [CATEGORIES | {"category": name} for name in ("math", "prompts", "held_out")]
    effect = only(analysis_effects.category_share(study(category_shift=rows), ["TOP-50"]))
    assert (effect.value, effect.p_value) == (25, 0.3)
    assert np.isnan([effect.low, effect.null]).all()


def test_cka_is_as_far_from_a_bound_as_its_interval_says():
    rows = [CATEGORIES | {"category": name} for name in ("math", "prompts", "held_out")]
    effect = only(analysis_effects.held_out_cka(study(category_shift=rows), ["TOP-50"], 0.9994))
    np.testing.assert_allclose(
        [effect.value, effect.low, effect.high, effect.p_value], [0.9996, 0.9994, 0.9998, 0.05]
    )
    assert effect.context == "0.99951 with noise of the shift's size instead of the shift"
    assert (
        only(analysis_effects.held_out_cka(study(category_shift=rows), ["TOP-50"], 0.999)).p_value
        < 0.001
    )


def test_a_mean_cosine_is_held_against_random_directions():
    effect = only(
        analysis_effects.cosine_across_allocations(
            study(cross_configuration=ACROSS + SEEDS), "UNIF-ALL", "TOP-50"
        )
    )
    # Four sites with a standard deviation of 1/20 each: 1/40 for their mean, and 0.75 is 30 of
    # them.
    np.testing.assert_allclose(
        [effect.value, effect.high - 0.75, 0.75 - effect.low], [0.75, *[HALF / 40] * 2]
    )
    assert (effect.null, effect.seed, effect.sparsities) == (0, 0, (0.5,))
    assert effect.p_value < 1e-100
    assert effect.context == "random directions stay within 0.049 of zero"


def test_an_agreement_has_no_interval_beyond_one():
    rows = [pair("allocation", layer, 0.999) for layer in range(2)]
    assert (
        only(
            analysis_effects.cosine_across_allocations(
                study(cross_configuration=rows), "TOP-50", "UNIF-ALL"
            )
        ).high
        == 1
    )


def test_agreement_is_ranked_over_the_shared_sites():
    effect = only(
        analysis_effects.cosine_with_depth(
            study(cross_configuration=ACROSS), "TOP-50", "UNIF-ALL", 0.0
        )
    )
    assert (effect.value, effect.p_value) == (-1, 2 / 24)


def test_seeds_agree_by_the_mean_over_sites():
    effects = analysis_effects.cosine_across_seeds(
        study(cross_configuration=ACROSS + SEEDS), ["UNIF-ALL", "TOP-50"]
    )
    np.testing.assert_allclose(only(effects).value, 0.4)
    assert (effects[0].subject, effects[0].seed) == ("TOP-50", None)


def test_seeds_and_allocations_are_paired_by_site():
    effect = only(
        analysis_effects.seeds_beside_allocations(
            study(cross_configuration=ACROSS + SEEDS), "TOP-50", "UNIF-ALL", 0.0
        )
    )
    # Differences 0.4, 0.3, 0.3, 0.4 below: mean 0.35, error 0.0577 / 2, t(3) is 3.1824.
    np.testing.assert_allclose(
        [effect.value, effect.high + 0.35], [-0.35, 3.1824 * 0.057735 / 2], rtol=1e-4
    )
    assert effect.p_value < 0.01
    assert effect.context == "0.4 across seeds, 0.75 across allocations"


def test_one_seed_has_no_ceiling():
    one = study(cross_configuration=ACROSS)
    assert only(analysis_effects.cosine_across_seeds(one, ["TOP-50"])).missing.endswith(
        "TOP-50 with a second seed"
    )
    assert only(
        analysis_effects.seeds_beside_allocations(one, "TOP-50", "UNIF-ALL", 0.0)
    ).missing.endswith("where it has both")
    other = only(
        analysis_effects.cosine_across_allocations(
            study(cross_configuration=SEEDS), "TOP-50", "UNIF-ALL"
        )
    )
    assert other.missing.startswith("the study has no biases of TOP-50 beside those of UNIF-ALL")


def test_alignment_is_combined_over_sites():
    values = {"definition": "sound", "null_mean": 0.17, "null_95": 0.25}
    rows = [
        RUN
        | values
        | {"site": site, "component": component, "max_abs_cosine": cosine, "p_value": p_value}
        for site, cosine, p_value in [("a", 0.1, 0.9), ("b", 0.3, 0.01)]
        for component in (1, 2)
    ]
    effect = only(analysis_effects.alignment(study(pca_alignment=rows), ["TOP-50"]))
    np.testing.assert_allclose([effect.value, effect.null], [0.2, 0.17])
    np.testing.assert_allclose(effect.p_value, combine_pvalues([0.9, 0.01]).pvalue)
    assert effect.context == "95 % of random directions stay under 0.25 at a site"


def signs(*shares, entries=1000):
    return study(
        bias_statistics=[RUN | {"d_out": entries, "positive_fraction": share} for share in shares]
    )


def test_signs_of_all_sites_are_counted_together():
    effect = only(analysis_effects.positive_share(signs(0.49, 0.53), ["TOP-50"], 50.0, 5.0))
    assert (effect.value, effect.null, effect.margin, effect.context) == (
        51,
        50,
        5,
        "1,020 of 2,000 entries",
    )
    assert 48.5 < effect.low < 49 < 53 < effect.high < 53.5


@pytest.mark.parametrize("share", [0.5, 0.516, 0.518, 0.52, 0.55, 0.58, 0.584, 0.6, 0.45, 0.4])
def test_a_share_is_surely_inside_or_outside_its_margin_where_the_interval_is(share):
    effect = only(analysis_effects.positive_share(signs(share), ["TOP-50"], 50.0, 5.0))
    inside, outside = 45 < effect.low < effect.high < 55, effect.low > 55 or effect.high < 45
    assert (effect.p_value < 0.05) == (inside or outside)


def make_run(biases, allocation="TOP-50", seed=0):
    return Run(
        allocation,
        0.5,
        seed,
        {f"model.layers.{layer}.{DOWN}": bias for layer, bias in enumerate(biases)},
    )


@pytest.mark.parametrize(("name", "sign"), [("uniform", -1), ("laplace", 1)])
def test_light_tails_lie_below_normal_ones_and_heavy_ones_above(name, sign):
    biases = getattr(np.random.default_rng(0), name)(size=(4, 256)) - 0.5
    table = bias_statistics.describe_bias_statistics(make_run(biases))
    effects = only(analysis_effects.tails(study(bias_statistics=table), ["TOP-50"]))
    assert np.sign(effects.value - effects.null) == sign
    assert effects.p_value < 1e-6
    np.testing.assert_allclose(effects.null, -6 / 257)
    assert (
        f"{4 if sign > 0 else 0} of 4 sites above and {4 if sign < 0 else 0} below"
        in effects.context
    )


def test_normal_numbers_have_normal_tails():
    table = bias_statistics.describe_bias_statistics(
        make_run(np.random.default_rng(1).standard_normal((8, 256)))
    )
    effect = only(analysis_effects.tails(study(bias_statistics=table), ["TOP-50"]))
    assert effect.p_value > 0.05
    assert effect.low < effect.null < effect.high


def test_norms_are_ranked_with_and_without_the_edge_of_an_allocation():
    lengths = [2.0, 1.0, 3.0, 9.0]
    run = make_run([np.array([length, 0.0]) for length in lengths])
    table = norm_ranking.describe_norm_ranking([run], layers=8)
    effects = [
        only(
            analysis_effects.norm_with_depth(
                study(norm_ranking=table), ["TOP-50"], inside=inside, against=0.0
            )
        )
        for inside in (False, True)
    ]
    np.testing.assert_allclose(
        [effect.value for effect in effects], [0.8, spearmanr([0, 1, 2], lengths[:3]).statistic]
    )
    expected = table.loc[0, ["spearman_p", "spearman_p_inside"]].astype(float)
    np.testing.assert_allclose([effect.p_value for effect in effects], expected)


def test_what_the_analyses_write_can_be_read():
    source = np.random.default_rng(0)
    shared = source.standard_normal((4, 64))
    runs = [
        make_run(shared + 0.1 * source.standard_normal((4, 64)), *names)
        for names in (("TOP-50", 0), ("TOP-50", 1), ("UNIF-ALL", 0))
    ]
    evidence = study(cross_configuration=cross_configuration.describe_cross_configuration(runs))
    across = only(analysis_effects.cosine_across_allocations(evidence, "TOP-50", "UNIF-ALL"))
    seeds = only(analysis_effects.cosine_across_seeds(evidence, ["TOP-50", "UNIF-ALL"]))
    np.testing.assert_allclose([across.value, seeds.value], 1 / 1.01, atol=0.01)
    assert (
        only(analysis_effects.seeds_beside_allocations(evidence, "TOP-50", "UNIF-ALL", 0.0)).high
        < 0.01
    )


def test_states_need_a_model():
    for test in (analysis_effects.category_share, analysis_effects.alignment):
        assert only(test(study(), ["TOP-50"])).missing == BIASES_ALONE
    for test in (
        analysis_effects.shift_recovery,
        analysis_effects.residual_recovery,
        analysis_effects.shift_recovery_with_depth,
    ):
        assert only(test(study(), ["TOP-50"], 0.0)).missing == BIASES_ALONE
