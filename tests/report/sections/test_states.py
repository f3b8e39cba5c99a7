"""What findings say about hidden states, on a site or two."""

import pandas as pd

from spon.report.sections import states

RUN = {"allocation": "TOP-50", "sparsity": 0.5, "seed": 0}
SITE = RUN | {"site": "model.layers.0.mlp.down_proj", "layer": 0, "map": "mlp.down_proj"}
ALIGNED = SITE | {"samples": 25, "component": 10, "max_abs_cosine": 0.15, "best_component": 3}
ALIGNED |= {"definition": "as_published", "null_mean": 0.167, "null_95": 0.247, "p_value": 0.6}
SHIFT = SITE | {
    "layer": 0.0,
    "definition": "sound",
    "place": "site_same_input",
    "positions": "rest",
    "biased": True,
    "teal_shift": 1.0,
    "spon_shift": 0.9,
    "predicted_spon_shift": 0.9,
    "predicted_without_cross_term": 1.08,
    "recovery_percent": 10.0,
    "recovery_low": 9.0,
    "recovery_high": 11.0,
    "cosine_bias_mean_error": 0.5,
    "cosine_null_95": 0.17,
}
RESIDUAL = SHIFT | {"place": "residual", "site": None, "map": None, "biased": False}
CATEGORY = RUN | {
    "site": "all",
    "definition": "sound",
    "category": "prompts",
    "samples": 100.0,
    "l2_shift": 1.0,
    "cka": 0.99,
    "cka_low": None,
    "cka_high": None,
    "cka_permuted": 0.0,
    "cka_noised": 0.995,
    "category_share": 0.4,
    "category_p": 0.01,
}
HELD_OUT = CATEGORY | {"category": "held_out", "cka_low": 0.985, "cka_high": 0.994}


def test_alignment_counts_the_sites_that_random_directions_do_not_reach():
    sound = ALIGNED | {
        "definition": "sound",
        "samples": 8128,
        "max_abs_cosine": 0.3,
        "p_value": 0.01,
    }
    text = states.describe_alignment(pd.DataFrame([ALIGNED, sound]), {})
    assert "| TOP-50 50 % | 0 | 0.150 | 0.6 | 0.300 | 3 | 0.01 | 0.167 (0.247) |" in text
    assert "are 1 of 1 sites of TOP-50 50 %" in text
    by_chance = pd.DataFrame([sound | {"p_value": 0.3}])
    assert "are 0 of 1 sites" in states.conclude_alignment(by_chance)


def test_states_are_closer_or_farther_only_if_the_interval_says_so():
    site = SHIFT | {"place": "site"}
    text = states.describe_shifts(pd.DataFrame([SHIFT, site, RESIDUAL]), {})
    assert (
        "| TOP-50 50 % | 0 | 1.000 | 0.900 | 0.900 | 1.080 | 0.50 | 10.0 % [9.0, 11.0] |" in text
    )
    assert (
        "the outputs of 1 of 1 sites closer to the dense ones and those of 0 farther away" in text
    )
    assert "off by less than 0.01 %; without the cross term it is up to 20 % too large" in text
    for low, high, words in (
        (9.0, 11.0, "closer to"),
        (-3.0, -1.0, "farther from"),
        (-1.0, 1.0, "as far from"),
    ):
        moved = pd.Series(RESIDUAL | {"recovery_low": low, "recovery_high": high})
        text = states.conclude_residual("TOP-50", moved)
        assert f"states of TOP-50 are {words} the dense model" in text


def test_categories_differ_only_if_prompts_dealt_at_random_would_not():
    published = CATEGORY | {"definition": "as_published", "cka_permuted": 0.53}
    kinds = [
        CATEGORY | {"category": kind, "l2_shift": shift}
        for kind, shift in (("math", 1.0), ("coding", 1.25))
    ]
    kinds += [published | {"category": "math", "cka_permuted": 0.9}]
    table = pd.DataFrame([CATEGORY, published, HELD_OUT, *kinds])
    text = states.describe_categories(table)
    row = (
        "| TOP-50 50 % | held-out text |  |  |  | 1.000 | 0.9900 [0.9850, 0.9940] | 0.000 "
        "| 0.9950 |"
    )
    assert row in text
    assert (
        "categories differ more than 95 % of random deals of the prompts (they hold 40 %" in text
    )
    assert "their mean shifts are 1.000 to 1.250" in text
    assert "CKA under TOP-50 50 % is lower than random moves of the same length make it" in text
    assert "gives 0.90 for states paired at random" in text
    calm = states.conclude_categories(table.assign(category_p=0.4, cka_high=0.999))
    assert "do not differ surely" in calm
    assert "lower than random moves" not in calm
