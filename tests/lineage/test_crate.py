"""A crate says of every job what it read, was told and wrote, holds the files, and is valid."""

import json
import subprocess
from pathlib import Path

import lineage_tree as tree
import pytest

from spon.lineage import crate, digest

ROOT = Path(__file__).parents[2]
VALIDATOR = ROOT / ".venv/crate/bin"


@pytest.fixture
def study(tmp_path, monkeypatch):
    """The three jobs, as if scripts of ours had run them."""
    monkeypatch.chdir(tmp_path)
    tree.git("init", "-q")
    scripts = {
        "fetch_model": "fetch_model",
        "train_spon": "train_spon",
        "plot_figure": "plot_figure",
    }
    digests = {
        rule: digest.read_module(ROOT / f"workflow/scripts/{name}.py").digest
        for rule, name in scripts.items()
    }
    tree.make_study(
        code={rule: code | {"script": digests[rule]} for rule, code in tree.CODE.items()}
    )
    tree.commit("v1")
    return tmp_path


def read(folder: Path) -> dict[str, dict]:
    return {
        entity["@id"]: entity
        for entity in json.loads((folder / crate.METADATA).read_text())["@graph"]
    }


def test_every_job_is_an_action_with_what_it_read_was_told_and_wrote(study):
    jobs, files = crate.write_crate(study, "s", study / "crate")
    entities = read(study / "crate")
    assert jobs == 3
    assert files == sum(path.is_file() for path in (study / "crate").rglob("*"))
    actions = [entity for name, entity in entities.items() if name.startswith("#job/")]
    (training,) = [
        action
        for action in actions
        if action["instrument"]["@id"] == "workflow/scripts/train_spon.py"
    ]
    assert training["result"] == [
        {"@id": path} for path in sorted([tree.BIASES, tree.CURVE, tree.NLL])
    ]
    settings = [
        entities[reference["@id"]]
        for reference in training["object"]
        if "#setting" in reference["@id"]
    ]
    assert {setting["name"]: setting["value"] for setting in settings} == {
        "train": '{"epochs": 10, "learning_rate": 0.001}',
        "blocks": 24,
    }
    assert {"@id": tree.MODEL} in training["object"]
    run = entities["#run/s"]
    assert run["object"] == {"@id": tree.WEIGHTS}
    assert {"@id": tree.PNG} in run["result"]
    assert len(entities["#organize/s"]["object"]) == 3


def test_files_are_in_it_with_their_digests(study):
    crate.write_crate(study, "s", study / "crate")
    entities = read(study / "crate")
    for path in [*tree.ALL, tree.WEIGHTS]:
        assert (study / "crate" / path).read_bytes() == Path(path).read_bytes()
        assert (
            entities[path]["sha256"]
            == crate.list_files(crate.read_records(study).by_file.values())[path]
        )


def test_the_same_records_give_the_same_bytes(study):
    crate.write_crate(study, "s", study / "crate")
    first = (study / "crate" / crate.METADATA).read_bytes()
    crate.write_crate(study, "s", study / "crate")
    assert (study / "crate" / crate.METADATA).read_bytes() == first


def test_what_is_outside_is_described_and_not_held():
    described = crate.describe_file(Path(), "../../resources/claims.yaml", "ab" * 32)
    assert described["@id"] == f"#file/{'ab' * 32}"
    assert described["@type"] == "CreativeWork"


def test_a_damaged_study_has_no_crate(study):
    tree.flip(tree.BIASES)
    with pytest.raises(
        ValueError, match="s is not as recorded, so it has no crate: damaged .*biases"
    ):
        crate.write_crate(study, "s", study / "crate")
    assert not (study / "crate").exists()


def test_a_script_that_was_edited_is_told(study):
    tree.make_study()
    with pytest.raises(ValueError, match="the script of .* is no longer the one that ran"):
        crate.write_crate(study, "s", study / "crate")


def test_another_folder_is_left_alone(study):
    with pytest.raises(
        ValueError,
        match="is there and no crate: name a folder that is empty, or none yet, with --to",
    ):
        crate.write_crate(study, "s", study / "results")


@pytest.mark.skipif(not VALIDATOR.exists(), reason="`make test` makes the validator's environment")
def test_a_crate_is_valid_and_one_without_a_step_is_not(study):
    folder = study / "crate"
    crate.write_crate(study, "s", folder)
    command = [VALIDATOR / "python", ROOT / "tests/validate_crate.py", folder]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "REQUIRED: 91 of 91 checks passed" in done.stdout
    report = subprocess.run(
        [VALIDATOR / "runcrate", "report", folder], capture_output=True, text=True, check=True
    )
    assert report.stdout.count("action: ") == 4
    metadata = json.loads((folder / crate.METADATA).read_text())
    for entity in metadata["@graph"]:
        if entity["@type"] == "HowToStep":
            del entity["workExample"]
    (folder / crate.METADATA).write_text(json.dumps(metadata))
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "A HowToStep must refer to its corresponding tool via workExample" in done.stdout
