"""Rates of this machine: they may be anything, so claims are about what is timed or refused."""

from dataclasses import fields
from pathlib import Path

import pytest
import torch

from spon.cost import rate, workload
from spon.inputs.shape import read_shape
from tests.conftest import TINY

ROOT = Path(__file__).parents[2]
SHAPE = read_shape(TINY)
SETTINGS = {
    "dtype": "float32",
    "method": "threshold",
    "block_length": 16,
    "teraflops": None,
    "memory_gib": 1.0,
    "train": {"batch_blocks": 2, "chunk_tokens": 16},
    "evaluate": {"batch_tokens": 32, "chunk_tokens": 16},
    "pydoc": None,
}
MODEL = {"forward", "states", "trained", "scored", "compared"}


@pytest.mark.parametrize(("dtype", "method"), [("float32", "threshold"), ("bfloat16", "topk")])
def test_every_kind_of_work_of_a_model_takes_time(dtype, method):
    seconds = rate.measure_model(SHAPE, SETTINGS | {"dtype": dtype, "method": method}, "cpu")
    assert set(seconds) == MODEL
    assert all(0 < value < 1 for value in seconds.values())


@pytest.mark.parametrize("kind", rate.STARTS)
def test_what_is_timed_as_the_start_of_a_job_runs(kind):
    assert rate.measure_start(rate.STARTS[kind]) > 0


def test_together_with_statistics_all_work_has_a_rate():
    statistics = rate.measure_statistics(SHAPE)
    assert MODEL | set(statistics) == {field.name for field in fields(workload.Work)}


def test_a_cut_has_the_width_of_the_model_and_no_more_than_two_layers():
    deep = SHAPE | {"layers": 40}
    network = rate.build_cut(deep, "float32", "cpu")
    linear = {
        name.split(".", 3)[3]: module
        for name, module in network.named_modules()
        if isinstance(module, torch.nn.Linear) and ".layers.1." in name
    }
    sizes = {
        name: {"d_in": module.in_features, "d_out": module.out_features}
        for name, module in linear.items()
    }
    assert sizes == SHAPE["maps"]
    assert len(network.get_decoder().layers) == 2


def test_a_model_of_which_two_layers_do_not_fit_is_refused_in_one_sentence():
    with pytest.raises(
        ValueError, match=r"^memory_gib is 1e-06, two layers of the model and its head need 0.0003"
    ):
        rate.measure_model(SHAPE, SETTINGS | {"memory_gib": 1e-6}, "cpu")


def test_a_large_model_is_timed_on_few_tokens_on_a_cpu_and_on_all_on_a_gpu():
    large = SHAPE | {
        "width": 4096,
        "vocabulary": 128256,
        "maps": {"self_attn.q_proj": {"d_in": 4096, "d_out": 65536}},
    }
    many = SETTINGS | {"train": {"batch_blocks": 20, "chunk_tokens": 16}}
    assert rate.count_tokens(large, many, "cpu") == 64
    assert rate.count_tokens(large, many, "cuda") == rate.count_tokens(SHAPE, many, "cpu") == 320
    assert rate.count_blocks(large, SETTINGS, "cpu", 2) == (1, 1)
    assert rate.count_blocks(large, SETTINGS, "cuda", 2) == (2, 2)


def test_the_corpus_of_a_package_takes_time():
    pydoc = {
        "packages": ["networkx"],
        "minimum_characters": 200,
        "shingle_words": 8,
        "duplicate_share": 0.3,
    }
    assert 0 < rate.measure_corpus(pydoc | {"held_out_share": 0.07}, processes=2) < 60


def test_what_is_timed_is_the_median_behind_a_call_that_warms_up():
    calls = []
    assert (
        rate.time_call(
            lambda: calls.append(torch.ones(300, 300) @ torch.ones(300, 300)), torch.device("cpu")
        )
        > 0
    )
    assert len(calls) > rate.FEWEST_CALLS


def test_another_machines_rate_spares_the_model_its_measurement(monkeypatch):
    monkeypatch.setattr(rate, "STARTS", {"table": "pass"})
    measured = rate.measure_rate(
        SHAPE, SETTINGS | {"teraflops": 2.0, "memory_gib": 1e-6}, "cpu", processes=1
    )
    assert measured["seconds_per"]["scored"] == 2 * 32 * 2048 / 2e12
    assert measured["matrix_teraflops"] is None
    assert measured["corpus_seconds"] is None
    assert measured["start_seconds"]["table"] > 0
