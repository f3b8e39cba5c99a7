"""A model that a run is attached to computes what the study did."""

import dataclasses
import subprocess
import sys

import numpy as np
import pytest
import torch
from export.small_run import make_model, make_run, predict, write_study
from transformers import AutoModelForCausalLM

import spon
from spon.export.attach import load_dense, sample
from spon.export.bundle import write_bundle
from spon.export.write import export_beside, export_model


@pytest.fixture
def run(tmp_path):
    return make_run(make_model(tmp_path / "model"))


def load(folder):
    return AutoModelForCausalLM.from_pretrained(folder)


@pytest.mark.parametrize("method", ["threshold", "topk"])
def test_attached_to_the_dense_model_or_to_the_folded_one_it_is_the_same(tmp_path, method):
    run = make_run(make_model(tmp_path / "model"), method=method)
    export_model(run, tmp_path / "folded", "float32", None, None)
    expected = predict(load_dense(run), run, is_sparse=True)
    for folder in ("model", "folded"):
        network = spon.attach(load(tmp_path / folder), tmp_path / "folded")
        torch.testing.assert_close(predict(network), expected)


def test_a_run_is_opened_from_its_study_and_from_what_was_handed_on(tmp_path, run):
    expected = predict(load_dense(run), run, is_sparse=True)
    export_model(run, tmp_path / "folded", "float32", None, None)
    for folder in (write_study(tmp_path, run), tmp_path / "folded"):
        network, tokenizer = spon.open_run(folder)
        torch.testing.assert_close(predict(network), expected)
        assert tokenizer.decode(tokenizer("return x")["input_ids"]) == "return x"


def test_it_generates_with_its_cache_what_it_does_without(tmp_path, run):
    network, _ = spon.open_run(write_study(tmp_path, run))
    ids = torch.tensor([[5, 6, 7]])
    cached, plain = (
        network.generate(ids, max_new_tokens=8, do_sample=False, use_cache=use)
        for use in (True, False)
    )
    assert cached.tolist() == plain.tolist()


def test_centres_travel_too(tmp_path, run):
    centres = {site: np.full(48, 0.25, np.float32) for site in run.thresholds}
    centred = make_run(tmp_path / "model", centres=centres)
    export_beside(centred, tmp_path / "beside", None)
    network = spon.attach(load(tmp_path / "model"), tmp_path / "beside")
    differs = predict(network) - predict(load_dense(run), run, is_sparse=True)
    assert differs.abs().max() > 0.01
    with pytest.raises(ValueError, match="no class of transformers takes them off"):
        export_model(centred, tmp_path / "folded", "float32", None, None)


def test_another_model_is_refused(tmp_path, run):
    export_beside(run, tmp_path / "beside", None)
    other = load(tmp_path / "model")
    other.get_submodule("model.layers.1.mlp.down_proj").weight.data *= 1.05
    with pytest.raises(ValueError, match="is not that of the model which the biases were learned"):
        spon.attach(other, tmp_path / "beside")
    other = load(make_model(tmp_path / "shallow", num_hidden_layers=1))
    with pytest.raises(ValueError, match="has the site model.layers.1.mlp.down_proj, which this"):
        spon.attach(other, tmp_path / "beside")


def test_a_run_that_leaves_a_layer_dense_is_refused(tmp_path, run):
    first = {site: value for site, value in run.thresholds.items() if "layers.0" in site}
    biases = {site: run.biases[site] for site in first}
    write_bundle(dataclasses.replace(run, thresholds=first, biases=biases), tmp_path)
    with pytest.raises(ValueError, match="lacks the site model.layers.1.mlp.down_proj, which"):
        spon.attach(load(tmp_path / "model"), tmp_path)


def test_a_large_weight_is_told_by_its_entries_up_to_the_last():
    weight = torch.zeros(1, dtype=torch.bfloat16).expand(4096, 14336)
    assert sample(weight) == [0.0] * 4
    assert sample(torch.arange(10.0)[None]) == [0.0, 3.0, 6.0, 9.0]


def test_a_weight_that_is_no_number_is_not_the_models(tmp_path, run):
    export_beside(run, tmp_path / "beside", None)
    network = load(tmp_path / "model")
    network.get_submodule("model.layers.0.mlp.down_proj").weight.data[0, 0] = float("nan")
    with pytest.raises(ValueError, match="is not that of the model"):
        spon.attach(network, tmp_path / "beside")


def test_a_precision_that_is_none_of_ours_is_refused(tmp_path, run):
    with pytest.raises(ValueError, match="dtype is 'float16': allowed are float32, bfloat16"):
        spon.open_run(write_study(tmp_path, run), dtype="float16")


def test_the_same_model_in_half_the_precision_is_the_same_model(tmp_path, run):
    export_beside(run, tmp_path / "beside", None)
    for dtype in (torch.bfloat16, torch.float16):
        network = AutoModelForCausalLM.from_pretrained(tmp_path / "model", dtype=dtype)
        spon.attach(network, tmp_path / "beside")


def test_an_attached_model_is_not_saved_without_what_makes_it_sparse(tmp_path, run):
    network, _ = spon.open_run(write_study(tmp_path, run))
    with pytest.raises(ValueError, match="`spon export RUN DIR` writes one"):
        network.save_pretrained(tmp_path / "saved")
    assert not (tmp_path / "saved").exists()


def test_a_gguf_file_is_for_llama_cpp(tmp_path):
    with pytest.raises(ValueError, match="x.gguf' is for llama.cpp: name the run's folder"):
        spon.open_run("x.gguf")


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        ("spon.attach('x', object())", "the path is a object: the path comes second"),
        ("attach.attach_run('x', None)", "the model is a str: it comes first, the path second"),
    ],
)
def test_arguments_in_the_other_order_are_told(call, sentence):
    code = f"import spon; from spon.export import attach; {call}"
    command = [sys.executable, "-c", code]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.stderr.endswith(f"ValueError: {sentence}\n")


def test_what_users_call_is_listed():
    assert dir(spon) == ["attach", "open_run"]


def test_a_model_is_sparsified_once(tmp_path, run):
    export_beside(run, tmp_path / "beside", None)
    network = spon.attach(load(tmp_path / "model"), tmp_path / "beside")
    with pytest.raises(ValueError, match="sparsified already: load it again"):
        spon.attach(network, tmp_path / "beside")


def test_biases_folded_in_are_those_of_the_folder_or_none(tmp_path, run):
    export_model(run, tmp_path / "folded", "float32", None, None)
    other = make_run(tmp_path / "model", ["self_attn.o_proj"])
    export_beside(other, tmp_path / "beside", None)
    with pytest.raises(ValueError, match="has other biases folded in"):
        spon.attach(load(tmp_path / "folded"), tmp_path / "beside")
