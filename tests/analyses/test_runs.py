import json

import numpy as np
import pandas as pd
import pytest

from spon.analyses import runs
from spon.biases import write_biases
from spon.sites import layer_of

NAMES = {"allocation": "TOP-50", "sparsity": 0.5, "seed": 0}


def save(path, values, **names):
    run = {name: str(value) for name, value in (NAMES | names).items()}
    write_biases(values, path, json.dumps({"rule": "train_spon"} | run))
    return path


def test_what_training_saved_is_read_as_a_run_in_float64_and_in_the_order_of_the_layers(tmp_path):
    layers = {f"model.layers.{layer}.mlp.down_proj": [0.1, float(layer)] for layer in (10, 2, 0)}
    run = runs.read_run(save(tmp_path / "biases.safetensors", layers))
    assert [layer_of(site) for site in run.biases] == [0, 2, 10]
    last = run.biases["model.layers.10.mlp.down_proj"]
    assert last.dtype == np.float64
    assert last.tolist() == [float(np.float32(0.1)), 10.0]
    assert run.names == NAMES
    assert run.maps == {"mlp.down_proj"}


def test_runs_are_named_by_their_files_in_whatever_order_they_come(tmp_path):
    site = "model.layers.0.mlp.down_proj"
    paths = [save(tmp_path / f"{s}.safetensors", {site: [float(s)]}, seed=s) for s in (1, 0)]
    gathered = runs.gather_runs(paths, [NAMES, NAMES | {"seed": 1}])
    assert [(run.seed, run.biases[site].tolist()) for run in gathered] == [(0, [0.0]), (1, [1.0])]


def test_biases_of_different_models_are_not_compared(tmp_path):
    site = "model.layers.0.mlp.down_proj"
    sizes = {"TOP-50": 2, "TOP-75": 3}
    paths = [
        save(tmp_path / f"{name}.safetensors", {site: [1.0] * size}, allocation=name)
        for name, size in sizes.items()
    ]
    with pytest.raises(
        ValueError,
        match=r"^the bias of model.layers.0.mlp.down_proj has 2 entries in TOP-50 "
        r"and 3 in TOP-75: allowed",
    ):
        runs.gather_runs(paths, [NAMES | {"allocation": name} for name in sizes])


def test_the_depth_is_the_models_or_what_the_study_says_without_one(tmp_path):
    path = tmp_path / "model.json"
    path.write_text(json.dumps({"shape": {"layers": 8}}))
    assert runs.count_layers(path, None) == 8
    assert runs.count_layers(None, 16) == 16


@pytest.mark.parametrize("number", [np.nan, np.inf])
def test_what_an_analysis_measured_is_finite_and_what_it_divided_may_be_missing(number):
    measured = pd.DataFrame(
        {"definition": "sound", "site": ["a", None], "l2_shift": [1.0, 0.0], "ratio": np.nan}
    )
    assert runs.check_measured(measured, ["l2_shift"]) is measured
    measured.loc[1, "l2_shift"] = number
    with pytest.raises(
        ValueError, match=rf"^the analysis \(sound\) measured l2_shift {number} at"
    ):
        runs.check_measured(measured, ["l2_shift"])
