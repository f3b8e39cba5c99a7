import shutil
from contextlib import ExitStack

import pytest
import torch
import transformers
from kept_bytes import measure_kept, run_layers
from torch.nn import functional

from spon import layers, models, sparsify

FAMILIES = ["Llama", "Mistral", "Qwen2", "Qwen3"]
TOKENS = torch.randint(
    0, 64, (3, 8), generator=torch.Generator().manual_seed(0), dtype=torch.int32
)
START = torch.randn(3, 8, 16, generator=torch.Generator().manual_seed(0)).requires_grad_()
SITES = [
    f"model.layers.{layer}.{name}"
    for layer in range(3)
    for name in ("self_attn.o_proj", "mlp.down_proj")
]


def build(family, **more):
    """Three layers of random weights, two heads to a key, wider attention than residual stream."""
    settings = {
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
    }
    settings |= {
        "num_key_value_heads": 2,
        "vocab_size": 64,
        "head_dim": 8,
        "initializer_range": 0.3,
    }
    torch.manual_seed(0)
    config = getattr(transformers, f"{family}Config")(
        **settings | {"attn_implementation": "sdpa"} | more
    )
    return getattr(transformers, f"{family}ForCausalLM")(config).requires_grad_(False).eval()


def run_whole(network):
    return models.final_states(network, TOKENS)


def run_in_two(network, layer):
    before = layers.states_before(network, TOKENS, layer)
    return layers.run_from(network, TOKENS, before, layer)


def damage(network, stack):
    """Sparsify every site and give it a bias, one that learns."""
    biases = {site: torch.linspace(-1, 1, 16, requires_grad=True) for site in SITES}
    stack.enter_context(
        sparsify.sparsified(network, dict.fromkeys(SITES, lambda x: functional.hardshrink(x, 0.3)))
    )
    stack.enter_context(sparsify.biased(network, biases))
    return biases


def count_calls(network, stack):
    """How often the MLP of each layer runs, from now on."""
    calls = [0, 0, 0]

    def count(number):
        calls[number] += 1

    for number, layer in enumerate(network.model.layers):
        stack.callback(
            layer.mlp.register_forward_pre_hook(lambda *_, number=number: count(number)).remove
        )
    return calls


@pytest.mark.parametrize("layer", [1, 2])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_pass_that_begins_inside_ends_where_the_whole_one_does(family, layer):
    network = build(family)
    dense = run_whole(network)
    torch.testing.assert_close(run_in_two(network, layer), dense, rtol=0, atol=1e-6)
    with ExitStack() as stack:
        damage(network, stack)
        sparse = run_whole(network)
        torch.testing.assert_close(run_in_two(network, layer), sparse, rtol=0, atol=1e-6)
    assert (sparse - dense).abs().max() > 0.1


@pytest.mark.parametrize(
    ("family", "settings"),
    [
        ("Mistral", {"sliding_window": 3}),
        ("Qwen2", {"sliding_window": 4, "use_sliding_window": True, "max_window_layers": 2}),
        ("Gemma2", {"sliding_window": 3, "attn_implementation": "eager"}),
        ("Granite", {"embedding_multiplier": 12.0, "residual_multiplier": 0.2}),
        ("Llama", {"attn_implementation": "eager"}),
    ],
)
def test_layers_are_told_what_their_model_tells_them(family, settings):
    network = build(family, **settings)
    whole = run_whole(network)
    assert run_in_two(network, 2).equal(whole)
    assert not any("forward" in vars(layer) for layer in network.model.layers)


def test_a_token_sees_none_after_it():
    network, later = build("Llama"), TOKENS.clone()
    later[:, 5:] = 0
    before = layers.states_before(network, TOKENS, 2)
    assert layers.states_before(network, later, 2)[:, :5].equal(before[:, :5])


def test_the_lowest_layer_is_the_smallest_number_not_the_first_in_the_alphabet():
    assert (
        layers.lowest_layer(["model.layers.10.mlp.down_proj", "model.layers.9.mlp.down_proj"]) == 9
    )
    assert layers.lowest_layer(["model.layers.3.self_attn.o_proj"]) == 3


@pytest.mark.parametrize("family", FAMILIES)
def test_computed_twice_or_kept_the_gradients_are_the_same(family):
    network = build(family, attention_dropout=0.5)  # which stays off
    gradients, passes = [], []
    for wanted in (False, True):
        with ExitStack() as stack:
            biases, calls = damage(network, stack), count_calls(network, stack)
            stack.enter_context(layers.checkpointed(network, wanted))
            run_whole(network)[..., 0].sum().backward()
        gradients.append([bias.grad for bias in biases.values()])
        passes.append(calls)
    assert passes == [[1, 1, 1], [2, 2, 2]]
    assert all(kept.abs().max() > 1e-3 for kept in gradients[0])
    torch.testing.assert_close(gradients[1], gradients[0], rtol=0, atol=0)


def test_a_model_whose_layers_compute_twice_keeps_only_what_enters_them():
    network, sizes = build("Llama"), []
    for wanted in (False, True):
        with ExitStack() as stack:
            damage(network, stack)
            stack.enter_context(layers.checkpointed(network, wanted))
            sizes.append(measure_kept(network, lambda network: run_layers(network, START)))
    entering = 3 * START.numel() * 4
    assert entering <= sizes[1] < entering + 2000  # and the positions' sines and cosines
    assert sizes[1] < sizes[0] / 5


def test_afterwards_the_model_is_as_it_was_also_behind_a_failure():
    network = build("Llama")
    before = {name: weight.clone() for name, weight in network.state_dict().items()}
    with pytest.raises(RuntimeError, match="inside"), layers.checkpointed(network, True):
        assert [layer.training for layer in network.model.layers] == [True, True, True]
        raise RuntimeError("inside")
    assert not any(module.training for module in network.modules())
    assert not any(layer.gradient_checkpointing for layer in network.model.layers)
    assert all(before[name].equal(weight) for name, weight in network.state_dict().items())
    with ExitStack() as stack:
        damage(network, stack)
        calls = count_calls(network, stack)
        run_whole(network).sum().backward()
    assert calls == [1, 1, 1]


@pytest.mark.skipif(
    shutil.which("c++") is None, reason="compiling layers for a CPU needs a compiler"
)
def test_compiled_layers_give_the_same_states_and_gradients_and_are_themselves_again_afterwards():
    network, results = build("Llama"), []
    for wanted in (False, True):
        with ExitStack() as stack:
            biases = damage(network, stack)
            stack.enter_context(layers.compiled(network, 2, wanted))
            assert [layer._compiled_call_impl is not None for layer in network.model.layers] == [
                False,
                False,
                wanted,
            ]
            states = run_whole(network)
            states[..., 0].sum().backward()
        results.append([states.detach(), *(bias.grad for bias in biases.values())])
    torch.testing.assert_close(results[1], results[0], rtol=1e-4, atol=1e-5)
    assert all(layer._compiled_call_impl is None for layer in network.model.layers)
