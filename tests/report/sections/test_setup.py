"""What findings rest on, and where they end."""

import pandas as pd
from small_findings import ENVIRONMENT, FACTS, MODEL, SETTINGS, row, write
from small_study import SHAPE

from spon.report.findings import write_findings
from spon.report.sections import setup

TRAIN = {"blocks": 384, "batch_blocks": 4, "schedule": "cosine"}
PLACE = {"allocation": "TOP-50", "scope": "down_proj", "sparsity": 0.5}


def test_the_limits_are_those_of_the_study():
    limits = write().split("## Limits")[1]
    assert "Every allocation was trained once" in limits
    assert "The model is small" in limits
    large = FACTS | {
        "model": MODEL | {"shape": SHAPE | {"width": 2048, "parameters": 1_235_814_400}}
    }
    assert "The model is small" not in write(facts=large)
    assert "- No model was run" in write_findings("biases", {}, {"settings": SETTINGS}, {})


def test_trainings_that_are_not_converged_are_a_limit():
    run = PLACE | {"seed": 0, "converged": True, "last_tenth_percent": 0.1}
    assert setup.limit_to_converged(pd.DataFrame([run])) == []
    assert setup.limit_to_converged(None) == []
    capped = run | {"converged": False, "last_tenth_percent": 1.5}
    (limit,) = setup.limit_to_converged(pd.DataFrame([run, capped]))
    assert "TOP-50 at 50 %, seed 0: more steps may" in limit
    assert "the last tenth still won up to 1.50 %" in limit


def test_a_fixed_number_of_steps_is_a_limit_and_no_lack_of_convergence():
    fixed = PLACE | {"seed": 0, "converged": None, "last_tenth_percent": float("nan")}
    assert setup.limit_to_converged(pd.DataFrame([fixed])) == [
        "Trainings took a fixed number of steps, and no rule says whether they are done: more "
        "steps may change their gains."
    ]


def test_allocations_that_were_trained_once_are_a_limit():
    once, twice = PLACE | {"seed": 0}, PLACE | {"sparsity": 0.8, "seed": 0}
    runs = pd.DataFrame([once, twice, twice | {"seed": 1}])
    assert setup.limit_to_trainings(runs)[0].startswith("TOP-50 at 50 % was trained once")
    several = setup.limit_to_trainings(runs.iloc[1:])
    assert several[0].startswith("2 trainings stand behind each row: few")
    many = pd.DataFrame([once | {"seed": seed} for seed in range(10)])
    assert setup.limit_to_trainings(many) == []
    assert setup.limit_to_trainings(many.iloc[:0]) == []


def test_an_analysed_place_is_named_once_whatever_its_trainings():
    site = PLACE | {"seed": 0}
    alone = setup.limit_to_analysed_runs(pd.DataFrame([site, site]), alone=False)
    assert alone == ["Only TOP-50 at 50 % are analysed by themselves, one training each."]
    twice = setup.limit_to_analysed_runs(pd.DataFrame([site, site | {"seed": 1}]), alone=False)
    assert twice == ["Only TOP-50 at 50 % are analysed by themselves."]


def test_the_setup_names_the_recipe():
    text = setup.describe_training({"train": TRAIN})[0][1]
    assert text == "384 blocks, AdamW, 4 blocks a step, cosine schedule"


def test_a_model_has_its_size_in_words():
    assert setup.say_size({"shape": {"parameters": 64}}) == "64"
    assert setup.say_size({"shape": {"parameters": 1_837_184}}) == "1.8 million"


def test_trained_allocations_are_described_in_words():
    text = write().split("## Setup")[1].split("\n## ")[0]
    assert row(text, "TOP-50", "down_proj")[2:] == ["first 50 %, nearest the input"]
    assert "MEAN-DOWN" not in text
    of_all = {"maps": ["self_attn.o_proj", "mlp.down_proj"], "biases": ["mlp.down_proj"]}
    assert setup.say_biases(of_all | {"layers": "all"}) == "all, at down_proj"


def test_a_source_is_named_without_what_is_of_one_machine():
    assert setup.name_source({"path": "/data/me/model"}) == "model"
    assert setup.name_source({"path": "resources/model"}) == "resources/model"
    assert setup.name_source({"repository": "a/b", "revision": "c0"}) == "a/b at c0"
    assert setup.name_source({"gguf": "/data/me/model.gguf"}) == "model.gguf"
    packed = {"package": "a==1", "file": "a/b.gguf", "sha256": "c0"}
    assert setup.name_source(packed) == "a/b.gguf of a==1"


def test_checkpoints_are_listed_with_their_digests():
    run = {
        "allocation": "TOP-50",
        "sparsity": 0.5,
        "seed": 0,
        "file": "/data/spon_TOP-50_s0.5.pt",
        "sites": 8,
    }
    text = setup.describe_checkpoints([run | {"sha256": "ab12"}])
    assert "| TOP-50 | 50 % | 0 | `spon_TOP-50_s0.5.pt` | 8 | `ab12` |" in text


def test_the_environment_names_machine_and_packages():
    assert setup.describe_environment(ENVIRONMENT) == (
        "Python 3.11.7 on Linux; device cpu, 1 thread. numpy 2.4.6."
    )
