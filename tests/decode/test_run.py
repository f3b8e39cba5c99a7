from types import SimpleNamespace

import psutil
import pytest
import torch
from export.small_run import make_model, make_run, write_study

from spon import models
from spon.decode.run import open_run
from spon.export.write import export_beside, export_model


def test_a_run_is_opened_with_its_parts_apart(tmp_path):
    run = make_run(make_model(tmp_path / "model"))
    export_beside(run, tmp_path / "beside", None)
    for folder in (write_study(tmp_path, run), tmp_path / "beside"):
        opened = open_run(folder, "mean", 2)
        site = "model.layers.1.mlp.down_proj"
        assert list(opened.biases) == list(opened.sparsifiers) == list(run.thresholds)
        assert opened.network.get_submodule(site).bias is None
        kept = opened.sparsifiers[site](torch.tensor([0.04, 0.06]))
        assert kept.tolist() == pytest.approx([0.0, 0.06])
        assert opened.tokenizer("mean")["input_ids"]


def test_a_folder_with_biases_folded_into_its_model_is_refused(tmp_path):
    run = make_run(make_model(tmp_path / "model"))
    export_model(run, tmp_path / "folded", "float32", None, None)
    with pytest.raises(ValueError, match="folded', whose model has biases folded in .*beside"):
        open_run(tmp_path / "folded", "mean", 2)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A run's folder, whose model must not be loaded."""
    monkeypatch.setattr(models, "read_network", lambda *_, **__: pytest.fail("was loaded"))
    return write_study(tmp_path, make_run(make_model(tmp_path / "model")))


@pytest.mark.parametrize(
    ("prompt", "tokens", "sentence"),
    [
        ("mean", 64, r"and 64 are to be decoded: allowed are 64 or fewer in all"),
        ("", 2, "--prompt is empty"),
    ],
)
def test_what_the_model_cannot_decode_is_refused_before_it_is_loaded(
    folder, prompt, tokens, sentence
):
    with pytest.raises(ValueError, match=sentence):
        open_run(folder, prompt, tokens)


def test_a_model_that_does_not_fit_twice_is_refused_before_it_is_loaded(folder, monkeypatch):
    machine = SimpleNamespace(total=2**10)  # bytes
    monkeypatch.setattr(psutil, "virtual_memory", lambda: machine)
    with pytest.raises(ValueError, match="this machine's memory in GiB is .*, the model"):
        open_run(folder, "mean", 2)
