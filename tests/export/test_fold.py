"""Biases are folded into the class that has a place for each, and into no other place."""

import torch
from export.small_run import make_model, make_run
from safetensors.torch import load_file

from spon.export.write import export_model

DOWN, OUT, QUERIES = "mlp.down_proj", "self_attn.o_proj", "self_attn.q_proj"


def test_a_place_without_a_learned_bias_holds_zero_and_a_bias_of_the_model_stays(tmp_path):
    run = make_run(make_model(tmp_path / "model", "qwen2"), [DOWN, QUERIES])
    export_model(run, tmp_path / "folded", "float32", None, None)
    base = load_file(tmp_path / "model/model.safetensors")
    folded = load_file(tmp_path / "folded/model.safetensors")
    layer = "model.layers.1."
    own, learned = base[f"{layer}{QUERIES}.bias"], run.biases[f"{layer}{QUERIES}"]
    torch.testing.assert_close(folded[f"{layer}{QUERIES}.bias"], own + torch.from_numpy(learned))
    torch.testing.assert_close(
        folded[f"{layer}self_attn.k_proj.bias"], base[f"{layer}self_attn.k_proj.bias"]
    )
    assert not folded[f"{layer}{OUT}.bias"].any()
    assert not folded[f"{layer}mlp.up_proj.bias"].any()
    unlearned = {f"{layer}{OUT}.bias", f"{layer}mlp.up_proj.bias", f"{layer}mlp.gate_proj.bias"}
    assert {name for name in folded.keys() - base.keys() if name.startswith(layer)} == {
        *unlearned,
        f"{layer}{DOWN}.bias",
    }
