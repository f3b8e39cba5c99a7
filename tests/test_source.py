import json

import pytest
import torch
from safetensors.torch import save_file

from spon import models, source
from tests.conftest import TINY


def test_the_shape_of_a_model_is_read_from_its_headers(network):
    shape = source.read_shape(TINY)
    assert (shape["layers"], shape["width"], shape["vocabulary"]) == (2, 32, 2048)
    assert shape["maps"]["mlp.down_proj"] == {"d_in": 96, "d_out": 32}
    assert shape["parameters"] == sum(weight.numel() for weight in network.parameters())
    assert len(shape["maps"]) == 7


def test_a_model_of_another_shape_is_refused(tmp_path):
    save_file({"transformer.h.0.attn.weight": torch.zeros(2, 2)}, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ValueError, match="allowed are Llama-, Mistral- and Qwen-shaped models"):
        source.describe({"path": str(tmp_path)})


def test_pickled_weights_are_not_read(tmp_path):
    (tmp_path / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(ValueError, match="has no .safetensors file: only this format is read"):
        source.describe({"path": str(tmp_path)})
    with pytest.raises(FileNotFoundError, match="model.path is 'nowhere'"):
        source.describe({"path": "nowhere"})


def test_a_model_that_changed_after_it_was_pinned_is_noticed(tmp_path, model_json):
    pinned = json.loads(model_json.read_text())
    pinned["files"]["config.json"] = "0" * 64
    (tmp_path / "model.json").write_text(json.dumps(pinned))
    with pytest.raises(ValueError, match="config.json' is not the file that model.json describes"):
        models.load(tmp_path / "model.json", "cpu", "float32")


def test_a_git_lfs_pointer_is_no_weights(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_text(
        "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n"
    )
    with pytest.raises(ValueError, match="is no safetensors file: if it is a git-lfs pointer"):
        source.read_shape(tmp_path)
