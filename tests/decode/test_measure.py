import json

import pandas as pd
import pytest
import torch

from spon.biases import write_biases
from spon.decode import bandwidth, measure
from spon.decode.measure import DENSE, NO_RUN, SPON, TEAL, Variant
from spon.inputs.check import FileError
from spon.sites import name_sites

SITES = name_sites(2, ["mlp.down_proj"])
RUN = {"allocation": "A", "scope": "down_proj", "sparsity": 0.5, "seed": 0}
METHOD = {"method": "threshold", "dense_share": 0.0}


@pytest.fixture
def files(tmp_path):
    """Thresholds of a scope at two sparsities, and the biases of a run at one of them."""
    thresholds = []
    for sparsity, threshold in ((0.5, 0.02), (0.8, 0.05)):
        path = tmp_path / f"{sparsity}.csv"
        rows = {"scope": "down_proj", "sparsity": sparsity, "site": SITES, "threshold": threshold}
        pd.DataFrame(rows).to_csv(path, index=False)
        thresholds.append(str(path))
    biases = tmp_path / "biases.safetensors"
    names = {"allocation": "A", "sparsity": "0.5", "seed": "0", "study": "s"}
    write_biases({site: torch.ones(32) for site in SITES}, biases, json.dumps(names))
    return thresholds, [str(biases)]


def test_the_dense_model_teal_and_runs_are_measured_in_turn(network, tokens, files, monkeypatch):
    monkeypatch.setattr(bandwidth, "BUFFER_BYTES", 2**20)
    variants = measure.list_variants(network, *files, [RUN], METHOD)
    table = measure.measure_decoding(network, variants, tokens[0], tokens=3, repeats=2)
    names = table[["scope", "sparsity", "variant", "allocation"]]
    assert table["seed"].isna().tolist() == [True, True, True, False]
    assert names.to_numpy().tolist() == [
        ["", 0.0, DENSE, ""],
        ["down_proj", 0.5, TEAL, ""],
        ["down_proj", 0.8, TEAL, ""],
        ["down_proj", 0.5, SPON, "A"],
    ]
    dense, half, most, run = table["bytes_per_token"]
    assert dense > half > most, "larger thresholds keep less"
    assert run > 0
    assert table["kept_share"].between(0, 1).all()
    assert table["overhead"].notna().tolist() == [False, False, False, True]


def test_two_seeds_of_an_allocation_are_told_apart(network, files, tmp_path):
    thresholds, biases = files
    names = {"allocation": "A", "sparsity": "0.5", "seed": "7", "study": "s"}
    path = tmp_path / "other.safetensors"
    write_biases({site: torch.ones(32) for site in SITES}, path, json.dumps(names))
    runs = [RUN, RUN | {"seed": 7}]
    variants = measure.list_variants(network, thresholds, [*biases, str(path)], runs, METHOD)
    table = measure.describe_rates(
        variants, [[1.0]] * 5, [{"bytes_per_token": 1.0}] * 5, bandwidth=1.0
    )
    table.to_csv(tmp_path / "decode.csv", index=False)
    written = (tmp_path / "decode.csv").read_text().splitlines()
    assert [line.split(",")[:5] for line in written] == [
        ["scope", "sparsity", "variant", "allocation", "seed"],
        ["", "0.0", "dense", "", ""],
        ["down_proj", "0.5", "teal", "", ""],
        ["down_proj", "0.8", "teal", "", ""],
        ["down_proj", "0.5", "spon", "A", "0"],
        ["down_proj", "0.5", "spon", "A", "7"],
    ]


def test_rates_are_compared_round_by_round():
    place = {"scope": "all", "sparsity": 0.5}
    variants = [
        Variant({"scope": "", "sparsity": 0.0, "variant": DENSE, **NO_RUN}),
        Variant(place | {"variant": TEAL, **NO_RUN}),
        Variant(
            place | {"variant": SPON, "allocation": "A", "seed": 0},
            biases={"site": torch.zeros(1)},
        ),
    ]
    rates = [[10.0, 5.0, 8.0], [20.0, 10.0, 8.0], [16.0, 8.0, 8.0]]
    counts = [{"bytes_per_token": size, "kept_share": 0.5} for size in (400.0, 200.0, 250.0)]
    table = measure.describe_rates(variants, rates, counts, bandwidth=8000.0)
    assert table["tokens_per_second"].tolist() == [8.0, 10.0, 8.0]
    assert table["tokens_per_second_low"].tolist() == [5.0, 8.0, 8.0]
    assert table["tokens_per_second_high"].tolist() == [10.0, 20.0, 16.0]
    assert table["speed_up"].tolist() == [1.0, 2.0, 1.6]
    assert table["bound"].tolist() == [1.0, 2.0, 1.6]
    assert table["bandwidth_share"].tolist() == [0.4, 0.25, 0.25]
    assert table["overhead"].tolist()[2] == pytest.approx(0.25)


def test_biases_of_another_run_are_refused(files):
    _, (path,) = files
    assert measure.find_run(path, [RUN | {"seed": 1}, RUN]) == RUN
    with pytest.raises(FileError, match="is of no run that decode.runs has"):
        measure.find_run(path, [RUN | {"allocation": "B"}])


def test_a_model_that_does_not_fit_twice_is_refused():
    # A GiB of weights, of which three quarters are those of linear maps, at four bytes each.
    shape = {"parameters": 2**28, "linear_weights": 3 * 2**26}
    measure.check_memory(shape, memory_gib=1.75)
    with pytest.raises(ValueError, match=r"memory_gib is 1.7, the model .* need 1.75$"):
        measure.check_memory(shape, memory_gib=1.7)
