import json
from pathlib import Path

import pytest
import yaml

from spon import shapes, source

ROOT = Path(__file__).parents[1]
CATALOGUE = ROOT / "resources/shapes.yaml"
PARAMETERS = {
    "meta-llama/Llama-3.2-1B": 1_235_814_400,
    "meta-llama/Llama-3.2-3B": 3_212_749_824,
    "meta-llama/Llama-3.1-8B": 8_030_261_248,
    "mistralai/Mistral-7B-v0.1": 7_241_732_096,
    "Qwen/Qwen3-8B": 8_190_735_360,
}


@pytest.mark.parametrize("repository", PARAMETERS)
def test_a_known_model_has_as_many_parameters_as_its_weights(repository):
    assert shapes.look_up(repository, CATALOGUE)["parameters"] == PARAMETERS[repository]


@pytest.mark.parametrize("name", ["pydoc", "tiny"])
def test_a_shape_from_the_config_is_that_of_the_weights(name):
    folder = ROOT / "resources/models" / name
    derived = shapes.derive_shape(json.loads((folder / "config.json").read_text()))
    read = source.read_shape(folder)
    assert {key: derived[key] for key in read} == read


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
    assert shapes.derive_shape(facts)["parameters"] == 3 * 34 + 2 + 10
    assert (
        shapes.derive_shape(facts | {"tie_word_embeddings": False})["parameters"]
        == 3 * 34 + 2 + 20
    )
    assert shapes.derive_shape(facts | {"qk_norm": True})["parameters"] == 3 * 36 + 2 + 10


def test_every_repository_of_a_shipped_config_is_known():
    overlays = [yaml.safe_load(path.read_text()) for path in (ROOT / "config").glob("*.yaml")]
    models = [
        study.get("model", {}) for overlay in overlays for study in overlay["studies"].values()
    ]
    assert {model["repository"] for model in models if "repository" in model} == set(PARAMETERS)


def test_an_unknown_model_is_refused_in_one_sentence():
    with pytest.raises(
        ValueError, match="^the shape of a/b is not known: known are Qwen/Qwen3-8B, meta-llama"
    ):
        shapes.look_up("a/b", CATALOGUE)
