import json

import lineage_tree as tree
import pytest

from spon.lineage import records
from spon.lineage.stamp import read_origin, write_stamp

ORIGIN = {"study": "s", "rule": "plot_figure", "job": "0123456789abcdef"}


@pytest.mark.parametrize(
    "path", [tree.MODEL, tree.BIASES, tree.NLL, tree.PNG, tree.PDF, tree.PAGE]
)
def test_an_artifact_names_its_job_whatever_it_is_called(study, path):
    maker = records.read_records(study).makers[path]
    told = {"study": "s", "rule": maker.rule, "job": maker.job}
    assert read_origin(path) == told
    assert read_origin((study / path).rename(study / "attachment")) == told


@pytest.mark.parametrize("path", [tree.CURVE, tree.NOTES, tree.WEIGHTS])
def test_text_and_foreign_files_name_none(study, path):
    assert read_origin(path) == {}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x89PNG\r\n\x1a\n",
        b"%PDF-1.4",
        b"PAR1 and no more",
        b"\xff\xff\xff\xff\xff\xff\xff\x7f{}",
        b"{",
        b"{}",
        b"[1]",
        b'{"made_by": 3}',
        b"<html>\xff",
        b'<!doctype html><meta name="made-by" content="nothing">',
    ],
)
def test_a_damaged_file_names_none(tmp_path, content):
    path = tmp_path / "damaged"
    path.write_bytes(content)
    assert read_origin(path) == {}


def test_figures_name_their_job_as_matplotlib_writes_it(tmp_path):
    from matplotlib.figure import Figure

    figure = Figure()
    figure.savefig(tmp_path / "a.png", metadata=ORIGIN)
    figure.savefig(
        tmp_path / "a.pdf", metadata={"Keywords": json.dumps(ORIGIN | {"note": "(a \\ b)"})}
    )
    assert read_origin(tmp_path / "a.png") == ORIGIN
    assert read_origin(tmp_path / "a.pdf") == ORIGIN


def test_biases_name_their_job_as_they_are_saved(tmp_path):
    import torch

    from spon.biases import write_biases

    path = tmp_path / "b.safetensors"
    write_biases({"model.layers.0.mlp.down_proj": torch.zeros(2)}, path, write_stamp(ORIGIN))
    assert read_origin(tmp_path / "b.safetensors") == ORIGIN
