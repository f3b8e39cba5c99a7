"""Plans of a study whose jobs can be counted by hand."""

import re
from pathlib import Path

import pytest

from spon import memory
from spon.cost import benchmarks, plan, workload
from spon.cost.workload import Scale, Work
from tests.cost.test_benchmarks import read
from tests.cost.test_workload import SETTINGS, SHAPE

SCALE = Scale(
    SHAPE,
    SETTINGS
    | {
        "model": {"path": "here"},
        "dtype": "float32",
        "memory_gib": 1.0,
        "evaluate": {"temperature_blocks": 2, "batch_tokens": 8, "chunk_tokens": 2},
    }
    | {"analyses": {"blocks": 3, "batch_tokens": 8}}
    | {"train": SETTINGS["train"] | {"batch_blocks": 2, "chunk_tokens": 2}}
    | {"calibrate": SETTINGS["calibrate"] | {"batch_tokens": 8}},
)
ROOT = Path(__file__).parents[2]
RULE_FILES = {"collect_docstrings": "inputs", "evaluate_dense": "evaluate", "train_spon": "train"}
RATE = {
    "seconds_per": dict.fromkeys(
        ("forward", "states", "trained", "scored", "compared", "products", "axes"), 0.5
    ),
    "start_seconds": {"model": 3.0, "table": 1.0},
    "load_seconds_per_byte": 0.01,
    "corpus_seconds": 7.0,
}
MACHINE = {"gpu": False, "teraflops": None, "cores": 4, "side_by_side": 2}
JOBS = [{"rule": "collect_docstrings"}, {"rule": "evaluate_dense"}, {"rule": "tabulate"}]
JOBS += [
    {"rule": "train_spon", "allocation": "LAST", "sparsity": 0.5, "seed": seed} for seed in (0, 1)
]
# 180 parameters in two bytes each, read in 3.6 seconds behind a start of 3.
LOADED = 6.6


def make(jobs=JOBS, machine=MACHINE, benchmarks=None, scale=SCALE):
    return plan.make_plan(scale, jobs, RATE, machine, benchmarks or {}, RULE_FILES)


def test_seconds_are_those_of_the_start_of_the_weights_and_of_the_work():
    rules = make()["rules"]
    assert rules["tabulate"]["seconds"] == 1.0
    assert rules["collect_docstrings"]["seconds"] == 8.0
    # 192 tokens times layers and 64 with the head, half a second each.
    assert rules["evaluate_dense"]["seconds"] == pytest.approx(LOADED + 128)
    # Per seed 128 of the dense model, 64 below the biases, 48 held out and 96 trained above them,
    # 192 with the head.
    assert rules["train_spon"]["seconds"] == pytest.approx(2 * (LOADED + 264))
    assert rules["evaluate_dense"]["teraflop"] == (192 * 88 + 64 * 40) / 1e12


def test_a_plan_stands_in_the_order_of_the_stages_and_adds_up():
    estimate = make()
    assert list(estimate["rules"]) == [
        "collect_docstrings",
        "train_spon",
        "evaluate_dense",
        "tabulate",
    ]
    assert estimate["total"]["jobs"] == 5
    assert estimate["total"]["seconds"] == pytest.approx(
        sum(rule["seconds"] for rule in estimate["rules"].values())
    )
    assert estimate["total"]["measured_seconds"] is None


def test_models_run_side_by_side_on_a_cpu_and_one_at_a_time_on_a_gpu():
    models = 3 * LOADED + 128 + 2 * 264
    assert make()["wall_seconds"] == pytest.approx(8 + (models + 1) / 2)
    on_gpu = make(machine=MACHINE | {"gpu": True})
    assert on_gpu["wall_seconds"] == pytest.approx(8 + models)
    assert on_gpu["gpu_hours"] == pytest.approx(models / 3600)
    assert make()["gpu_hours"] is None


def test_what_earlier_runs_took_stands_beside():
    estimate = make(
        benchmarks={
            "benchmarks/a/train_spon.tsv": read("10 400 9"),
            "benchmarks/a/pretrain_model.tsv": read("9 9 9"),
        }
    )
    assert estimate["rules"]["train_spon"]["measured_seconds"] == 10.0
    assert estimate["rules"]["evaluate_dense"]["measured_seconds"] is None
    assert (estimate["total"]["measured_jobs"], estimate["total"]["measured_seconds"]) == (1, 10.0)
    lines = plan.describe_plan(estimate, "a").splitlines()
    (line,) = [line for line in lines if line.startswith("training")]
    assert line.split() == ["training", "2", "91.4", "9.0", "min", "10", "s", "(1", "job)"]


def test_disk_holds_biases_likelihoods_tokens_and_for_a_while_dense_states():
    disk = make()["disk_bytes"]
    # Two sites of two entries in each of two runs, 10 blocks of likelihoods, 30 of 4 tokens.
    assert (
        disk["results"] - plan.REPORT - plan.CORPUS == 4 * (2 * 2 * 2 + 120) + plan.LIKELIHOOD * 10
    )
    assert disk["cache"] == (10 + 2 * 6) * 4 * 2 * 4
    assert disk["weights"] == 0
    remote = Scale(SHAPE, SCALE.settings | {"model": {"repository": "a/b"}})
    assert make(scale=remote)["disk_bytes"]["weights"] == 360
    converted = Scale(SHAPE, SCALE.settings | {"model": {"gguf": "a.gguf"}})
    assert make(scale=converted)["disk_bytes"]["weights"] == 4 * 180


def test_a_study_that_cannot_fit_is_refused_before_it_runs():
    small = Scale(SHAPE, SCALE.settings | {"memory_gib": 1e-9})
    with pytest.raises(
        ValueError, match="^memory_gib is 1e-09, the model's weights in float32 need"
    ):
        make(scale=small)


def test_the_largest_job_is_told_beside_what_it_may_use():
    estimate = make()
    assert max(estimate["memory_bytes"], key=estimate["memory_bytes"].get) == "training"
    assert "in the largest job, its training, of 1 GiB (memory_gib)" in plan.describe_plan(
        estimate, "a"
    )


def test_a_newton_step_takes_what_a_training_step_on_blocks_of_twice_the_length_does():
    job = {"rule": "take_newton_step", "allocation": "LAST", "sparsity": 0.5, "seed": 0}
    sizes = make([*JOBS, job])["memory_bytes"]
    settings, length = SCALE.settings, 2 * SCALE.length
    blocks = settings["calibrate"]["batch_tokens"] // SCALE.length
    lowest = min(SCALE.layers_of("LAST"))
    chunk = settings["train"]["chunk_tokens"]
    assert sizes["Newton step"] == memory.estimate_training(
        SHAPE, "float32", length, blocks, chunk, lowest, checkpointing=False
    )


def test_layers_on_several_devices_are_counted_by_precision():
    limit = {"cpu": 1.0, "disk": 1.0}
    settings = SCALE.settings | {"dtype": "bfloat16", "memory_gib": limit}
    recipe = settings["train"] | {"checkpointing": True}
    layers = SHAPE["layers"]
    shape = SHAPE | {"linear_weights": 40 * layers}
    estimate = make(scale=Scale(shape, settings | {"train": recipe}))
    assert estimate["layers"] == {"bfloat16": {"cpu": layers}, "float32": {"cpu": layers}}
    described = plan.describe_plan(estimate, "a")
    assert "of 1 GiB (memory_gib, cpu)" in described
    assert f"layers        in bfloat16: {layers} on cpu\n" in described
    assert "not timed" not in described


def test_of_layers_on_several_gpus_the_main_one_holds_its_own_and_one_that_is_fetched():
    gib = memory.GIB
    # A layer has 40 float32 weights here, and 20 are outside of all.
    shape = SHAPE | {"linear_weights": 40 * SHAPE["layers"]}
    shape |= {"parameters": 40 * SHAPE["layers"] + 20}
    held = {"cuda:0": (80 + 160) / 0.75 / gib, "cuda:1": 160 / 0.75 / gib, "cpu": 1}
    settings = SCALE.settings | {"memory_gib": held}
    assert SHAPE["layers"] == 4
    jobs = [{"rule": "evaluate_dense"}]
    machine = MACHINE | {"gpu": True}
    spread = make(jobs, machine, scale=Scale(shape, settings))
    assert spread["layers"] == {"float32": {"cuda:0": 1, "cuda:1": 1, "cpu": 2}}
    whole = make(jobs, machine, scale=Scale(shape, settings | {"memory_gib": 1.0}))
    sizes = [one["memory_bytes"]["evaluation"] for one in (whole, spread)]
    assert sizes[0] - sizes[1] == 2 * 160
    assert spread["gpu_hours"] == 2 * whole["gpu_hours"] > 0
    assert "layers from main memory or the disk is not timed" in plan.describe_plan(spread, "a")


def test_an_analysis_holds_the_states_of_three_models():
    job = {"rule": "hidden_state_shift", "allocation": "LAST", "sparsity": 0.5, "seed": 0}
    last = SCALE.settings["allocations"]["LAST"] | {"scope": "down_proj"}
    scale = Scale(SHAPE, SCALE.settings | {"allocations": {"LAST": last}})
    plans = [make(jobs, scale=scale) for jobs in (JOBS, [*JOBS, job])]
    sizes = [one["memory_bytes"]["analysis"] for one in plans]
    at_sites = sum(SHAPE["maps"]["mlp.down_proj"].values())
    tokens = SCALE.settings["analyses"]["batch_tokens"]
    of_a_token = SHAPE["layers"] * (2 * SHAPE["width"] + at_sites)
    assert sizes[1] - sizes[0] == 3 * 4 * tokens * of_a_token


def test_a_further_text_has_likelihoods_tokens_and_states_of_its_own_on_the_disk():
    before = make()["disk_bytes"]
    texts = SETTINGS["text"] | {"wiki": {"blocks": 7}}
    further = [{"rule": "evaluate_teal_further", "part": "wiki"}]
    scale = Scale(SHAPE, SCALE.settings | {"text": texts})
    after = make(JOBS + further, scale=scale)["disk_bytes"]
    # 7 blocks of 4 tokens; states of two float32 each.
    assert after["results"] - before["results"] == 7 * plan.LIKELIHOOD + 28 * plan.NUMBER
    assert after["cache"] - before["cache"] == 28 * 2 * 4


def test_the_table_is_aligned_and_names_the_machine():
    lines = plan.describe_plan(make(), "a").splitlines()
    assert lines[0] == "what a will take, on this machine, 2 models at a time"
    assert [line.split("  ")[0] for line in lines[2:7]] == [
        "text",
        "training",
        "evaluation",
        "tables and figures",
        "total",
    ]
    ends = {
        line.index(end) + len(end)
        for line, end in zip(lines[1:3], ["planned", "8 s"], strict=True)
    }
    assert len(ends) == 1
    assert "GPU-hours" not in "".join(lines)
    other = plan.describe_plan(make(machine=MACHINE | {"gpu": True, "teraflops": 300}), "a")
    assert other.startswith(
        "what a will take, on a GPU that sustains 300 TFLOP/s, one model at a time"
    )
    assert other.splitlines()[-1] == "GPU-hours     0.19"


def test_units_are_those_that_one_would_say():
    assert [plan.format_time(seconds) for seconds in (8, 125, 9000)] == ["8 s", "2.1 min", "2.5 h"]
    assert [plan.format_bytes(size) for size in (0, 1500, 16e9)] == ["0 B", "1.5 kB", "16.0 GB"]


def test_every_rule_of_the_default_target_that_runs_a_model_has_its_work():
    wiring = {path.stem: path.read_text() for path in (ROOT / "workflow/rules").glob("*.smk")}
    with_model = set()
    for name in benchmarks.STAGES.keys() - {"tasks"}:  # run by a target of their own
        for rule, body in re.findall(r"^rule (\w+):\n(.*?)(?=^\S|\Z)", wiring[name], re.M | re.S):
            if "**MODEL," in body:
                with_model.add(rule)
    made_from_others = {"evaluate_dense", "evaluate_teal", "evaluate_on_dense"}
    made_from_others |= {f"evaluate_{name}_further" for name in ("dense", "teal", "spon")}
    assert set(workload.WORK) == with_model | made_from_others
    assert sum([], Work()) == Work()
