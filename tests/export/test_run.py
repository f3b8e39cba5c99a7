"""A run is read with all that its evaluation read, and with what was measured."""

import math

import pandas as pd
import pytest
from export.small_run import THRESHOLD, make_model, make_run, write_study

from spon.export.run import average_blocks, find_tokens, read_run


@pytest.fixture
def folder(tmp_path):
    return write_study(tmp_path, make_run(make_model(tmp_path / "model")))


def test_a_run_is_what_its_evaluation_read(folder):
    run = read_run(folder)
    assert dict(run.names) == {
        "study": "small",
        "allocation": "ALL",
        "scope": "down",
        "sparsity": 0.5,
        "seed": 0,
    }
    assert set(run.thresholds.values()) == {THRESHOLD}
    assert run.maps == ["mlp.down_proj"]
    assert run.lineage["job"] == "0123456789abcdef"
    assert find_tokens(folder).name == "evaluation.safetensors"


def test_what_was_measured_is_read_from_the_studys_table(folder):
    study = folder.parents[2]
    (study / "tables").mkdir()
    columns = ["allocation", "scope", "sparsity", "seed", "perplexity"]
    rows = [
        ["DENSE", None, 0.0, None, 10.0],
        ["BASELINE-TEAL", "down", 0.5, None, 12.0],
        ["BASELINE-TEAL", "down", 0.6, None, 14.0],
        ["ALL", "down", 0.5, 0, 11.0],
        ["ALL", "down", 0.5, 1, 11.5],
    ]
    table = pd.DataFrame(rows, columns=columns).assign(nll_nats_per_token=1, kl_nats_per_token=2)
    table.to_csv(study / "tables/perplexity.csv", index=False)
    measured = {kind: numbers["perplexity"] for kind, numbers in read_run(folder).measured.items()}
    assert measured == {"dense": 10.0, "TEAL": 12.0, "run": 11.0}


def test_blocks_are_averaged_by_their_predictions():
    blocks = pd.DataFrame({"nll_nats": [1.0, 5.0], "kl_nats": [0.0, 0.4], "predictions": [1, 3]})
    averaged = average_blocks(blocks)
    assert averaged["nll_nats_per_token"] == 1.5
    assert averaged["perplexity"] == math.exp(1.5)
    assert averaged["kl_nats_per_token"] == pytest.approx(0.1)


def test_a_file_that_was_changed_after_its_evaluation_is_refused(folder):
    thresholds = folder.parents[2] / "down/s0.5/thresholds.csv"
    thresholds.write_text(thresholds.read_text().replace("0.05", "0.06"))
    with pytest.raises(ValueError, match=r"thresholds.csv is not the file that this run was eval"):
        read_run(folder)
    thresholds.unlink()
    with pytest.raises(ValueError, match=r"thresholds.csv is missing: `dvc pull` fetches what"):
        read_run(folder)


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(ValueError, match="holds no evaluated run: allowed are a run's folder in"):
        read_run(tmp_path)
    with pytest.raises(ValueError, match="new' is no folder: allowed are"):
        read_run(tmp_path / "new")


def test_a_run_that_is_mistyped_is_suggested(folder):
    mistyped = folder.parents[2] / "AL/s0.5/seed0"
    with pytest.raises(ValueError, match=r"of small, did you mean ALL/s0.5/seed0\?$"):
        read_run(mistyped)
