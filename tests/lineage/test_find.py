import shutil
from pathlib import Path

import lineage_tree as tree
import pytest

from spon.lineage.find import find_clone, find_record


@pytest.fixture
def study(tmp_path, monkeypatch):
    clone = tmp_path / "clone"
    clone.mkdir()
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(clone)
    tree.make_study()
    return clone


@pytest.mark.parametrize("path", tree.ALL)
def test_a_result_is_found_by_its_path(study, path):
    artifact = find_record(Path(path), study)
    assert (artifact.path, artifact.how, artifact.state) == (path, "path", "same")
    assert path in artifact.record.outputs


@pytest.mark.parametrize(
    ("path", "how"),
    [
        (tree.PNG, "origin"),
        (tree.PDF, "origin"),
        (tree.BIASES, "origin"),
        (tree.NLL, "origin"),
        (tree.MODEL, "origin"),
        (tree.PAGE, "origin"),
        (tree.CURVE, "bytes"),
        (tree.NOTES, "bytes"),
    ],
)
def test_a_copy_in_an_empty_folder_under_another_name_is_found_too(study, path, how, monkeypatch):
    shutil.copy(path, "../empty/attachment")
    monkeypatch.chdir("../empty")
    artifact = find_record(Path("attachment"), study)
    assert (artifact.path, artifact.how, artifact.state) == (path, how, "same")


def test_a_figure_that_was_cropped_is_found_by_its_job_and_said_to_differ(study, tmp_path):
    copy = shutil.copy(tree.PNG, tmp_path / "empty/fig1.png")
    tree.flip(copy)
    artifact = find_record(Path(copy), study)
    assert (artifact.path, artifact.how, artifact.state) == (tree.PNG, "origin", "differs")


def test_a_result_that_differs_from_its_record_is_said_to(study):
    tree.flip(tree.PNG)
    assert find_record(Path(tree.PNG), study).state == "differs"


def test_a_result_that_was_never_pulled_is_found_by_its_path(study):
    Path(tree.PNG).unlink()
    assert find_record(Path(tree.PNG), study).state == "absent"


def test_a_source_has_no_record(study):
    artifact = find_record(Path(tree.WEIGHTS), study)
    assert (artifact.record, artifact.how, artifact.state) == (None, "source", "same")


def test_a_record_stands_for_what_its_job_made(study):
    assert find_record(Path("results/s/lineage/fetch_model.json"), study).path == tree.MODEL


@pytest.mark.parametrize("path", [tree.PNG, tree.NOTES])
def test_a_copy_from_before_is_found_in_the_commit_that_first_had_it(study, path, tmp_path):
    tree.git("init", "-q")
    first = tree.commit("v1")
    copy = Path(shutil.copy(path, tmp_path / "empty"))
    tree.make_study(epochs=20)
    tree.commit("v2")
    artifact = find_record(copy, study)
    assert first.startswith(artifact.commit)
    assert (artifact.path, artifact.state) == (path, "same")
    assert artifact.record.outputs[path] == artifact.sha256


def test_a_copy_of_unknown_origin_is_refused_in_one_sentence_that_names_its_job(study, tmp_path):
    stranger = tmp_path / "empty/stranger.png"
    stranger.write_bytes(tree.png({"study": "x", "rule": "draw", "job": "f" * 16}, b"0"))
    with pytest.raises(
        ValueError, match="draw of the study x made it as job ffffffffffffffff, which no record"
    ):
        find_record(stranger, study)
    stranger.write_text("a,b\n")
    with pytest.raises(
        ValueError, match="names no job, and no record has an output with its bytes"
    ):
        find_record(stranger, study)


def test_a_mistyped_path_is_refused_with_the_one_that_was_meant(study):
    with pytest.raises(ValueError, match=f"fig1.png is no file, .*: did you mean {tree.PNG}"):
        find_record(Path("fig1.png"), study)


def test_the_clone_is_the_one_named_else_around_the_user_else_around_the_file(
    study, tmp_path, monkeypatch
):
    monkeypatch.chdir(study / "figures/s")
    assert find_clone(Path("fig1.png")) == study
    monkeypatch.chdir(tmp_path / "empty")
    assert find_clone(study / tree.PNG) == study
    assert find_clone(Path("fig1.png"), study) == study
    with pytest.raises(
        ValueError, match="neither this folder nor one above it holds lineage records"
    ):
        find_clone(Path("fig1.png"))
    with pytest.raises(ValueError, match=r"empty holds no lineage records .*--clone DIR"):
        find_clone(study / tree.PNG, tmp_path / "empty")


def test_a_path_is_read_from_where_the_user_stands_and_else_from_the_clone(
    study, tmp_path, monkeypatch
):
    monkeypatch.chdir(study / "figures/s")
    assert find_record(Path("fig1.png"), study).path == tree.PNG
    monkeypatch.chdir(tmp_path / "empty")
    assert find_record(Path(tree.PNG), study).path == tree.PNG


def test_a_result_that_is_a_link_into_a_cache_keeps_its_path(study, tmp_path):
    shutil.move(tree.PNG, tmp_path / "empty/cached")
    Path(tree.PNG).symlink_to(tmp_path / "empty/cached")
    artifact = find_record(Path(tree.PNG), study)
    assert (artifact.how, artifact.state) == ("path", "same")
