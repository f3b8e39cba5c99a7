import json
from pathlib import Path

import pandas as pd
import pytest
import torch
from conftest import TINY

from spon.biases import write_biases
from spon.decode.run import open_run
from spon.inputs import source
from spon.sites import name_sites

SITES = name_sites(2, ["mlp.down_proj"])
NAMES = {"allocation": "A", "scope": "down_proj", "sparsity": 0.5, "seed": 0}
OF_RUN = "A/s0.5/seed0"


@pytest.fixture
def folder(tmp_path) -> Path:
    """A run of the tiny model, as a study leaves it."""
    study = tmp_path / "results/tiny"
    run = study / OF_RUN
    scope = study / "down_proj/s0.5"
    record = study / "lineage" / OF_RUN
    for one in (run, scope, record):
        one.mkdir(parents=True)
    (tmp_path / "model").symlink_to(TINY)
    described = source.describe({"path": str(TINY)}) | {"source": {"path": "model"}}
    (study / "model.json").write_text(json.dumps(described))
    rows = {"scope": "down_proj", "sparsity": 0.5, "site": SITES, "threshold": 0.02}
    pd.DataFrame(rows).to_csv(scope / "thresholds.csv", index=False)
    made_by = json.dumps({"allocation": "A", "sparsity": "0.5", "seed": "0"})
    biases = {site: torch.ones(32) for site in SITES}
    write_biases(biases, run / "biases.safetensors", made_by)
    files = [run / "biases.safetensors", scope / "thresholds.csv", study / "model.json"]
    sparsification = {"dtype": "float32", "method": "threshold", "dense_share": 0.0}
    content = {
        "spec": {"names": NAMES, "sparsification": sparsification},
        "inputs": {str(file.relative_to(tmp_path)): "" for file in files},
    }
    (record / "evaluate_spon.json").write_text(json.dumps(content))
    return run


def test_a_run_is_opened_from_what_its_evaluation_has_read(folder):
    run = open_run(folder)
    assert run.names == NAMES
    assert list(run.biases) == list(run.sparsifiers) == SITES
    assert run.sparsifiers[SITES[0]](torch.tensor([0.01, 0.03])).tolist() == pytest.approx(
        [0.0, 0.03]
    )
    assert run.network.dtype == torch.float32
    assert run.tokenizer("mean")["input_ids"]


def test_a_folder_that_is_no_evaluated_run_is_named(folder):
    for wrong in (folder.parent, folder.with_name("seed1")):
        with pytest.raises(ValueError, match=f"^'{wrong}' is no run that was evaluated: allowed"):
            open_run(wrong)
