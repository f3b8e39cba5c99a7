import re

import pytest
import torch
from conftest import TINY

from spon import sparsify
from spon.decode import demo
from spon.decode.run import Run
from spon.decode.stream import count_bytes
from spon.inputs import source
from spon.inputs.tokens import read_tokenizer
from spon.sites import name_sites

SITES = name_sites(2, ["mlp.down_proj"])


@pytest.fixture
def run(network) -> Run:
    sparsifiers = sparsify.make_sparsifiers(
        network, dict.fromkeys(SITES, 0.02), "threshold", 0.5, dense_share=0.0
    )
    names = {"allocation": "A", "scope": "down_proj", "sparsity": 0.5, "seed": 0}
    tokenizer = read_tokenizer(source.describe({"path": str(TINY)}))
    return Run(network, tokenizer, sparsifiers, {SITES[0]: torch.ones(32)}, names)


def test_both_ways_are_shown_side_by_side_with_the_speed_of_each(run, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    shown = demo.show(run, "the mean", tokens=4).splitlines()
    assert shown[0] == "the mean …"
    dense, sparse = (column.strip() for column in shown[2].split(" | "))
    assert (dense, sparse) == ("dense", "A, down_proj at 50% with biases")
    rates = shown[3].split(" | ")
    assert all("tokens/s" in rate for rate in rates)
    dense_mb, sparse_mb = (float(rate.split(", ")[1].split()[0]) for rate in rates)
    assert dense_mb > sparse_mb
    assert re.fullmatch(
        r"\S+ times as fast \(in 3 rounds \S+ to \S+\); the weights read allow \S+ times",
        shown[-2],
    )
    assert shown[-1].startswith("These weights fit into a cache")


def test_the_megabytes_are_those_of_the_stream_with_biases(run, monkeypatch):
    asked = []

    def note(network, variant, transposed, prompt, tokens):
        asked.append((len(variant.sparsifiers), len(variant.biases), tokens))
        return dict.fromkeys(variant.sparsifiers, 0.25)

    monkeypatch.setattr(demo, "count_kept", note)
    shown = demo.show(run, "the mean", tokens=12).splitlines()
    assert asked == [(0, 0, 12), (2, 1, 12)]
    *_, sparse = (float(rate.split(", ")[1].split()[0]) for rate in shown[3].split(" | "))
    read = count_bytes(run.network, dict.fromkeys(SITES, 0.25), run.biases) / 1e6
    assert sparse == pytest.approx(read, rel=1e-3)


def test_columns_stand_side_by_side(monkeypatch):
    monkeypatch.setenv("COLUMNS", "50")
    left = "a" * 25
    assert demo.set_side_by_side([left, "b"], ["c"]) == f"{left} | c\nb{' ' * 24} |\n"


def test_an_empty_prompt_is_refused(run):
    with pytest.raises(ValueError, match="--prompt is empty"):
        demo.show(run, "", tokens=4)
