"""A model whose layers lie on several devices gives the bytes of the whole one.

Here they are the main memory and the disk: layers that a GPU has no room for are fetched in the
same way.
"""

import dataclasses
import logging

import pandas as pd
import pytest
import torch
import transformers
from small_recipe import RECIPE

from spon import agreement, calibrate, centre, evaluate, memory, models, sparsify, train, untrained
from spon.analyses import hidden_state_shift
from spon.inputs import source
from spon.sites import name_sites

MAPS = ["mlp.down_proj", "self_attn.o_proj", "self_attn.q_proj"]
SIZES = {"batch_tokens": 16, "chunk_tokens": 5}
FAMILIES = ["Llama", "Mistral", "Qwen2", "Qwen3", "Gemma2", "Olmo2"]


@pytest.fixture(autouse=True)
def quiet():
    transformers.utils.logging.disable_progress_bar()
    logging.getLogger("accelerate").setLevel(logging.ERROR)


def describe(folder, family, dtype):
    """A model of four layers and random weights, described; o_proj of some has a bias."""
    settings = {"vocab_size": 64, "hidden_size": 32, "intermediate_size": 48}
    settings |= {"num_hidden_layers": 4, "num_attention_heads": 2, "num_key_value_heads": 1}
    config = getattr(transformers, f"{family}Config")(**settings, head_dim=16)
    if family == "Llama":
        config.mlp_bias = config.tie_word_embeddings = True
    torch.manual_seed(0)
    network = transformers.AutoModelForCausalLM.from_config(config)
    for weight in network.parameters():
        torch.nn.init.normal_(weight, std=0.2)
    network.to(getattr(torch, dtype)).save_pretrained(folder)
    return source.describe({"path": str(folder)})


def leave_two_layers(shape, dtype):
    """The memory whose first device holds all but the last two layers."""
    outside = memory.estimate_weights(shape, dtype, "cpu")
    held = outside - 2 * memory.weigh_layer(shape, dtype) + 100
    return {"disk": 1, "cpu": held / memory.GIB / memory.RESIDENT}


def load(described, dtype):
    """The model as a whole, and with its last two layers on the disk."""
    limit = leave_two_layers(described["shape"], dtype)
    spread = models.load_described(described, "cpu", dtype, limit)
    away = {name.split(".")[2] for name, one in spread.named_parameters() if one.is_meta}
    assert away == {"2", "3"}
    return models.load_described(described, "cpu", dtype), spread


@pytest.fixture
def both(tmp_path):
    return load(describe(tmp_path, "Llama", "float32"), "float32")


@pytest.fixture
def tokens():
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 64, (6, 8), generator=generator, dtype=torch.int32)


def sparsifiers(network, method="threshold"):
    thresholds = dict.fromkeys(name_sites(4, MAPS), 0.3)
    return sparsify.make_sparsifiers(network, thresholds, method, sparsity=0.5, dense_share=0.0)


def some_biases(maps=MAPS):
    generator = torch.Generator().manual_seed(0)
    sizes = {"mlp.down_proj": 32, "self_attn.o_proj": 32, "self_attn.q_proj": 32}
    return {
        site: 0.1 * torch.randn(sizes[site.split(".", 3)[3]], generator=generator)
        for site in name_sites(4, maps)
    }


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("stored", ["float32", "bfloat16"])
@pytest.mark.parametrize("family", FAMILIES)
def test_evaluation(tmp_path, tokens, family, stored, dtype):
    described = describe(tmp_path, family, stored)
    networks = load(described, dtype)
    biases = some_biases(["mlp.down_proj", "self_attn.o_proj"])
    results = [
        evaluate.evaluate(one, tokens, sparsifiers(one), biases, **SIZES) for one in networks
    ]
    pd.testing.assert_frame_equal(*results, check_exact=True)
    assert results[0]["kl_nats"].min() > 0
    shapes = [agreement.check_network(one, described["shape"]) for one in networks]
    assert shapes[0] == shapes[1]


def test_evaluation_again_when_layers_were_fetched_once(both, tokens):
    whole, spread = both
    for method in ("threshold", "topk", "wina"):
        for biases in ({}, some_biases()):
            masks = [sparsifiers(one, method) for one in both]
            states = [
                sparsify.final_states(one, tokens, mask, biases)
                for one, mask in zip(both, masks, strict=True)
            ]
            assert torch.equal(*states)
    assert torch.equal(models.final_states(whole, tokens), models.final_states(spread, tokens))
    assert sum(one.is_meta for one in spread.parameters()) > 0


@pytest.mark.parametrize("method", ["threshold", "wina"])
def test_quantiles(both, tokens, method):
    read = [
        calibrate.read_quantiles(one, tokens, name_sites(4, MAPS), 16, 0.0, method) for one in both
    ]
    pd.testing.assert_frame_equal(*read, check_exact=True)


@pytest.mark.parametrize("lowest", [0, 1, 3])
@pytest.mark.parametrize("parametrisation", ["bias", "alpha"])
def test_training(both, tokens, lowest, parametrisation):
    sites = name_sites(4, MAPS)[lowest * len(MAPS) :]
    recipe = dataclasses.replace(RECIPE, checkpointing=True, parametrisation=parametrisation)
    (biases, curve), (spread_biases, spread_curve) = (
        train.learn_biases(one, tokens, sparsifiers(one), sites, recipe, seed=0) for one in both
    )
    assert curve == spread_curve
    # What was fetched last is gone too.
    assert all(one.is_meta for layer in (2, 3) for one in both[1].model.layers[layer].parameters())
    assert all(torch.equal(bias, spread_biases[site]) for site, bias in biases.items())
    assert min(bias.abs().max() for bias in biases.values()) > 0


def test_biases_without_training(both, tokens):
    sites = name_sites(4, MAPS)
    means = [untrained.average_residual(one, tokens, sparsifiers(one), sites, 16) for one in both]
    modes = [centre.find_modes(one, tokens, sites, 16) for one in both]
    images = [
        centre.map_centres(lambda site, one=one: models.read_parameter(one.get_submodule(site)), m)
        for one, m in zip(both, modes, strict=True)
    ]
    for first, second in (means, modes, images):
        assert all(torch.equal(vector, second[site]) for site, vector in first.items())


def test_shifts_of_states(both, tokens):
    prompts = {"one": tokens[:1]}
    shifts = [
        hidden_state_shift.measure_shifts(
            one, tokens, prompts, sparsifiers(one), some_biases(), 16
        )
        for one in both
    ]
    pd.testing.assert_frame_equal(*shifts, check_exact=True)


def test_a_parameter_that_is_not_finite_is_named_wherever_it_lies(tmp_path):
    describe(tmp_path, "Llama", "float32")
    network = transformers.AutoModelForCausalLM.from_pretrained(tmp_path)
    network.model.layers[3].mlp.up_proj.weight.data[0, 0] = torch.nan
    network.save_pretrained(tmp_path)
    described = source.describe({"path": str(tmp_path)})
    _, spread = load(described, "float32")
    with pytest.raises(ValueError, match="layers.3.mlp.up_proj.weight has 1 entries that are not"):
        agreement.check_network(spread, described["shape"])


# Ten layers of a gibibyte, and two outside them.
SHAPE = {
    "layers": 10,
    "linear_weights": 10 * 2**28,
    "parameters": 12 * 2**28,
    "width": 2**12,
    "vocabulary": 2**16,
    "heads_width": 2**12,
    "keys_width": 2**10,
    "inner": 2**14,
    "maps": {"mlp.down_proj": {"d_in": 2**14, "d_out": 2**12}},
}
GPUS = {"cuda:0": 8, "cuda:1": 4, "cpu": 2, "disk": 9}


def place(memory_gib, device="cuda"):
    return memory.place_layers(SHAPE, "float32", memory_gib, device)


def test_devices_are_filled_in_their_order():
    # Three quarters of 8, less what is outside the layers; three quarters of 4; 2; the rest.
    expected = ["cuda:0"] * 4 + ["cuda:1"] * 3 + ["cpu"] * 2 + ["disk"]
    assert place(GPUS) == place(dict(reversed(GPUS.items()))) == expected
    assert memory.find_fetched(SHAPE, "float32", GPUS, "cuda") == [7, 8, 9]
    # Three on the other GPU, and of the three that are fetched two at any time.
    assert memory.count_elsewhere(SHAPE, "float32", GPUS, "cuda") == 5 * 2**30


def test_main_memory_computes_where_there_is_no_gpu():
    limit = {"cpu": 8, "disk": 9}
    assert place(limit, "cpu") == ["cpu"] * 4 + ["disk"] * 6
    assert memory.find_fetched(SHAPE, "float32", limit, "cpu") == [4, 5, 6, 7, 8, 9]
    assert memory.find_fetched(SHAPE, "float32", 100, "cpu") == []
    assert memory.find_fetched(SHAPE, "float32", {"cuda:0": 8, "cuda:1": 8}, "cuda") == []


@pytest.mark.parametrize(
    ("limit", "held"), [({"cuda:0": 8, "cpu": 5}, 9), ({"cuda:0": 2, "cpu": 50}, 0)]
)
def test_a_model_that_fits_nowhere_is_refused(limit, held):
    with pytest.raises(ValueError, match=f"holds {held} of the model's 10 layers in float32"):
        memory.check_weights(SHAPE, "float32", "cuda", limit)


def split(limit, checkpointing=True, blocks=8):
    recipe = {"batch_blocks": blocks, "chunk_tokens": 64, "checkpointing": checkpointing}
    return memory.choose_split(SHAPE, "float32", 128, 0, recipe, limit, "cuda")


def test_a_step_is_split_by_the_memory_of_the_main_device():
    assert split({"cuda:0": 11, "cuda:1": 16}) == 8
    assert split({"cuda:0": 11, "cuda:1": 16}, blocks=64) == 32
    assert split({"cuda:0": 99, "cuda:1": 16}, blocks=64) == 64
    assert split({"cuda:0": 11, "cpu": 90}) == 8
    with pytest.raises(ValueError, match="{cpu: 99, cuda:0: 2}, .* about 3 on cuda:0: allowed"):
        memory.split_batch({1: 3 * memory.GIB}, {"cpu": 99, "cuda:0": 2})
    with pytest.raises(ValueError, match="fetched anew in every pass, .*checkpointing: true"):
        split({"cuda:0": 11, "cpu": 90}, checkpointing=False)
    assert split({"cuda:0": 40, "cuda:1": 40}, checkpointing=False) == 8
