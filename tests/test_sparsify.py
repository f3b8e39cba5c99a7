import ast
import math
from pathlib import Path

import pytest
import torch
from torch import nn

from spon import sparsify

SCRIPTS = sorted((Path(__file__).parents[1] / "workflow/scripts").glob("*.py"))
X = torch.tensor([[3.0, -0.5], [-1.0, 0.2]])
WEIGHT = torch.tensor([[1.0, 2.0]])


def linear(bias: float | None = None) -> nn.Sequential:
    model = nn.Sequential(nn.Linear(2, 1, bias=bias is not None))
    model[0].weight.data = WEIGHT.clone()
    if bias is not None:
        model[0].bias.data = torch.tensor([bias])
    return model.requires_grad_(False)


def test_entries_at_or_under_the_threshold_are_dropped_and_the_rest_is_kept_exactly():
    assert sparsify.keep_large(X, 0.5).tolist() == [[3.0, 0.0], [-1.0, 0.0]]
    assert sparsify.keep_large(X, 0.0).equal(X)
    assert X[0, 1] == -0.5, "the caller's tensor is left alone"


def test_a_broken_activation_does_not_pass_as_a_dropped_one():
    assert math.isnan(sparsify.keep_large(torch.tensor([float("nan"), 0.1]), 1.0)[0])


def test_topk_keeps_the_same_number_of_entries_for_every_token():
    x = torch.tensor([[4.0, -3.0, 2.0, 1.0], [0.1, 0.2, -0.4, 0.3]])
    torch.testing.assert_close(
        sparsify.keep_top(x, 2), torch.tensor([[4.0, -3.0, 0.0, 0.0], [0.0, 0.0, -0.4, 0.3]])
    )
    assert sparsify.keep_top(x, 4).equal(x)
    assert sparsify.keep_top(x, 0).equal(torch.zeros_like(x))


def test_a_threshold_lets_tokens_differ_in_how_much_they_keep_and_a_rank_does_not():
    x = torch.tensor([[4.0, 3.0], [0.2, 0.1]])
    by_threshold = sparsify.make_sparsifier("threshold", 0.5, 1.0, d_in=2)(x)
    by_rank = sparsify.make_sparsifier("topk", 0.5, math.nan, d_in=2)(x)
    assert (by_threshold != 0).sum(dim=1).tolist() == [2, 0]
    assert (by_rank != 0).sum(dim=1).tolist() == [1, 1]


def test_the_mean_of_what_was_dropped_is_the_bias_that_removes_the_mean_error():
    dense = X @ WEIGHT.T
    sparse = sparsify.keep_large(X, 0.5) @ WEIGHT.T
    bias = (dense - sparse).mean(dim=0)  # (-1.0 + 0.4) / 2
    torch.testing.assert_close(bias, torch.tensor([-0.3]))
    torch.testing.assert_close((sparse + bias).mean(), dense.mean())


def test_the_start_of_a_sequence_can_stay_dense():
    x = torch.tensor([[[0.1], [0.1], [0.1], [0.1]]])
    sparsifier = sparsify.leave_start_dense(lambda x: sparsify.keep_large(x, 1.0), 0.5)
    assert sparsifier(x).flatten().tolist() == pytest.approx([0.1, 0.1, 0.0, 0.0])


def test_a_site_with_a_bias_computes_w_s_of_x_plus_b_and_is_itself_again_afterwards():
    model = linear()
    with (
        sparsify.sparsified(model, {"0": lambda x: sparsify.keep_large(x, 0.5)}),
        sparsify.biased(model, {"0": torch.tensor([10.0])}),
    ):
        assert model(X).flatten().tolist() == [13.0, 9.0]  # 3 + 10 and -1 + 10
    assert model(X).flatten().tolist() == pytest.approx([2.0, -0.6])
    assert list(model.state_dict()) == ["0.weight"]


def test_a_learned_bias_is_added_to_the_one_that_the_model_has():
    model = linear(bias=1.0)
    with sparsify.biased(model, {"0": torch.tensor([10.0])}):
        assert model(X)[0].item() == pytest.approx(2.0 + 1.0 + 10.0)
    assert model[0].bias.item() == 1.0
    assert isinstance(model[0].bias, nn.Parameter)


def test_gradients_reach_a_float32_bias_through_a_bfloat16_model():
    model = linear().to(torch.bfloat16)
    bias = torch.zeros(1, requires_grad=True)
    with sparsify.biased(model, {"0": bias}):
        model(X.to(torch.bfloat16)).sum().backward()
    assert bias.grad.item() == 2.0
    assert bias.dtype == torch.float32


def test_thresholds_of_another_evaluation_are_refused(tmp_path):
    path = tmp_path / "thresholds.csv"
    path.write_text("scope,sparsity,site,threshold\no_proj,0.5,model.layers.0.a,0.1\n")
    names = {"allocation": "TOP-50", "scope": "o_proj", "sparsity": 0.5, "seed": 0}
    assert sparsify.read_thresholds(path, names) == {"model.layers.0.a": 0.1}
    for name, value in {"scope": "down_proj", "sparsity": 0.6}.items():
        with pytest.raises(ValueError, match=f"is of {name} .*, and not of {name} {value}"):
            sparsify.read_thresholds(path, names | {name: value})


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_a_script_says_which_run_the_thresholds_and_biases_are_of_that_it_reads(script):
    least = {"read_sparsifiers": 5, "read_thresholds": 2, "load_biases": 4}
    for node in ast.walk(ast.parse(script.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            given = len(node.args) + len(node.keywords)
            assert given >= least.get(node.func.attr, 0), ast.unparse(node)
