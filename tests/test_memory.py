import itertools
import json
import math

import kept_bytes
import pytest
import torch
import transformers
from given_head import make_head

from spon import divergence, evaluate, layers, memory, sparsify
from spon.head import Head
from spon.inputs.shape import count_widths

GIB = 2**30
MAPS = ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj"]
MAPS += ["mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"]
# Numbers for the eye, no model's: 4 GiB of weights in float32.
SHAPE = {
    "layers": 4,
    "width": 1024,
    "vocabulary": 2**17,
    "parameters": 2**30,
    "heads_width": 1024,
    "keys_width": 256,
    "inner": 4096,
    "maps": {
        "self_attn.q_proj": {"d_in": 1024, "d_out": 1024},
        "self_attn.k_proj": {"d_in": 1024, "d_out": 256},
        "self_attn.o_proj": {"d_in": 1024, "d_out": 1024},
        "mlp.down_proj": {"d_in": 4096, "d_out": 1024},
    },
}
TRAIN = {"batch_blocks": 8, "chunk_tokens": 256, "checkpointing": False}


def build(family, depth, dtype, key_heads):
    """A model of random weights whose MLP is three times as wide as its residual stream.

    These are the proportions of real models.
    """
    settings = {
        "hidden_size": 64,
        "intermediate_size": 192,
        "num_hidden_layers": depth,
        "num_attention_heads": 4,
    }
    settings |= {"num_key_value_heads": key_heads, "vocab_size": 64, "head_dim": 16}
    torch.manual_seed(0)
    config = getattr(transformers, f"{family}Config")(**settings)
    network = getattr(transformers, f"{family}ForCausalLM")(config)
    return network.to(getattr(torch, dtype)).requires_grad_(False).eval()


def describe(network):
    """The shape of a network, as `spon.inputs.shape` reads it from a file."""
    linears = {
        name: m
        for name, m in network.model.layers[0].named_modules()
        if isinstance(m, torch.nn.Linear)
    }
    maps = {
        name: {"d_in": linear.in_features, "d_out": linear.out_features}
        for name, linear in linears.items()
    }
    sizes = {"layers": len(network.model.layers), "width": 64, "vocabulary": 64, "maps": maps}
    sizes |= count_widths(network.config.to_dict())
    return sizes | {"parameters": sum(weight.numel() for weight in network.parameters())}


def measure_kept(network, maps, checkpointing=False, method="threshold"):
    """Bytes per token that the layers keep for the way back, weights not counted."""
    states = torch.randn(2, 24, 64, dtype=network.dtype, requires_grad=True)
    sites = [
        f"model.layers.{layer}.{name}"
        for layer in range(len(network.model.layers))
        for name in maps
    ]
    masks = sparsify.make_sparsifiers(
        network, dict.fromkeys(sites, 0.01), method, sparsity=0.5, dense_share=0.0
    )
    with sparsify.sparsified(network, masks), layers.checkpointed(network, checkpointing):
        return (
            kept_bytes.measure_kept(network, lambda _: kept_bytes.run_layers(network, states)) / 48
        )


def measure_peak(call):
    """Most bytes that a call has at one time, beyond those at its start."""
    with torch.profiler.profile(
        activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True
    ) as profile:
        call()
    events = profile.profiler.kineto_results.events()
    changes = [event for event in events if event.name() == "[memory]"]
    changes.sort(key=lambda event: event.start_ns())
    return max(itertools.accumulate(event.nbytes() for event in changes))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize(
    ("family", "key_heads"),
    [("Llama", 1), ("Llama", 2), ("Llama", 4), ("Mistral", 1), ("Qwen2", 1), ("Qwen3", 1)],
)
def test_a_layer_keeps_for_the_way_back_what_its_shape_says(family, key_heads, dtype):
    one, two, three = (build(family, depth, dtype, key_heads) for depth in (1, 2, 3))
    expected = memory.keep_in_layer(describe(one), dtype)
    for maps in (["mlp.down_proj", "self_attn.o_proj"], MAPS):
        first, second, third = (measure_kept(network, maps) for network in (one, two, three))
        assert third - second == second - first
        assert expected == pytest.approx(third - second, rel=0.15)
    if family != "Qwen3":  # whose norms of queries and keys are not counted
        assert expected == pytest.approx(third - second, rel=0.02)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_site_that_is_sparsified_by_rank_keeps_as_much_as_one_by_threshold(dtype):
    network, maps = build("Llama", 2, dtype, 2), ["mlp.down_proj", "self_attn.o_proj"]
    by_threshold, by_rank = (
        measure_kept(network, maps, method=method) for method in ("threshold", "topk")
    )
    assert by_rank == pytest.approx(by_threshold, rel=0.1)


@pytest.mark.parametrize(("dtype", "size"), [("float32", 4), ("bfloat16", 2)])
def test_layers_that_compute_twice_keep_what_enters_them_and_one_of_them_all_the_rest(dtype, size):
    one, three = (build("Llama", depth, dtype, 2) for depth in (1, 3))
    measured = measure_kept(three, MAPS, checkpointing=True) - measure_kept(
        one, MAPS, checkpointing=True
    )
    assert measured == 2 * 64 * size
    sizes = [estimate(describe(three), dtype, 0, checkpointing) for checkpointing in (True, False)]
    inside = memory.keep_in_layer(describe(three), dtype)
    assert sizes[1] - sizes[0] == 100 * (2 * inside - 3 * 64 * size)


def estimate(shape, dtype, lowest, checkpointing):
    return memory.estimate_training(shape, dtype, 10, 10, 4, lowest, checkpointing)


def test_layers_below_the_lowest_bias_keep_nothing():
    sizes = [estimate(SHAPE, "float32", lowest, False) for lowest in (0, 1, 3)]
    inside = memory.keep_in_layer(SHAPE, "float32")
    # Norms 2 x 1024 in and out; queries and output 1024, keys and values 256; 4 x 4096 in the MLP;
    # float32.
    assert inside == 4 * (4 * 1024 + 2 * 1024 + 2 * 256 + 4 * 4096)
    assert [sizes[0] - sizes[1], sizes[1] - sizes[2]] == [100 * inside, 200 * inside]


def test_loss_and_evaluation_have_as_many_tensors_of_logits_at_one_time_as_are_counted():
    vocabulary, chunk_tokens = 5000, 64
    states = torch.randn(2, 2, 97, 8)
    head, tokens = make_head(torch.randn(vocabulary, 8)), torch.zeros(2, 97, dtype=torch.long)
    sizes = {"hidden_size": 8, "intermediate_size": 4, "num_hidden_layers": 1, "head_dim": 8}
    heads = {"num_attention_heads": 1, "num_key_value_heads": 1}
    config = transformers.Gemma2Config(vocab_size=vocabulary, **sizes, **heads)
    capped = Head(transformers.AutoModelForCausalLM.from_config(config))
    sparse = states[0].clone().requires_grad_()

    def train(head):
        divergence.kl_to_dense(sparse, states[1], head, chunk_tokens).backward()

    def count(call):
        return measure_peak(call) / (4 * chunk_tokens * vocabulary)

    drawn = [states[0], 2 * states[0]]
    assert count(lambda: train(head)) == pytest.approx(5, rel=0.02)
    assert count(lambda: train(capped)) == pytest.approx(memory.LOGITS, rel=0.02)
    assert count(
        lambda: evaluate.compare(states[1], states[0], tokens, head, chunk_tokens, 1.5)
    ) == pytest.approx(memory.LOGITS, rel=0.02)
    assert count(
        lambda: evaluate.score(states[1], drawn, tokens, head, chunk_tokens)
    ) == pytest.approx(5, rel=0.02)


def test_the_tiny_models_weights_are_its_parameters_and_on_a_cpu_the_head_once_more(model_json):
    shape = json.loads(model_json.read_text())["shape"]
    embedding = 2048 * 32  # and head
    layer = 2 * 32 * 32 + 2 * 16 * 32 + 3 * 96 * 32 + 2 * 32
    parameters = embedding + 2 * layer + 32
    assert memory.estimate_weights(shape, "float32", "cpu") == 4 * parameters
    assert memory.estimate_weights(shape, "bfloat16", "cuda") == 2 * parameters
    assert memory.estimate_weights(shape, "bfloat16", "cpu") == 2 * parameters + 4 * embedding


def test_an_evaluation_needs_weights_the_widest_activations_and_logits():
    # 4 GiB of weights; a chunk's logits of 2^8 x 2^17 in float32 are an eighth of a GiB.
    without = memory.estimate_evaluation(SHAPE, "float32", tokens=0, chunk_tokens=256)
    assert without == (4 + 6 / 8) * GIB
    outputs = 1024 + 256 + 1024 + 1024
    assert memory.estimate_evaluation(SHAPE, "float32", 10, 256) - without == 40 * (
        outputs + 8 * 1024
    )


def needed(blocks, dtype="float32"):
    """GiB of a step on so many blocks of 512 tokens."""
    return memory.estimate_training(SHAPE, dtype, 512, blocks, 256, 0, False) / GIB


def split(memory_gib, **more):
    return memory.choose_split(SHAPE, "float32", 512, 0, TRAIN | more, memory_gib, "cpu")


def test_a_step_is_halved_until_it_fits():
    for whole, half in ((8, 4), (4, 2), (2, 1)):
        assert split(needed(whole)) == whole
        assert split(needed(whole) - 0.001) == half
    assert split(math.inf) == 8
    assert split(needed(7)) == 4  # which would fit, but is no half of a half
    assert [split(needed(blocks), batch_blocks=6) for blocks in (6, 5, 3, 2, 1)] == [6, 3, 3, 2, 1]


def test_with_checkpointing_more_blocks_fit():
    assert split(needed(2), checkpointing=True) > 2


def test_a_step_that_fits_nowhere_is_refused_in_a_sentence_that_names_the_key():
    least = f"{needed(1):.2g}"
    with pytest.raises(
        ValueError,
        match=f"memory_gib is 4.5, a training step on 1 block needs about {least}: allowed",
    ):
        split(4.5)
    with pytest.raises(ValueError, match="memory_gib is 1.5, .* on 2 block needs about 3:"):
        memory.split_batch({4: 5 * GIB, 2: 3 * GIB}, 1.5)
    assert memory.split_batch({4: 5 * GIB, 2: 3 * GIB}, 3.0) == 2


def test_weights_that_do_not_fit_are_refused_before_they_are_read():
    memory.check_weights(SHAPE, "float32", "cpu", 4.0)
    with pytest.raises(
        ValueError, match="memory_gib is 3.9, the model's weights in float32 need 4 on the cpu"
    ):
        memory.check_weights(SHAPE, "float32", "cpu", 3.9)
    memory.check_weights(SHAPE, "bfloat16", "cuda", 2.0)
    # 2 GiB and a head of half a GiB
    with pytest.raises(ValueError, match="in bfloat16 need 2.5 on the cpu"):
        memory.check_weights(SHAPE, "bfloat16", "cpu", 2.0)
