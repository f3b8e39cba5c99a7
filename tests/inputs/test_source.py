import json
import shutil

import pytest
import torch
from safetensors.torch import save_file

from spon import models
from spon.inputs import source
from tests.conftest import TINY


def test_a_model_of_another_shape_is_refused(tmp_path):
    save_file({"transformer.h.0.attn.weight": torch.zeros(2, 2)}, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ValueError, match="lacks num_hidden_layers: allowed are models whose"):
        source.describe({"path": str(tmp_path)})
    sizes = {"num_hidden_layers": 1, "hidden_size": 2, "vocab_size": 5}
    (tmp_path / "config.json").write_text(json.dumps(sizes))
    with pytest.raises(ValueError, match="has no weights named model.layers.N.MAP.weight"):
        source.describe({"path": str(tmp_path)})


def test_pickled_weights_are_not_read(tmp_path):
    (tmp_path / "pytorch_model.bin").write_bytes(b"")
    shutil.copy(TINY / "config.json", tmp_path)
    with pytest.raises(ValueError, match="has no model.safetensors: only weights in the safe"):
        source.describe({"path": str(tmp_path)})
    with pytest.raises(FileNotFoundError, match="model.path is 'nowhere'"):
        source.describe({"path": "nowhere"})


def test_a_model_that_changed_after_it_was_pinned_is_noticed(tmp_path, model_json):
    pinned = json.loads(model_json.read_text())
    pinned["files"]["config.json"] = "0" * 64
    (tmp_path / "model.json").write_text(json.dumps(pinned))
    with pytest.raises(ValueError, match="config.json' is not the file that model.json describes"):
        models.load(tmp_path / "model.json", "cpu", "float32")


def test_only_files_that_the_index_names_are_weights(tmp_path):
    shutil.copytree(TINY, tmp_path, dirs_exist_ok=True)
    before = source.describe({"path": str(tmp_path)})
    for name in ("consolidated.safetensors", "model-00009-of-00009.safetensors"):
        save_file({"model.layers.7.mlp.down_proj.weight": torch.zeros(2, 2)}, tmp_path / name)
    (tmp_path / "notes.bin").write_bytes(b"weights of another kind")
    assert source.describe({"path": str(tmp_path)}) == before
