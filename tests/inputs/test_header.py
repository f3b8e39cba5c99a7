import struct

import numpy as np
import pytest
from small_gguf import write_gguf

from spon.inputs.header import describe_header, foresee_shape, read_header
from spon.inputs.shape import read_shape
from tests.conftest import TINY


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return write_gguf(tmp_path_factory.mktemp("gguf") / "tiny.gguf")


def test_a_header_says_what_the_package_gguf_reads(file):
    from gguf import GGUFReader

    header, reader = read_header(file), GGUFReader(file)
    assert {name: list(tensor.sizes[::-1]) for name, tensor in header.tensors.items()} == {
        tensor.name: tensor.shape.tolist() for tensor in reader.tensors
    }
    assert {name: tensor.quantisation for name, tensor in header.tensors.items()} == {
        tensor.name: tensor.tensor_type.name for tensor in reader.tensors
    }
    assert header.facts["llama.rope.freq_base"] == 10000
    assert header.facts["tokenizer.ggml.tokens"] == 2048


def test_weights_are_counted_and_what_scales_positions_is_none(tmp_path):
    more = {"rope_freqs.weight": np.ones(8, np.float32)}
    described = describe_header(read_header(write_gguf(tmp_path / "a.gguf", more=more)))
    # Of two layers three maps of the MLP and four of attention are quantised; two norms a layer
    # and the last one are not.
    assert described["quantisation"] == {"F16": 1, "F32": 5, "Q4_1": 6, "Q8_0": 8}
    layer = 3 * 32 * 96 + 2 * 32 * 32 + 2 * 32 * 16 + 2 * 32
    assert described["parameters"] == 2 * layer + 32 + 2048 * 32


def test_the_shape_is_the_one_that_the_model_will_have(file):
    assert foresee_shape(read_header(file)) == read_shape(TINY)


def test_the_shape_of_a_model_with_other_maps_is_left_open(tmp_path):
    more = {"blk.0.attn_qkv.weight": np.zeros((2, 32), np.float32)}
    assert foresee_shape(read_header(write_gguf(tmp_path / "a.gguf", more=more))) is None
    fewer = ["model.layers.1.mlp.gate_proj.weight"]
    header = read_header(write_gguf(tmp_path / "b.gguf", left_out=fewer))
    assert foresee_shape(header) is None


def test_whatever_is_cut_off_is_refused_in_a_sentence(tmp_path, file):
    content = file.read_bytes()
    for length in (0, 3, 4, 20, 40, 400, 4000, 60_000):
        (tmp_path / "cut.gguf").write_bytes(content[:length])
        with pytest.raises(ValueError, match=r"cut.gguf' is (no|a broken) GGUF file"):
            read_header(tmp_path / "cut.gguf")
    (tmp_path / "cut.gguf").write_bytes(content[:-40_000])
    with pytest.raises(ValueError, match=r"is cut off: it has \d+ bytes, and its header says \d+"):
        read_header(tmp_path / "cut.gguf")


@pytest.mark.parametrize(
    ("place", "form", "value", "sentence"),
    [
        (4, "<I", 9, "is a GGUF file of version 9: allowed are 2 and 3"),
        (8, "<Q", 2**60, "is a broken GGUF file"),
        (16, "<Q", 2**60, "is a broken GGUF file"),
        (24, "<Q", 2**62, "is a broken GGUF file"),
    ],
)
def test_numbers_that_cannot_be_are_refused(tmp_path, file, place, form, value, sentence):
    content = bytearray(file.read_bytes())
    struct.pack_into(form, content, place, value)
    (tmp_path / "odd.gguf").write_bytes(content)
    with pytest.raises(ValueError, match=sentence):
        read_header(tmp_path / "odd.gguf")


def test_an_unknown_quantisation_is_refused_by_its_tensor(tmp_path, file):
    content = file.read_bytes()
    # Behind a name stand the number of dimensions, the dimensions and the quantisation.
    name = b"blk.1.ffn_up.weight"
    place = content.index(name) + len(name) + 4 + 2 * 8
    assert content[place] == 3  # Q4_1
    (tmp_path / "odd.gguf").write_bytes(content[:place] + b"\xee" + content[place + 1 :])
    with pytest.raises(ValueError, match="has blk.1.ffn_up.weight in quantisation 238: it is not"):
        read_header(tmp_path / "odd.gguf")
