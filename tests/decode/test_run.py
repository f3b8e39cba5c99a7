import pytest
import torch
from export.small_run import make_model, make_run, write_study

from spon.decode.run import open_run
from spon.export.write import export_beside


def test_a_run_is_opened_with_its_parts_apart(tmp_path):
    run = make_run(make_model(tmp_path / "model"))
    export_beside(run, tmp_path / "beside", None)
    for folder in (write_study(tmp_path, run), tmp_path / "beside"):
        opened = open_run(folder)
        site = "model.layers.1.mlp.down_proj"
        assert list(opened.biases) == list(opened.sparsifiers) == list(run.thresholds)
        assert opened.network.get_submodule(site).bias is None
        kept = opened.sparsifiers[site](torch.tensor([0.04, 0.06]))
        assert kept.tolist() == pytest.approx([0.0, 0.06])
        assert opened.tokenizer("mean")["input_ids"]
