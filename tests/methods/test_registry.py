import ast
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from spon import calibrate, sparsify
from spon.lineage import digest
from spon.methods import registry

ROOT = Path(__file__).parents[2]
SITES = ["model.layers.0.mlp.down_proj", "model.layers.1.mlp.down_proj"]


def test_the_code_of_a_method_is_no_part_of_jobs_that_do_not_use_it():
    for name in registry.METHODS:
        assert f"methods.{name}" in digest.APART, "its studies name its digest in their settings"
        described = digest.describe_code(digest.module_path(f"methods.{name}"))
        assert set(described) == {"script"}, "the hall imports it, so it imports nothing of ours"


def test_the_registry_decides_nothing_since_no_digest_holds_it():
    tree = ast.parse((ROOT / "spon/methods/registry.py").read_text())
    assert not [one for one in ast.walk(tree) if isinstance(one, ast.FunctionDef | ast.Lambda)]
    entries = ", ".join(
        f"'{name}': Method({name}.score_inputs, {name}.make_sparsifier)"
        for name in registry.METHODS
    )
    assert ast.unparse(tree.body[-1]) == f"METHODS = {{{entries}}}"


@pytest.mark.parametrize("method", registry.METHODS)
def test_thresholds_drop_the_share_that_they_were_chosen_for(network, method):
    tokens = torch.randint(0, 2048, (64, 32), generator=torch.Generator().manual_seed(1))
    quantiles = calibrate.read_quantiles(network, tokens, SITES, 256, 0.0, method)
    thresholds = calibrate.choose_thresholds(SITES, quantiles, 0.5)
    table = calibrate.measure_thresholds(
        network, tokens, thresholds, method, 0.5, 0.0, batch_tokens=256
    )
    np.testing.assert_allclose(table["sparsity_dense_pass"], 0.5, atol=0.002)


def test_a_bias_is_added_on_top_of_any_method():
    model = nn.Sequential(nn.Linear(2, 1, bias=False)).requires_grad_(False)
    model[0].weight.data = torch.tensor([[10.0, 1.0]])
    x = torch.tensor([[0.5, -2.0]])
    made = sparsify.make_sparsifiers(model, {"0": 2.0}, "wina", sparsity=0.5, dense_share=0.0)
    with sparsify.sparsified(model, made), sparsify.biased(model, {"0": torch.tensor([7.0])}):
        assert model(x).item() == 10 * 0.5 + 7
    by_threshold = sparsify.make_sparsifiers(model, {"0": 0.5}, "threshold", 0.5, 0.0)
    with sparsify.sparsified(model, by_threshold):
        assert model(x).item() == -2


def test_a_method_with_thresholds_is_not_given_a_file_without(network, tmp_path):
    sites = dict.fromkeys(SITES, float("nan"))
    with pytest.raises(ValueError, match="has no threshold, and the study's method is wina"):
        sparsify.check_thresholds(sites, tmp_path / "thresholds.csv", network, "wina")
