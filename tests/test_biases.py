import json

import numpy as np
import pytest
import torch
from safetensors import safe_open

from spon import biases, sparsify

SITE = "model.layers.0.mlp.down_proj"
MADE_BY = '{"allocation": "TOP-50", "rule": "train_spon"}'


def test_biases_survive_the_file_under_the_names_that_folding_needs(tmp_path):
    path = tmp_path / "biases.safetensors"
    biases.write_biases({SITE: torch.tensor([1.0, -2.0], dtype=torch.float64)}, path, MADE_BY)
    with safe_open(path, framework="pt") as file:
        assert list(file.keys()) == [f"{SITE}.bias"]
        assert file.metadata() == {"made_by": MADE_BY}
    assert biases.read_names(path) == json.loads(MADE_BY)
    ((site, bias),) = biases.read_biases(path).items()
    assert (site, bias.dtype, bias.tolist()) == (SITE, np.float32, [1.0, -2.0])


def test_biases_become_tensors_of_a_model(tmp_path, network):
    path = tmp_path / "biases.safetensors"
    bias = torch.arange(network.get_submodule(SITE).out_features).float()
    biases.write_biases({SITE: bias}, path, MADE_BY)
    assert sparsify.load_biases(path, network)[SITE].equal(bias)


def test_without_a_file_there_are_no_biases(network):
    assert sparsify.load_biases(None, network) == {}


def test_biases_are_of_the_sites_of_their_allocation(network, tmp_path):
    path, sites = tmp_path / "biases.safetensors", tmp_path / "sites.csv"
    other = "model.layers.1.mlp.down_proj"
    bias = torch.zeros(network.get_submodule(SITE).out_features)
    biases.write_biases({SITE: bias}, path, "{}")
    sites.write_text(f"site\n{SITE}\n")
    assert list(sparsify.load_biases(path, network, sites=sites)) == [SITE]
    for listed in (f"{SITE}\n{other}", other):
        sites.write_text(f"site\n{listed}\n")
        with pytest.raises(ValueError, match=f"{path} and {sites} differ in the site "):
            sparsify.load_biases(path, network, sites=sites)


def test_biases_are_read_layer_by_layer(tmp_path):
    path = tmp_path / "biases.safetensors"
    sites = [f"model.layers.{layer}.{name}" for layer in (10, 2) for name in ("b", "a")]
    biases.write_biases({site: np.ones(1) for site in sites}, path, MADE_BY)
    assert list(biases.read_biases(path)) == [
        "model.layers.2.a",
        "model.layers.2.b",
        "model.layers.10.a",
        "model.layers.10.b",
    ]


@pytest.mark.parametrize("entry", [float("nan"), float("inf"), 1e300])
def test_what_is_not_finite_in_float32_is_not_written(tmp_path, entry):
    path = tmp_path / "biases.safetensors"
    bias = torch.tensor([1.0, entry], dtype=torch.float64)
    with pytest.raises(ValueError, match=rf"^the bias of {SITE} has 1 of 2 entries that are not"):
        biases.write_biases({SITE: bias}, path, MADE_BY)
    assert not path.exists()
