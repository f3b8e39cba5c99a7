"""What findings say about hidden states, on a site or two."""

import pandas as pd

from spon.report.sections import states

RUN = {"allocation": "TOP-50", "sparsity": 0.5, "seed": 0}
SITE = RUN | {"site": "model.layers.0.mlp.down_proj", "layer": 0, "map": "mlp.down_proj"}
ALIGNED = SITE | {"samples": 25, "component": 10, "max_abs_cosine": 0.15, "best_component": 3}
ALIGNED |= {
    "cosine_mean_output": 0.8,
    "definition": "as_published",
    "null_mean": 0.167,
    "null_95": 0.247,
    "p_value": 0.6,
}
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
    assert "| TOP-50 50 % | 0.30 (0.30) | 0.17 (0.25) | 1 of 1 | 0.80 |" in text
    assert "Beyond chance are 1 of 1 sites" in text
    by_chance = pd.DataFrame([sound | {"p_value": 0.3}])
    assert "are 0 of 1 sites" in states.conclude_alignment(by_chance)


def test_states_are_closer_or_farther_only_if_the_interval_says_so():
    everywhere = SHIFT | {"site": "all"}
    site = SHIFT | {"place": "site"}
    rows = [SHIFT, site, everywhere, everywhere | {"place": "site"}, RESIDUAL]
    text = states.describe_shifts(pd.DataFrame(rows), {})
    share = "10.0 % [9.0, 11.0]"
    assert f"| TOP-50 50 % | {share} | {share} | {share} | 0.50 |" in text
    assert "the outputs of 1 of 1 sites closer to the dense ones and move those of 0 away" in text
    assert states.say_gap(40.0) == " (the prediction is off by up to 40 %)"
    assert states.say_gap(float("nan")) == ""
    assert "as predicted (less than 1 % off); 1 of 1 biases point along" in text
    assert "states come closer in 1 of 1 runs and move away in 0." in text
    away = RESIDUAL | {"recovery_low": -3.0, "recovery_high": -1.0}
    text = states.conclude_shifts(pd.DataFrame([SHIFT, away]))
    assert "states come closer in 0 of 1 runs and move away in 1." in text


def test_categories_differ_only_if_prompts_dealt_at_random_would_not():
    kinds = [
        CATEGORY | {"category": kind, "l2_shift": shift}
        for kind, shift in (("math", 1.0), ("coding", 1.25))
    ]
    table = pd.DataFrame([CATEGORY, HELD_OUT, *kinds])
    text = states.describe_categories(table)
    row = "| TOP-50 50 % | 1.00 to 1.25 | 40 % | 0.01 | 0.9900 [0.9850, 0.9940] | 0.9950 |"
    assert row in text
    assert "depends on the category in 1 of 1 runs" in text
    assert "In 1 of 1 runs CKA is lower than random moves of the same length make it" in text
    calm = states.conclude_categories(table.assign(category_p=0.4, cka_high=0.999))
    assert "depends on the category in 0 of 1 runs" in calm
    assert "In 0 of 1 runs CKA is lower" in calm
