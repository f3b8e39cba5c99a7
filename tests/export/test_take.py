"""Biases that were learned elsewhere are taken in with what they need."""

import math

import pytest
import torch
from export.small_run import make_model
from transformers import AutoModelForCausalLM

import spon
from spon.command import main

SITES = [f"model.layers.{layer}.mlp.down_proj" for layer in range(2)]


@pytest.fixture
def checkpoint(tmp_path):
    """A checkpoint of the published form, with a bias in the first of two layers."""
    file = tmp_path / "spon_TOP-50_s0.50.pt"
    biases = {"layer_0_down_proj": torch.full((32,), 0.25)}
    torch.save({"biases": biases, "config_name": "TOP-50", "sparsity": 0.5}, file)
    return file


def test_published_biases_are_attached_to_their_model(tmp_path, checkpoint, capsys):
    arguments = ["import", str(checkpoint), str(tmp_path / "taken"), "--layers", "2"]
    assert main([*arguments, "--method", "topk"]) == 0
    assert "1 biases of TOP-50 for 2 sites sparsified by topk" in capsys.readouterr().out
    network = AutoModelForCausalLM.from_pretrained(make_model(tmp_path / "model"))
    spon.attach(network, tmp_path / "taken")
    first, second = (network.get_submodule(site) for site in SITES)
    assert first.bias.tolist() == [0.25] * 32
    assert second.bias is None
    # Half of 48 inputs are kept: those of the larger half.
    x = torch.arange(1.0, 49.0)
    kept = torch.where(x > 24, x, 0.0)
    torch.testing.assert_close(second(x), second.weight @ kept)


def test_thresholds_are_taken_from_a_table(tmp_path, checkpoint):
    table = tmp_path / "thresholds.csv"
    table.write_text("site,threshold\n" + "".join(f"{site},0.5\n" for site in SITES))
    arguments = ["import", str(checkpoint), str(tmp_path / "taken"), "--layers", "2"]
    assert main([*arguments, "--method", "threshold", "--thresholds", str(table)]) == 0
    network = AutoModelForCausalLM.from_pretrained(make_model(tmp_path / "model"))
    site = spon.attach(network, tmp_path / "taken").get_submodule(SITES[1])
    torch.testing.assert_close(site(torch.full((48,), 0.4)), torch.zeros(32))
    assert not math.isclose(site(torch.full((48,), 0.6)).abs().max().item(), 0)


@pytest.mark.parametrize(
    ("extra", "sentence"),
    [
        (["--method", "threshold"], "--method threshold needs --thresholds CSV"),
        (["--method", "topk", "--thresholds", "t.csv"], "--method topk takes no --thresholds"),
        (["--method", "threshold", "--thresholds", "one.csv"], "differ in the site"),
    ],
)
def test_a_mistake_is_one_sentence_and_writes_nothing(
    tmp_path, checkpoint, capsys, monkeypatch, extra, sentence
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "one.csv").write_text(f"site,threshold\n{SITES[0]},0.5\n")
    arguments = ["import", str(checkpoint), str(tmp_path / "taken"), "--layers", "2", *extra]
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("spon import: ")
    assert sentence in error
    assert error.count("\n") == 1
    assert not (tmp_path / "taken").exists()
