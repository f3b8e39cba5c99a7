import json

import numpy as np
import pytest
import torch

from spon import biases, sparsify

NAMES = {"allocation": "TOP-50", "sparsity": 0.5, "seed": 0}


def save(path, sites):
    tensors = {site: torch.tensor(values) for site, values in sites.items()}
    sparsify.save_biases(tensors, path, {"rule": "train_spon"})
    return path


def test_a_site_tells_its_layer_and_its_map():
    site = "model.layers.11.self_attn.o_proj"
    assert (biases.layer_of(site), biases.map_of(site)) == (11, "self_attn.o_proj")
    assert biases.describe_site(site) == {"site": site, "layer": 11, "map": "self_attn.o_proj"}


def test_what_training_saved_is_read_as_a_run_in_float64_and_in_the_order_of_the_layers(tmp_path):
    layers = {f"model.layers.{layer}.mlp.down_proj": [0.1, float(layer)] for layer in (10, 2, 0)}
    run = biases.read_run(save(tmp_path / "biases.safetensors", layers), **NAMES)
    assert [biases.layer_of(site) for site in run.biases] == [0, 2, 10]
    last = run.biases["model.layers.10.mlp.down_proj"]
    assert last.dtype == np.float64
    assert last.tolist() == [float(np.float32(0.1)), 10.0]
    assert run.names == NAMES
    assert run.maps == {"mlp.down_proj"}


def test_runs_are_gathered_in_the_order_of_their_names(tmp_path):
    site = "model.layers.0.mlp.down_proj"
    paths = [save(tmp_path / f"{seed}.safetensors", {site: [float(seed)]}) for seed in (0, 1)]
    runs = biases.gather_runs([NAMES, NAMES | {"seed": 1}], paths)
    assert [(run.seed, run.biases[site].tolist()) for run in runs] == [(0, [0.0]), (1, [1.0])]


def test_biases_of_different_models_are_not_compared(tmp_path):
    site = "model.layers.0.mlp.down_proj"
    paths = [save(tmp_path / f"{size}.safetensors", {site: [1.0] * size}) for size in (2, 3)]
    with pytest.raises(
        ValueError,
        match=r"^the bias of model.layers.0.mlp.down_proj has 2 entries in TOP-50 and 3 in TOP-75: allowed",
    ):
        biases.gather_runs([NAMES, NAMES | {"allocation": "TOP-75"}], paths)


def test_the_depth_is_the_models_or_what_the_study_says_without_one(tmp_path):
    path = tmp_path / "model.json"
    path.write_text(json.dumps({"shape": {"layers": 8}}))
    assert biases.count_layers(path, None) == 8
    assert biases.count_layers(None, 16) == 16
