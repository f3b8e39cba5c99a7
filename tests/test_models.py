import pytest
import torch

from spon import models, sparsify
from spon.head import Head


def test_states_and_head_together_are_the_model(network, tokens):
    states = models.final_states(network, tokens)
    logs = Head(network).log_probabilities(states.flatten(0, 1))
    expected = torch.log_softmax(network(input_ids=tokens.long()).logits, dim=-1).flatten(0, 1)
    torch.testing.assert_close(logs, expected, rtol=1e-4, atol=1e-4)
    assert logs.exp().sum(dim=-1).allclose(torch.ones(len(logs)))


def test_a_bfloat16_model_has_float32_log_probabilities(model_json, tokens):
    network = models.load(model_json, "cpu", "bfloat16")
    states = models.final_states(network, tokens[:1])
    logs = Head(network).log_probabilities(states.flatten(0, 1))
    assert states.dtype == torch.bfloat16
    assert logs.dtype == torch.float32
    assert logs.exp().sum(dim=-1).allclose(torch.ones(len(logs)), atol=1e-5)


def test_a_loaded_model_learns_nothing(network):
    assert not network.training
    assert not any(weight.requires_grad for weight in network.parameters())


@pytest.mark.parametrize("family", ["Llama", "Mistral", "Qwen2", "Qwen3"])
def test_sites_are_found_by_name_in_every_model_of_this_shape(family, tmp_path):
    import json

    import transformers

    from spon.inputs import source

    settings = {
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
    }
    settings |= {"num_key_value_heads": 1, "vocab_size": 64, "head_dim": 8}
    config = getattr(transformers, f"{family}Config")(**settings)
    getattr(transformers, f"{family}ForCausalLM")(config).save_pretrained(tmp_path / "model")
    path = tmp_path / "model.json"
    path.write_text(json.dumps(source.describe({"path": str(tmp_path / "model")})))
    network = models.load(path, "cpu", "float32")
    for name, sizes in json.loads(path.read_text())["shape"]["maps"].items():
        linear = network.get_submodule(f"model.layers.1.{name}")
        assert (linear.in_features, linear.out_features) == (sizes["d_in"], sizes["d_out"])
    assert models.final_states(network, torch.zeros(1, 4, dtype=torch.int32)).shape == (1, 4, 16)


def test_what_is_recorded_is_what_a_site_takes_and_gives_sparsified_or_not(network, tokens):
    site, layer = "model.layers.1.mlp.down_proj", "model.layers.1"
    passes = models.record(network, tokens, [site, layer])
    weight = network.get_submodule(site).weight
    torch.testing.assert_close(passes[site].output, passes[site].input @ weight.T)
    # The output of the last layer is what the last norm reads.
    final = network.get_decoder().norm(passes[layer].output)
    torch.testing.assert_close(final, models.final_states(network, tokens))
    with sparsify.sparsified(network, {site: torch.zeros_like}):
        assert (models.record(network, tokens, [site])[site].output == 0).all()
    assert not network.get_submodule(site)._forward_hooks
