from copy import deepcopy
from pathlib import Path

import pytest
import yaml

from spon.allocate import RANDOM, TRAINED
from spon.study import LEARNED, Study, drop_repeats

CONFIG = yaml.safe_load((Path(__file__).parents[1] / "config/config.yaml").read_text())
RUN = {"allocation": "TOP-50", "sparsity": 0.5, "seed": 0}


@pytest.fixture
def config():
    return deepcopy(CONFIG)


@pytest.fixture
def study(config):
    return Study("pydoc", config)


def count(runs, allocation):
    return sum(run["allocation"] == allocation for run in runs)


def test_an_allocation_has_every_default_spelled_out(study):
    uniform = study.allocations["UNIF-ALL"]
    assert (uniform.biases, uniform.learn, uniform.norms_of) == (["mlp.down_proj"], TRAINED, None)
    whole = study.allocations["ALL-DOWN"]
    assert len(whole.maps) == 7
    assert whole.biases == ["mlp.down_proj"]
    assert study.allocations["RANDOM-ATTN"].norms_of == "ATTN-ONLY"


GRIDS = {
    "allocations": ["UNIF-ALL", "TOP-50", "ATTN-ONLY", "ALL-DOWN", "MEAN-ATTN", "RANDOM-DOWN"],
    "sparsities": [0.5],
    "seeds": [0],
    "further": [
        {"allocations": ["TOP-50", "UNIF-ALL"], "sparsities": [0.5], "seeds": [0, 1]},
        {"allocations": ["ALL-DOWN", "TOP-75"], "sparsities": [0.6], "seeds": [0]},
    ],
}


@pytest.fixture
def small(config):
    """A study of six allocations at 50 %, of which two have a second seed and one is at 60 %."""
    config["sweep"] |= GRIDS
    return Study("pydoc", config)


def test_further_grids_add_runs_of_the_sweep_s_allocations_and_no_run_stands_twice(small):
    runs = small.runs(*LEARNED, RANDOM)
    assert len(runs) == len({tuple(run.values()) for run in runs}) == 6 + 2 + 1
    assert RUN | {"seed": 1} in runs
    assert {"allocation": "ALL-DOWN", "sparsity": 0.6, "seed": 0} in runs
    # Not in the sweep's own list, so it is run nowhere.
    assert count(runs, "TOP-75") == 0


def test_a_sweep_without_further_grids_is_one_grid(config):
    config["sweep"] |= GRIDS | {"further": [], "sparsities": [0.5, 0.6], "seeds": [0, 1]}
    assert len(Study("pydoc", config).runs(*LEARNED, RANDOM)) == 6 * 2 * 2


def test_runs_are_told_by_how_they_are_learned(small):
    assert {run["allocation"] for run in small.runs(RANDOM)} == {"RANDOM-DOWN"}
    assert len(small.runs(TRAINED)) == 4 + 2 + 1
    assert small.learning({"allocation": "MEAN-ATTN"}) == "mean_residual"


def test_evaluations_are_the_dense_model_a_baseline_per_scope_and_sparsity_and_every_learned_run(
    small,
):
    dense, *others = small.evaluations
    assert dense == {"allocation": "DENSE", "scope": "", "sparsity": None, "seed": None}
    assert [tuple(baseline.values()) for baseline in small.baselines] == [
        ("down_proj", 0.5),
        ("o_proj", 0.5),
        ("all", 0.5),
        ("all", 0.6),
    ]
    assert len(others) == 4 + len(small.runs(*LEARNED))
    assert RUN | {"scope": "down_proj"} in others


def test_only_the_scopes_of_the_sweep_count(small, config):
    assert list(small.scopes) == ["down_proj", "o_proj", "all"]
    config["sweep"]["allocations"] = ["ATTN-ONLY"]
    assert list(Study("pydoc", config).scopes) == ["o_proj"]


def test_biases_of_first_seeds_are_put_on_the_dense_model_where_the_config_says_so(config):
    config["sweep"] |= GRIDS
    config["controls"]["on_dense"] = ["UNIF-ALL", "TOP-75"]
    adaptations = Study("pydoc", config).adaptations
    assert [tuple(run.values()) for run in adaptations] == [("UNIF-ALL", 0.5, 0)]


def test_analysed_runs_are_compared_with_the_sweep_s_runs_of_the_same_allocations(config):
    config["sweep"] |= GRIDS
    config["analyses"]["runs"] = [RUN, RUN | {"allocation": "UNIF-ALL"}]
    study = Study("pydoc", config)
    assert study.analysed == [RUN, RUN | {"allocation": "UNIF-ALL"}]
    assert study.compared[:2] == study.analysed
    assert count(study.compared, "TOP-50") == count(study.compared, "UNIF-ALL") == 2
    assert count(study.compared, "ATTN-ONLY") == 0


def test_what_is_analysed_or_imitated_is_learned_though_the_sweep_leaves_it_out(config):
    config["sweep"] |= {
        "allocations": ["ATTN-ONLY", "RANDOM-DOWN"],
        "sparsities": [0.6],
        "further": [],
    }
    config["analyses"]["runs"] = [RUN, RUN | {"allocation": "UNIF-ALL"}]
    study = Study("pydoc", config)
    learned = [(run["allocation"], run["sparsity"]) for run in study.learned]
    assert learned == [("ATTN-ONLY", 0.6), ("TOP-50", 0.5), ("UNIF-ALL", 0.5), ("UNIF-ALL", 0.6)]
    assert study.baselines == [
        {"scope": scope, "sparsity": 0.6} for scope in ("o_proj", "down_proj")
    ]
    assert study.thresholds == [*study.baselines, {"scope": "down_proj", "sparsity": 0.5}]


def test_a_study_of_checkpoints_has_the_runs_of_its_files_and_no_baseline(config):
    config["studies"]["other"] = {"checkpoints": "there"}
    imported = [RUN | {"file": "there/a.pt"}, RUN | {"allocation": "MINE", "file": "there/b.pt"}]
    study = Study("other", config, imported)
    assert not study.has_model
    assert study.analysed == study.compared == [RUN, RUN | {"allocation": "MINE"}]
    assert study.baselines == []


def test_a_study_knows_whether_it_reads_docstrings_and_how_its_model_is_sparsified(config):
    assert Study("pydoc", config).collects_docstrings
    assert Study("pydoc", config).sparsification == {
        "dtype": "float32",
        "method": "threshold",
        "dense_share": 0.0,
    }
    assert Study("pydoc", config).sparsification_of_states == {
        "method": "threshold",
        "dense_share": 0.0,
    }
    for text in config["studies"]["pydoc"]["text"].values():
        text["path"] = "wikitext"
    assert not Study("pydoc", config).collects_docstrings


def test_entries_that_repeat_stand_once_where_they_came_first():
    assert drop_repeats([{"a": 1}, {"a": 2}, {"a": 1}]) == [{"a": 1}, {"a": 2}]


def test_what_depends_on_no_sparsification_does_not_know_the_method(config):
    config["studies"]["pydoc"]["method"] = "topk"
    config["studies"]["pydoc"]["protocol"]["dense_share"] = 0.5
    assert Study("pydoc", config).no_sparsification == {
        "dtype": "float32",
        "method": "threshold",
        "dense_share": 0.0,
    }


def test_findings_and_plans_know_allocations_with_their_defaults(study):
    told = study.settings_of_findings["allocations"]
    assert list(told) == CONFIG["sweep"]["allocations"]
    assert told["MEAN-DOWN"]["learn"] == "mean_residual"
    assert study.settings_of_plan["allocations"]["ALL-DOWN"]["biases"] == ["mlp.down_proj"]
    assert study.settings_of_rate["pydoc"] == CONFIG["pydoc"]


def test_a_study_knows_the_texts_on_which_its_runs_are_evaluated_too():
    config = deepcopy(CONFIG)
    text = config["studies"]["pydoc"]["text"]
    study = Study("pydoc", config)
    assert (study.further_texts, study.names_of_texts) == ([], ["evaluation"])
    assert study.settings == config["studies"]["pydoc"]
    assert not study.collects_topics
    reference = {"called": "reference", "path": "python_reference", "blocks": 9}
    text["evaluation"] = [text["evaluation"] | {"called": "docstrings"}, reference]
    study = Study("pydoc", config)
    assert (study.further_texts, study.names_of_texts) == (
        ["reference"],
        ["docstrings", "reference"],
    )
    assert study.settings_of_findings["study"]["text"]["reference"]["blocks"] == 9
    assert study.collects_topics


def test_greedy_sparsities_are_those_of_the_method_threshold(config):
    config["studies"]["pydoc"]["method"] = "greedy"
    greedy = Study("pydoc", config)
    assert greedy.sparsification == {"dtype": "float32", "method": "threshold", "dense_share": 0.0}
    assert greedy.settings_of_rate["method"] == "threshold"
    config["studies"]["pydoc"]["method"] = "wina"
    assert Study("pydoc", config).sparsification_of_states["method"] == "wina"
    assert Study("pydoc", config).no_sparsification["method"] == "threshold"


def test_studies_are_compared_if_they_differ_in_their_method_alone(config):
    studies = config["studies"]
    studies["weighed"] = deepcopy(studies["pydoc"]) | {"method": "wina"}
    studies["twice"] = deepcopy(studies["pydoc"])
    studies["longer"] = deepcopy(studies["weighed"])
    studies["longer"]["protocol"]["block_length"] = 64
    studies["biases"] = {"checkpoints": "folder", "layers": 8}
    study = Study("pydoc", config)
    alike = [name for name in studies if study.differs_in_method(Study(name, config))]
    assert alike == ["weighed"]


def test_tasks_are_measured_with_dense_each_teal_twice_and_each_run(config):
    assert Study("pydoc", config).models_of_tasks == []
    config["tasks"]["local"] = ["summaries"]
    config["analyses"]["runs"] = [RUN, RUN | {"allocation": "UNIF-ALL"}]
    models = Study("pydoc", config).models_of_tasks
    assert [(one["allocation"], one["tempered"]) for one in models] == [
        ("DENSE", False),
        ("BASELINE-TEAL", False),
        ("BASELINE-TEAL", True),
        ("TOP-50", False),
        ("UNIF-ALL", False),
    ]
    config["tasks"]["runs"] = [RUN | {"allocation": "ATTN-ONLY"}]
    assert {one["scope"] for one in Study("pydoc", config).models_of_tasks} == {"", "o_proj"}
