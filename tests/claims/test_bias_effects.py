"""Claims about biases alone, on tables small enough to be checked by hand."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from spon.analyses import bias_statistics, cross_configuration, norm_ranking
from spon.analyses.runs import Run
from spon.claims import bias_effects
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


def test_a_mean_cosine_is_held_against_random_directions():
    effect = only(
        bias_effects.cosine_across_allocations(
            study(cross_configuration=ACROSS + SEEDS), "UNIF-ALL", "TOP-50"
        )
    )
    # Four sites with a standard deviation of 1/20 each: 1/40 for their mean, and 0.75 is 30 of
    # them.
    np.testing.assert_allclose(
        [effect.value, effect.high - 0.75, 0.75 - effect.low], [0.75, *[HALF / 40] * 2]
    )
    assert (effect.null, effect.seeds, effect.sparsities) == (0, 1, (0.5,))
    assert effect.p_value < 1e-100
    assert effect.context == "random directions stay within 0.049 of zero"


def test_an_agreement_has_no_interval_beyond_one():
    rows = [pair("allocation", layer, 0.999) for layer in range(2)]
    assert (
        only(
            bias_effects.cosine_across_allocations(
                study(cross_configuration=rows), "TOP-50", "UNIF-ALL"
            )
        ).high
        == 1
    )


def test_agreement_drops_from_the_first_shared_site_to_the_last():
    effect = only(
        bias_effects.cosine_drop(study(cross_configuration=ACROSS), "TOP-50", "UNIF-ALL", 0.0)
    )
    # Errors (1 - 0.81) / 20 and (1 - 0.36) / 20.
    error = (0.19**2 + 0.64**2) ** 0.5 / 20
    np.testing.assert_allclose([effect.value, effect.high - 0.3], [0.3, HALF * error])
    assert effect.context == "0.9 at the first layer, 0.6 at the last"
    one = study(cross_configuration=ACROSS[:1])
    assert "2 or more" in only(bias_effects.cosine_drop(one, "TOP-50", "UNIF-ALL", 0.0)).missing


def test_pairs_of_several_seeds_are_averaged():
    second = [row | {"seed": 1, "reference_seed": 1, "cosine": 0.55} for row in ACROSS]
    effect = only(
        bias_effects.cosine_across_allocations(
            study(cross_configuration=ACROSS + second), "TOP-50", "UNIF-ALL"
        )
    )
    np.testing.assert_allclose([effect.value, effect.seeds], [0.65, 2])
    # The variances add up: 1/40 squared within trainings, 0.1 squared between their mean's.
    np.testing.assert_allclose([single.value for single in effect.by_seed.values()], [0.75, 0.55])
    assert effect.p_value > 0.05


def test_seeds_agree_by_the_mean_over_sites():
    effects = bias_effects.cosine_across_seeds(
        study(cross_configuration=ACROSS + SEEDS), ["UNIF-ALL", "TOP-50"]
    )
    np.testing.assert_allclose(only(effects).value, 0.4)
    assert (effects[0].subject, effects[0].seeds) == ("TOP-50", 2)


def test_seeds_and_allocations_are_paired_by_site():
    effect = only(
        bias_effects.seeds_beside_allocations(
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
    assert only(bias_effects.cosine_across_seeds(one, ["TOP-50"])).missing.endswith(
        "TOP-50 with a second seed"
    )
    assert only(
        bias_effects.seeds_beside_allocations(one, "TOP-50", "UNIF-ALL", 0.0)
    ).missing.endswith("where it has both")
    other = only(
        bias_effects.cosine_across_allocations(
            study(cross_configuration=SEEDS), "TOP-50", "UNIF-ALL"
        )
    )
    assert other.missing.startswith("the study has no biases of TOP-50 beside those of UNIF-ALL")


def signs(*shares, entries=1000):
    return study(
        bias_statistics=[RUN | {"d_out": entries, "positive_fraction": share} for share in shares]
    )


def test_signs_of_all_sites_are_counted_together():
    effect = only(bias_effects.positive_share(signs(0.49, 0.53), ["TOP-50"], 50.0, 5.0))
    assert (effect.value, effect.null, effect.margin, effect.context) == (
        51,
        50,
        5,
        "1,020 of 2,000 entries",
    )
    assert 48.5 < effect.low < 49 < 53 < effect.high < 53.5


@pytest.mark.parametrize("share", [0.5, 0.516, 0.518, 0.52, 0.55, 0.58, 0.584, 0.6, 0.45, 0.4])
def test_a_share_is_inside_or_outside_its_margin_where_the_interval_is(share):
    effect = only(bias_effects.positive_share(signs(share), ["TOP-50"], 50.0, 5.0))
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
    effects = only(bias_effects.tails(study(bias_statistics=table), ["TOP-50"]))
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
    effect = only(bias_effects.tails(study(bias_statistics=table), ["TOP-50"]))
    assert effect.p_value > 0.05
    assert effect.low < effect.null < effect.high


def test_norms_are_ranked_with_and_without_the_edge_of_an_allocation():
    lengths = [2.0, 1.0, 3.0, 9.0]
    run = make_run([np.array([length, 0.0]) for length in lengths])
    table = norm_ranking.describe_norm_ranking([run], layers=8)
    effects = [
        only(
            bias_effects.norm_with_depth(
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
    across = only(bias_effects.cosine_across_allocations(evidence, "TOP-50", "UNIF-ALL"))
    seeds = only(bias_effects.cosine_across_seeds(evidence, ["TOP-50", "UNIF-ALL"]))
    np.testing.assert_allclose([across.value, seeds.value], 1 / 1.01, atol=0.01)
    assert (
        only(bias_effects.seeds_beside_allocations(evidence, "TOP-50", "UNIF-ALL", 0.0)).high
        < 0.01
    )


def moments(**columns):
    sites = [RUN | {"site": site, "layer": layer, "d_out": 100} for layer, site in enumerate("ab")]
    return study(
        bias_statistics=[
            row | {name: values[layer] for name, values in columns.items()}
            for layer, row in enumerate(sites)
        ]
    )


def test_the_mean_of_all_entries_is_in_standard_deviations_of_their_site():
    effect = only(
        bias_effects.mean_of_entries(moments(mean_over_std=[0.01, 0.05]), ["TOP-50"], 0.0, 0.2)
    )
    # 200 entries: an error of 1 / sqrt(200), so 0.2 lies 2.4 errors above 0.03.
    np.testing.assert_allclose([effect.value, effect.high - 0.03], [0.03, HALF / 200**0.5])
    assert (effect.margin, effect.p_value < 0.05) == (0.2, True)
    narrow = bias_effects.mean_of_entries(
        moments(mean_over_std=[0.01, 0.05]), ["TOP-50"], 0.0, 0.1
    )
    assert only(narrow).p_value > 0.05


def test_skewness_is_a_mean_over_sites_as_uncertain_as_that_of_normal_numbers():
    effect = only(
        bias_effects.skewness_of_entries(moments(skewness=[0.1, -0.3]), ["TOP-50"], 0.0, 0.5)
    )
    variance = 6 * 98 / (101 * 103)
    np.testing.assert_allclose(
        [effect.value, effect.high + 0.1], [-0.1, HALF * (variance / 2) ** 0.5]
    )


def test_kurtosis_is_ranked_with_depth():
    rows = [
        RUN | {"site": str(layer), "layer": layer, "d_out": 100, "excess_kurtosis": 5.0 - layer}
        for layer in range(5)
    ]
    effect = only(bias_effects.kurtosis_with_depth(study(bias_statistics=rows), ["TOP-50"], 0.0))
    np.testing.assert_allclose([effect.value, effect.p_value, effect.least], [-1, 1 / 60, 1 / 60])


def test_norms_are_ranked_with_the_shift_that_teal_makes_at_their_sites():
    sites = [RUN | {"site": str(layer), "layer": layer} for layer in range(4)]
    place = {"definition": "sound", "place": "site", "positions": "rest", "biased": True}
    shifts = [row | place | {"teal_shift": s} for row, s in zip(sites, [4, 1, 3, 2], strict=True)]
    shifts.append(RUN | place | {"site": "all", "layer": np.nan, "teal_shift": 9})
    norms = [row | {"l2_norm": s} for row, s in zip(sites, [40, 10, 20, 30], strict=True)]
    both = study(hidden_state_shift=shifts, bias_statistics=norms)
    effect = only(bias_effects.norm_with_damage(both, ["TOP-50"], 0.0))
    np.testing.assert_allclose([effect.value, effect.p_value], [0.8, 8 / 24])
    alone = study(bias_statistics=norms)
    assert only(bias_effects.norm_with_damage(alone, ["TOP-50"], 0.0)).missing == BIASES_ALONE


def test_ranks_are_those_of_averages_over_trainings():
    rows = [
        RUN
        | {"seed": seed, "site": str(layer), "layer": layer, "l2_norm": norm, "boundary": False}
        for seed, norms in enumerate([[1, 2.5, 3, 10], [4, 3.5, 2, 10.0]])
        for layer, norm in enumerate(norms)
    ]
    effect = only(bias_effects.norm_with_depth(study(norm_ranking=rows), ["TOP-50"], False, 0.0))
    # Averages 2.5, 3, 2.5, 10: ranks 1.5, 3, 1.5, 4.
    np.testing.assert_allclose(effect.value, spearmanr([0, 1, 2, 3], [2.5, 3, 2.5, 10]).statistic)
    np.testing.assert_allclose([one.value for one in effect.by_seed.values()], [1, 0.2])
    assert effect.seeds == 2
