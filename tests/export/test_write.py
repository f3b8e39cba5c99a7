"""A model with biases folded in is loaded by transformers alone, and computes the same."""

import dataclasses
import functools
import json

import pytest
import torch
from export.small_run import make_model, make_run, predict
from transformers import AutoModelForCausalLM, AutoTokenizer

from spon.export import write
from spon.export.attach import load_dense
from spon.export.write import export_beside, export_model

DOWN, OUT, QUERIES = "mlp.down_proj", "self_attn.o_proj", "self_attn.q_proj"


def list_names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize(
    ("family", "maps", "class_"),
    [
        ("llama", [DOWN], "LlamaForCausalLM"),
        ("llama", [OUT], "LlamaForCausalLM"),
        ("llama", [DOWN, OUT, QUERIES], "LlamaForCausalLM"),
        ("mistral", [DOWN], "LlamaForCausalLM"),
        ("qwen2", [DOWN], "LlamaForCausalLM"),
        ("qwen2", [QUERIES], "Qwen2ForCausalLM"),
        ("qwen3", [OUT], "Qwen3ForCausalLM"),
    ],
)
def test_transformers_alone_computes_what_the_run_does(tmp_path, family, maps, class_):
    run = make_run(make_model(tmp_path / "model", family), maps)
    comparison = export_model(run, tmp_path / "folded", "float32", None, None)
    folded = AutoModelForCausalLM.from_pretrained(tmp_path / "folded")
    assert type(folded).__name__ == class_
    torch.testing.assert_close(predict(folded), predict(load_dense(run), run))
    assert comparison.dense < 1e-5
    assert comparison.sparse < 1e-5
    # and the biases do something
    assert (predict(folded) - predict(load_dense(run))).abs().max() > 0.1


@pytest.mark.parametrize(
    ("family", "maps", "sentence"),
    [
        ("qwen3", [DOWN], "Qwen3ForCausalLM has no place for model.layers.0.mlp.down_proj.bias"),
        ("gemma", [DOWN], "LlamaForCausalLM computes something else than the model"),
    ],
)
def test_a_model_that_would_drop_or_misread_a_bias_is_refused_and_nothing_is_left(
    tmp_path, family, maps, sentence
):
    run = make_run(make_model(tmp_path / "model", family), maps)
    with pytest.raises(ValueError, match=sentence) as error:
        export_model(run, tmp_path / "folded", "float32", None, None)
    assert "spon.attach(model, DIR)" in str(error.value)
    assert list_names(tmp_path) == ["model"]
    export_beside(run, tmp_path / "beside", None)
    assert list_names(tmp_path / "beside") == [
        "README.md",
        "biases.safetensors",
        "spon.json",
    ]


def test_a_sliding_window_bounds_the_positions_of_the_model_that_has_none(tmp_path):
    run = make_run(make_model(tmp_path / "model", "mistral", sliding_window=32))
    comparison = export_model(run, tmp_path / "folded", "float32", None, None)
    config = json.loads((tmp_path / "folded/config.json").read_text())
    assert config["model_type"] == "llama"
    assert config["max_position_embeddings"] == 32
    assert "it knows 32 positions, where the model's sliding window ends" in comparison.describe()


def test_a_lower_precision_says_what_it_costs(tmp_path):
    run = make_run(make_model(tmp_path / "model"))
    comparison = export_model(run, tmp_path / "folded", "bfloat16", None, None)
    folded = AutoModelForCausalLM.from_pretrained(tmp_path / "folded", dtype="auto")
    assert folded.dtype == torch.bfloat16
    difference = (predict(folded).float() - predict(load_dense(run), run)).abs().max().item()
    assert comparison.dense > 0
    assert comparison.precision == "bfloat16"
    assert comparison.sparse > 0
    assert comparison.divergence > 0
    assert difference > 0


def test_a_folder_with_something_in_it_is_never_written_over(tmp_path):
    run = make_run(make_model(tmp_path / "model"))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/notes.txt").write_text("mine")
    with pytest.raises(ValueError, match=r"mine', which exists: allowed is a new or an empty"):
        export_model(run, tmp_path / "mine", "float32", None, None)
    assert (tmp_path / "mine/notes.txt").read_text() == "mine"


def test_the_tokenizer_travels_with_the_weights(tmp_path):
    run = make_run(make_model(tmp_path / "model"))
    export_model(run, tmp_path / "folded", "float32", None, None)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "folded")
    assert tokenizer.decode(tokenizer("def f(x):")["input_ids"]) == "def f(x):"


def test_files_are_readable_by_others(tmp_path):
    run = make_run(make_model(tmp_path / "model"))
    export_beside(run, tmp_path / "beside", None)
    assert {file.stat().st_mode & 0o777 for file in (tmp_path / "beside").iterdir()} == {0o644}


def test_a_study_in_half_the_precision_is_exported_in_either(tmp_path):
    half = dataclasses.replace(make_run(make_model(tmp_path / "model")), dtype="bfloat16")
    same = export_model(half, tmp_path / "half", "bfloat16", None, None)
    assert (same.dense, same.sparse) == (0.0, 0.0)
    finer = export_model(half, tmp_path / "finer", "float32", None, None)
    assert finer.dense > 0


def test_how_a_model_generates_travels_too(tmp_path):
    folder = make_model(tmp_path / "model")
    (folder / "generation_config.json").write_text('{"eos_token_id": [0, 7]}')
    export_model(make_run(folder), tmp_path / "folded", "float32", None, None)
    folded = AutoModelForCausalLM.from_pretrained(tmp_path / "folded")
    assert folded.generation_config.eos_token_id == [0, 7]


def test_a_large_model_is_written_in_parts(tmp_path, monkeypatch):
    write_parts = functools.partial(write.save_torch_state_dict, max_shard_size="100KB")
    monkeypatch.setattr(write, "save_torch_state_dict", write_parts)
    run = make_run(make_model(tmp_path / "model"))
    assert export_model(run, tmp_path / "folded", "float32", None, None).dense == 0.0
    assert len(list((tmp_path / "folded").glob("model-*.safetensors"))) > 1
