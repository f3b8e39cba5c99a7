"""What is beside a model says all that its biases need."""

import dataclasses
import json

import numpy as np
import pytest
from export.small_run import NAMES, make_model, make_run

from spon import biases
from spon.export.bundle import read_bundle, write_bundle


@pytest.fixture
def run(tmp_path):
    return make_run(make_model(tmp_path / "model"))


@pytest.mark.parametrize("place", ["", "biases.safetensors"])
def test_a_run_is_read_as_it_was_written(tmp_path, run, place):
    centres = {site: np.ones(48, np.float32) for site in run.biases}
    written = dataclasses.replace(run, centres=centres, samples={"a": [0.5]})
    write_bundle(written, tmp_path)
    read = read_bundle(tmp_path / place)
    for name in ("names", "method", "thresholds", "model", "samples"):
        assert getattr(read, name) == getattr(written, name)
    for site in run.biases:
        np.testing.assert_array_equal(read.biases[site], run.biases[site])
        np.testing.assert_array_equal(read.centres[site], centres[site])


def test_a_site_that_is_sparsified_by_rank_has_no_threshold(tmp_path):
    run = make_run(make_model(tmp_path / "model"), method="topk")
    write_bundle(run, tmp_path)
    assert set(json.loads((tmp_path / "spon.json").read_text())["thresholds"].values()) == {None}
    assert all(map(np.isnan, read_bundle(tmp_path).thresholds.values()))


def test_the_same_run_is_written_in_the_same_bytes(tmp_path, run):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        write_bundle(run, tmp_path / name)
    for name in ("biases.safetensors", "spon.json"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_biases_without_thresholds_are_refused(tmp_path, run):
    file = tmp_path / "biases.safetensors"
    biases.write_biases(run.biases, file, json.dumps(NAMES))
    with pytest.raises(ValueError, match="biases are half of the method"):
        read_bundle(file)


def damage(run, changes):
    """A description with other values at some places, each named by its keys."""
    description = json.loads(json.dumps({"format": 1, **run.describe()}))
    for keys, value in changes.items():
        *above, last = keys.split("/")
        place = description
        for key in above:
            place = place[key]
        place[last] = value
    return description


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"method": "magic"}, "method: 'magic' is not one of"),
        ({"sparsity": 1.5}, "sparsity: 1.5 is greater than"),
        ({"dtype": "int8"}, "dtype: 'int8' is not one of"),
        ({"thresholds": {}}, "thresholds: {} "),
        ({"thresholds": {"model.layers.0.mlp.down_proj": -1}}, "-1 is less than the minimum"),
        ({"thresholds": {"model.layers.0.mlp.down_proj": None}}, "None is not of type 'number'"),
        ({"model/files": {"../evil": "0" * 64}}, "'../evil' does not match"),
        ({"model/files": {"a/b": "0" * 64}}, "'a/b' does not match"),
        ({"model/source": {"package": "x==1\n--index-url=http://evil"}}, "model.source"),
        ({"model/source": {"repository": "a/b", "revision": "main"}}, "'main' does not match"),
    ],
)
def test_nothing_that_a_file_says_is_trusted(tmp_path, run, changes, sentence):
    file = tmp_path / "biases.safetensors"
    biases.write_biases(run.biases, file, json.dumps(damage(run, changes)))
    with pytest.raises(ValueError, match="is damaged, or was not written by spon: ") as error:
        read_bundle(file)
    assert sentence in str(error.value)


def test_biases_of_centred_inputs_ask_for_their_centres(tmp_path, run):
    centred = dataclasses.replace(run, centres={s: np.ones(48, np.float32) for s in run.biases})
    write_bundle(centred, tmp_path)
    file = (tmp_path / "centres.safetensors").rename(tmp_path / "elsewhere")
    with pytest.raises(ValueError, match="centres.safetensors' is missing or changed"):
        read_bundle(tmp_path)
    file.rename(tmp_path / "centres.safetensors")
    write_bundle(run, tmp_path)
    assert read_bundle(tmp_path).centres == {}


def test_another_version_is_refused(tmp_path, run):
    file = tmp_path / "biases.safetensors"
    biases.write_biases(run.biases, file, json.dumps({"thresholds": {}, "format": 99}))
    with pytest.raises(ValueError, match="is of format 99, allowed is 1"):
        read_bundle(file)


def test_a_folder_without_biases_is_refused(tmp_path):
    with pytest.raises(ValueError, match="holds no biases.safetensors: name a folder that"):
        read_bundle(tmp_path)
