import json
import logging

import model_zoo
import pandas as pd
import pytest
import torch
import transformers

from spon import agreement, models
from spon.head import Head
from spon.inputs import source
from tests.conftest import ROOT

BLOCKS = model_zoo.blocks()
# What `python -m bench.families` has found of every family.
FOUND = pd.read_csv(ROOT / "bench/results/families.csv").set_index("family")["outcome"]


@pytest.fixture(autouse=True)
def quiet():
    transformers.utils.logging.disable_progress_bar()
    logging.getLogger("transformers").setLevel(logging.ERROR)


def admit(folder, dtype="float32"):
    """A model as `fetch_model` admits it, and its shape."""
    described = source.describe({"path": str(folder)})
    network = models.load_described(described, "cpu", dtype)
    return network, agreement.check_network(network, described["shape"])


def write(folder, config, change=None):
    """Write a model of random weights, after a change."""
    torch.manual_seed(0)
    network = transformers.AutoModelForCausalLM.from_config(config)
    if change:
        with torch.no_grad():
            change(network)
    network.save_pretrained(folder)


def llama(**more):
    sizes = {
        "vocab_size": 64,
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_hidden_layers": 3,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "max_position_embeddings": 64,
        "tie_word_embeddings": False,
        "initializer_range": 0.2,
        "bos_token_id": None,
        "eos_token_id": None,
    }
    return transformers.LlamaConfig(**sizes | more)


@pytest.mark.parametrize("family", model_zoo.FAMILIES)
def test_any_model_predicts_as_transformers_does_or_is_refused_in_one_sentence(family, tmp_path):
    model_zoo.make(family, tmp_path)
    try:
        network, _ = admit(tmp_path)
    except ValueError as refusal:
        assert FOUND[family] == "refused"
        assert "\n" not in str(refusal)
        assert "allowed" in str(refusal) or "not supported" in str(refusal)
        return
    assert FOUND[family] == "equal"
    states = models.final_states(network, BLOCKS)
    ours = Head(network).log_probabilities(states.flatten(0, 1)).view(*BLOCKS.shape, -1)
    theirs = torch.log_softmax(model_zoo.reference(tmp_path, BLOCKS), dim=-1)
    assert (ours - theirs).abs().max() < 1e-4


def test_well_known_models_are_among_those_that_are_equal():
    known = "llama granite cohere2 gemma2 gemma3_text phi3 olmo2 qwen2 qwen3 mistral glm4 exaone4 "
    known += "nemotron stablelm mixtral smollm3 qwen3_moe starcoder2 deepseek_v3 gpt_oss"
    assert set(FOUND[known.split()]) == {"equal"}
    assert (FOUND == "equal").sum() > 80


@pytest.mark.parametrize("family", ["llama", "granite", "cohere2", "gemma2", "mixtral"])
def test_a_model_in_bfloat16_is_admitted_too(family, tmp_path):
    model_zoo.make(family, tmp_path)
    admit(tmp_path, "bfloat16")


def test_a_model_that_sees_what_it_predicts_is_refused(tmp_path):
    model_zoo.make("doge+moe", tmp_path)
    with pytest.raises(ValueError, match="DogeForCausalLM sees the tokens that it predicts"):
        admit(tmp_path)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_model_without_its_causal_mask_is_refused(tmp_path, dtype):
    write(tmp_path, llama())
    network = models.load_described(source.describe({"path": str(tmp_path)}), "cpu", dtype)
    for layer in network.model.layers:
        layer.self_attn.is_causal = False
    with pytest.raises(ValueError, match="LlamaForCausalLM sees the tokens that it predicts"):
        agreement.check_network(network, {"positions": None})


@pytest.mark.parametrize("family", ["glm_moe_dsa", "bamba"])
def test_a_model_whose_layers_take_more_than_the_residual_stream_is_refused(family, tmp_path):
    model_zoo.make(family, tmp_path)
    with pytest.raises(ValueError, match=r"cannot begin at layer \d, since its layers take or re"):
        admit(tmp_path)


def test_maps_are_those_that_every_layer_has_and_that_take_every_token_once(tmp_path):
    model_zoo.make("deepseek_v3", tmp_path)
    _, shape = admit(tmp_path)
    assert "self_attn.o_proj" in shape["maps"]
    assert shape["lacking"]["mlp.down_proj"] == 1  # the layers behind the first have experts
    assert shape["lacking"]["self_attn.kv_b_proj"] == 0  # takes four-dimensional states


def test_predictions_that_are_not_transformers_own_are_refused(tmp_path, monkeypatch):
    write(tmp_path, llama())
    right = Head.logits
    for dtype, scale in (("float32", 1.0001), ("bfloat16", 1.05)):
        monkeypatch.setattr(Head, "logits", lambda *a, scale=scale: scale * right(*a))
        with pytest.raises(ValueError, match=r"differ from those of transformers' own pass by up"):
            admit(tmp_path, dtype)


def test_weights_that_are_not_finite_are_refused_with_the_tensor(tmp_path):
    def break_weight(network):
        network.model.layers[1].mlp.down_proj.weight[3, 5] = float("nan")

    write(tmp_path, llama(), break_weight)
    with pytest.raises(ValueError, match="layers.1.mlp.down_proj.weight has 1 entries that are n"):
        admit(tmp_path)


def test_states_that_overflow_are_refused_with_the_block_and_the_layer(tmp_path):
    def overflow(network):
        network.model.layers[1].mlp.up_proj.weight *= 1e30
        network.model.layers[1].mlp.gate_proj.weight *= 1e10

    write(tmp_path, llama(), overflow)
    with pytest.raises(ValueError, match="not finite in block 0, first behind model.layers.1"):
        admit(tmp_path)


def forget(folder, *keys, **changes):
    """Change a model's config.json after the weights were written."""
    told = json.loads((folder / "config.json").read_text())
    for key in keys:
        del told[key]
    (folder / "config.json").write_text(json.dumps(told | changes))


def test_weights_that_the_config_does_not_mention_are_refused_like_missing_ones(tmp_path):
    write(tmp_path, llama(mlp_bias=True))
    forget(tmp_path, "mlp_bias")
    with pytest.raises(ValueError, match=r"has weights that its config.json does not mention, 9"):
        admit(tmp_path)
    forget(tmp_path, mlp_bias=True, attention_bias=True)
    with pytest.raises(ValueError, match=r"lacks weights that its config.json asks for, 12"):
        admit(tmp_path)


def test_weights_of_another_size_are_refused_with_the_tensor(tmp_path):
    write(tmp_path, llama())
    forget(tmp_path, intermediate_size=24)
    with pytest.raises(ValueError, match=r"another size than its config.json says, 9, first of t"):
        admit(tmp_path)


def test_no_code_of_a_model_is_run(tmp_path):
    write(tmp_path, llama())
    spy = f"open({str(tmp_path / 'ran')!r}, 'w')\n"
    (tmp_path / "own.py").write_text(spy)
    own = {"AutoConfig": "own.Config", "AutoModelForCausalLM": "own.Model"}
    forget(tmp_path, model_type="unheard_of", auto_map=own)
    with pytest.raises(ValueError, match="needs Python code of its own, which is never run"):
        admit(tmp_path)
    forget(tmp_path, "auto_map")
    with pytest.raises(ValueError, match="does not know its model_type"):
        admit(tmp_path)
    assert not (tmp_path / "ran").exists()
