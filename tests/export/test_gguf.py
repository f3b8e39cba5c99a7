"""A GGUF file holds the biases where llama.cpp reads them."""

import importlib.util
import json

import gguf
import numpy as np
import pytest
from export.small_run import make_model, make_run

from spon.export.gguf import export_gguf, interleave, list_tokens, pad_tokens

DOWN, OUT, QUERIES = "mlp.down_proj", "self_attn.o_proj", "self_attn.q_proj"
has_llama = importlib.util.find_spec("llama_cpp") is not None


def read(file):
    reader = gguf.GGUFReader(file)
    return {tensor.name: tensor.data for tensor in reader.tensors}, reader.fields


def test_pairs_that_positions_turn_lie_half_a_head_apart_here_and_side_by_side_there():
    # Two heads of four rows: entries 0 and 2, and 1 and 3, are pairs.
    rows = np.arange(8.0)
    assert interleave(rows, heads=2).tolist() == [0, 2, 1, 3, 4, 6, 5, 7]
    assert interleave(np.stack([rows, -rows], axis=1), heads=2)[1].tolist() == [2, -2]


def test_learned_biases_stand_under_llama_cpps_names_and_zeros_are_left_out(tmp_path):
    run = make_run(make_model(tmp_path / "model"), [DOWN, OUT])
    export_gguf(run, tmp_path / "model.gguf", "float32", None, "apache-2.0")
    tensors, fields = read(tmp_path / "model.gguf")
    for layer in (0, 1):
        np.testing.assert_array_equal(
            tensors[f"blk.{layer}.ffn_down.bias"], run.biases[f"model.layers.{layer}.{DOWN}"]
        )
        np.testing.assert_array_equal(
            tensors[f"blk.{layer}.attn_output.bias"], run.biases[f"model.layers.{layer}.{OUT}"]
        )
    assert not [name for name in tensors if "gate.bias" in name or "attn_q.bias" in name]
    assert fields["general.license"].contents() == "apache-2.0"
    described = json.loads(fields["spon.run"].contents())
    assert described["thresholds"] == dict(run.thresholds)


def test_matrices_have_the_precision_that_is_asked_for_and_vectors_do_not(tmp_path):
    run = make_run(make_model(tmp_path / "model"))
    export_gguf(run, tmp_path / "model.gguf", "bfloat16", None, None)
    kinds = {
        tensor.name: tensor.tensor_type.name
        for tensor in gguf.GGUFReader(tmp_path / "model.gguf").tensors
    }
    assert kinds["blk.0.ffn_down.weight"] == "BF16"
    assert kinds["blk.0.ffn_down.bias"] == "F32"
    assert kinds["output_norm.weight"] == "F32"


@pytest.mark.skipif(not has_llama, reason="llama-cpp-python is not installed")
@pytest.mark.parametrize(
    ("family", "maps"), [("llama", [DOWN, OUT, QUERIES]), ("qwen2", [DOWN, QUERIES])]
)
def test_llama_cpp_computes_what_the_dense_model_with_biases_does(tmp_path, family, maps):
    run = make_run(make_model(tmp_path / "model", family), maps)
    said = export_gguf(run, tmp_path / "model.gguf", "float32", None, None)
    difference = float(said.rsplit("at most ", 1)[1].split(",")[0])
    assert difference < 1e-3


@pytest.mark.parametrize(
    ("family", "maps", "sentence"),
    [
        ("qwen3", [DOWN], "Qwen3ForCausalLM has no place for model.layers.0.mlp.down_proj.bias"),
        ("qwen3", [OUT], "llama.cpp has no place for biases in a qwen3"),
        ("gemma", [DOWN], "LlamaForCausalLM computes something else than the model"),
    ],
)
def test_a_model_that_llama_cpp_would_misread_is_refused(tmp_path, family, maps, sentence):
    run = make_run(make_model(tmp_path / "model", family), maps)
    with pytest.raises(ValueError, match=sentence):
        export_gguf(run, tmp_path / "model.gguf", "float32", None, None)
    assert not list(tmp_path.glob("*gguf"))


DIGITS = {"type": "Digits", "individual_digits": False}


@pytest.mark.parametrize(
    "changes",
    [
        {"pre_tokenizer": {"type": "Whitespace"}},
        {"pre_tokenizer": {"type": "Sequence", "pretokenizers": [DIGITS, {"type": "ByteLevel"}]}},
        {"normalizer": {"type": "NFC"}},
        {"post_processor": {"type": "TemplateProcessing", "special_tokens": {"<s>": {}}}},
    ],
)
def test_a_tokenizer_without_a_name_in_llama_cpp_is_refused(tmp_path, changes):
    file = make_model(tmp_path / "model") / "tokenizer.json"
    content = json.loads(file.read_text()) | changes
    file.write_text(json.dumps(content))
    run = make_run(tmp_path / "model")
    with pytest.raises(ValueError, match="is none that a GGUF file has a name for here"):
        export_gguf(run, tmp_path / "model.gguf", "float32", None, None)


@pytest.mark.skipif(not has_llama, reason="llama-cpp-python is not installed")
def test_llama_cpp_splits_text_as_the_tokenizer_does(tmp_path):
    import llama_cpp
    from transformers import AutoTokenizer

    run = make_run(make_model(tmp_path / "model"))
    export_gguf(run, tmp_path / "model.gguf", "float32", None, None)
    llama = llama_cpp.Llama(str(tmp_path / "model.gguf"), vocab_only=True, verbose=False)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "model")
    for text in ("Return the mean  of x.\n\n    >>> f(10, 'ä')\n", "<|endoftext|>It's 3.14"):
        found = llama.tokenize(text.encode(), add_bos=False, special=True)
        assert found == tokenizer(text)["input_ids"]


def test_numbers_without_a_token_are_unused_tokens():
    facts = list_tokens({0: "a", 3: "b"}, {1: "<|end|>"})
    padded = pad_tokens(facts, 5)
    names = ["a", "<|end|>", "<unused_2>", "b", "<unused_4>"]
    assert padded["tokenizer.ggml.tokens"] == names
    assert padded["tokenizer.ggml.token_type"] == [1, 3, 5, 1, 5]
