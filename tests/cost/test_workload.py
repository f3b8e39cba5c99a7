"""Work of a model that is small enough to be counted by hand."""

import pytest

from spon import models, newton
from spon.cost import workload
from spon.cost.workload import Scale, Work
from spon.methods import greedy

# 2 · (4 + 4 + 2 · 2 + 3 · 8) operations in the maps of a layer, and 4 · 2 · 2 of attention over
# blocks of 4.
SIZES = {"q_proj": (2, 2), "o_proj": (2, 2), "k_proj": (2, 1), "v_proj": (2, 1)}
MAPS = {
    f"self_attn.{name}": {"d_in": d_in, "d_out": d_out} for name, (d_in, d_out) in SIZES.items()
}
MAPS |= {f"mlp.{name}_proj": {"d_in": 2, "d_out": 4} for name in ("gate", "up")}
MAPS["mlp.down_proj"] = {"d_in": 4, "d_out": 2}
SHAPE = {"layers": 4, "width": 2, "vocabulary": 10, "parameters": 180, "tied": True, "maps": MAPS}
SHAPE |= {"heads_width": 2, "keys_width": 1, "inner": 3, "lacking": {}}
SETTINGS = {
    "text": {"calibration": {"blocks": 20}, "evaluation": {"blocks": 10}},
    "protocol": {"block_length": 4},
    "calibrate": {"blocks": 5, "held_out_blocks": 3},
    "train": {
        "blocks": 6,
        "held_out_blocks": 2,
        "order": "random",
        "epochs": 2,
        "batch_blocks": 3,
        "measure_every": 4,
        "checkpointing": False,
    },
    "evaluate": {"temperature_blocks": 2},
    "controls": {"draws": 20, "draw_blocks": 2},
    "analyses": {"blocks": 3},
    "prompts": ["word" * 2, "word" * 3],  # 5 tokens
    "scopes": {"down_proj": ["mlp.down_proj"]},
    "allocations": {
        "ALL": {"biases": ["mlp.down_proj"], "layers": "all"},
        "LAST": {"biases": ["mlp.down_proj"], "layers": {"last": 0.5}},
    },
}
SCALE = Scale(SHAPE, SETTINGS)


def change(**sections):
    return Scale(
        SHAPE, SETTINGS | {name: SETTINGS[name] | changed for name, changed in sections.items()}
    )


def count(rule, scale=SCALE, first=False, allocation="ALL"):
    return workload.WORK[rule](scale, {"allocation": allocation, "seed": 0, "first": first})


def test_a_layer_and_the_head_cost_two_operations_per_weight_and_attention_half_a_block():
    assert workload.layer_flop(SHAPE, 4) == 2 * 36 + 4 * 2 * 2
    assert workload.head_flop(SHAPE) == 2 * 20


def test_a_training_passes_forwards_and_backwards_in_every_epoch():
    # 24 tokens twice through 4 layers, and three products with the head each time; and 8 held-out
    # ones before the first of four steps and behind the last.
    assert count("train_spon") == Work(
        forward=2 * 8 * 4, trained=2 * 24 * 4, compared=3 * 2 * 24 + 2 * 2 * 8
    )


def test_what_lies_below_the_lowest_bias_runs_once():
    assert count("train_spon", allocation="LAST") == Work(
        forward=32 * 2 + 2 * 8 * 2, trained=2 * 24 * 2, compared=3 * 2 * 24 + 2 * 2 * 8
    )


def test_the_first_run_of_a_seed_makes_the_dense_states_and_the_others_find_them():
    assert count("train_spon", first=True).forward == 32 * 4 + 64
    runs = [{"rule": "train_spon", "allocation": "ALL", "seed": seed} for seed in (0, 0, 1)]
    assert [work.forward for work in workload.count_work(SCALE, runs)["train_spon"]] == [
        192,
        64,
        192,
    ]
    in_order = change(train={"order": "first"})
    assert [work.forward for work in workload.count_work(in_order, runs)["train_spon"]] == [
        192,
        64,
        64,
    ]


def test_checkpointing_adds_a_pass_forwards():
    assert count("train_spon", change(train={"checkpointing": True})).forward == 64 + 2 * 24 * 4


def test_the_dense_evaluation_needs_one_product_with_the_head_and_others_two():
    # And 8 tokens for the temperature, with three products.
    assert count("evaluate_dense") == Work(forward=48 * 4, scored=40 + 24)
    assert count("evaluate_spon") == count("evaluate_teal") == Work(forward=48 * 4, scored=80 + 24)


def test_a_further_text_is_one_pass_over_its_blocks_without_a_temperature():
    texts = SETTINGS["text"] | {"wiki": {"blocks": 7}}
    scale, job = Scale(SHAPE, SETTINGS | {"text": texts}), {"part": "wiki"}
    dense, teal, spon = (
        workload.WORK[f"evaluate_{model}_further"](scale, job)
        for model in ("dense", "teal", "spon")
    )
    assert dense == Work(forward=28 * 4, scored=28)
    assert teal == spon == Work(forward=28 * 4, scored=2 * 28)


def test_draws_share_the_dense_model():
    assert count("evaluate_draws") == Work(forward=20 * 8 * 4, scored=21 * 8)
    assert count("evaluate_draws", first=True).forward == 21 * 8 * 4


def test_calibration_is_passes():
    assert count("read_quantiles") == Work(forward=20 * 4)
    assert count("choose_thresholds") == Work(forward=2 * 12 * 4)
    assert count("average_residual") == Work(forward=24 * 4)
    assert count("centre_on_mode") == Work(forward=3 * 20 * 4 + 2 * 12 * 4)


def test_greedy_sparsities_take_a_pass_per_map_and_step():
    scale = Scale(SHAPE, SETTINGS | {"scopes": {"mlp": list(MAPS)[4:]}})
    work = workload.WORK["choose_greedy_thresholds"](scale, {"scope": "mlp", "sparsity": 0.5})
    # One pass records, and 50 steps of 1 % try each of three maps; then thresholds are measured.
    assert work == Work(forward=(1 + 150) * 2048 * 4 + 2 * 12 * 4)
    assert (workload.GREEDY_STEP, workload.GREEDY_TOKENS) == (greedy.STEP, greedy.TOKENS)


def test_a_newton_step_takes_a_gradient_and_eight_products_with_the_curvature():
    # Of six blocks, all are in the gradient, in the curvature and in the estimate of its scales.
    assert count("take_newton_step") == Work(
        forward=24 * 4 * (1 + 8),
        trained=24 * 4 * (1 + 8 + 1),
        compared=24 * (3 * (1 + 8) + 2),
    )


def test_a_newton_step_is_counted_as_it_is_taken():
    counted = workload.PRODUCTS, workload.CURVATURE_BLOCKS, workload.SCALE_BLOCKS
    assert counted == (newton.MOST_PRODUCTS, newton.CURVATURE_BLOCKS, newton.SCALE_BLOCKS)


def test_analyses_pass_over_blocks_and_prompts_once_twice_and_three_times():
    once = (12 + 5) * 4
    assert count("pca_alignment").states == once
    assert count("category_shift").states == 2 * once
    # And the four biased sites, 16 of a layer's 88 operations each, once more.
    assert count("hidden_state_shift").states == pytest.approx(3 * once + 17 * 4 * 16 / 88)
    assert count("pca_alignment").axes == 4 * 2 * 2**3


def test_operations_add_up():
    work = Work(forward=1, states=2) + Work(trained=3, scored=4, compared=5, products=6, axes=7)
    assert workload.count_flop(work, SHAPE, 4) == (1 + 2 + 2 * 3) * 88 + (4 + 5) * 40 + 6 + 9 * 7


def test_a_rate_in_teraflops_is_seconds_per_unit():
    seconds = workload.convert_teraflops(SHAPE, 4, 2.0)
    assert seconds == {
        "forward": 44e-12,
        "states": 44e-12,
        "trained": 88e-12,
        "scored": 20e-12,
        "compared": 20e-12,
    }


def test_a_rule_that_runs_no_model_has_no_work():
    assert workload.count_work(SCALE, [{"rule": "tabulate"}, {"rule": "tabulate"}]) == {
        "tabulate": [Work(), Work()]
    }


def test_states_are_compared_in_the_precision_of_the_models():
    assert workload.STATES == models.STATES
