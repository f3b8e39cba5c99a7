"""The form of what is beside biases; damaged ones are read in test_bundle."""

import json
from pathlib import Path

import pytest
from export.small_run import make_model, make_run

from spon.export.form import check_description


def test_what_is_written_is_of_the_form(tmp_path):
    make_model(tmp_path / "model")
    for method in ("threshold", "topk"):
        run = make_run(tmp_path / "model", method=method)
        check_description(json.loads(json.dumps({"format": 1, **run.describe()})), Path("x"))


def test_the_key_that_is_wrong_is_named():
    with pytest.raises(ValueError, match="'x' is damaged, or was not written by spon: "):
        check_description({"format": 1, "thresholds": {}}, Path("x"))
