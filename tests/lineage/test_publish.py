"""What is published is sound, is told by what changed, and comes back on a clone."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import lineage_tree as tree
import pytest
import yaml

from spon.lineage import publish
from spon.lineage.find import find_clone, find_record
from spon.lineage.records import read_records

CONFIG = """\
[core]
    analytics = false
    remote = published
['remote "published"']
    url = ../published
"""


@pytest.fixture
def study(tmp_path, monkeypatch):
    """A finished study with a stage of DVC and an empty remote in the repository."""
    root = tmp_path / "study"
    root.mkdir()
    monkeypatch.chdir(root)
    tree.git("init", "-q")
    tree.make_study()
    tree.write(".dvc/config", CONFIG)
    tree.write(
        ".gitignore", "/results/s/*\n!/results/s/lineage/\n/figures/\n/.dvc/tmp\n/.dvc/cache\n"
    )
    outs = [
        {path: {"persist": True}}
        for path in ("results/s/model.json", "results/s/TOP-50", "figures/s")
    ]
    outs += [{path: {"persist": True}} for path in (tree.PAGE, tree.NOTES)]
    tree.write("dvc.yaml", yaml.safe_dump({"stages": {"s": {"cmd": "true", "outs": outs}}}))
    return root


def commit(message: str) -> None:
    tree.git("add", ".")
    tree.git("commit", "-qm", message)


def test_what_is_published_comes_back_on_a_clone(study, tmp_path):
    said = []
    assert publish.publish(study, said.append)
    assert said[0].startswith("sound: ")
    assert said[1] == "new: train_spon (1 job), fetch_model (1 job), plot_figure (1 job)\n"
    assert "8 files with other bytes than in the last commit\n" in said
    commit("first")
    tree.git("clone", "-q", str(study), str(tmp_path / "clone"))
    subprocess.run([sys.executable, "-m", "dvc", "pull", "-q"], cwd=tmp_path / "clone", check=True)
    for path in tree.ALL:
        assert (tmp_path / "clone" / path).read_bytes() == Path(path).read_bytes()


def test_only_what_changed_is_told(study):
    publish.publish(study, [].append)
    commit("first")
    said = []
    publish.publish(study, said.append)
    assert said[1:] == [
        "0 files with other bytes than in the last commit\n",
        "published; git has nothing to commit\n",
    ]
    tree.make_study(epochs=20)
    said = []
    publish.publish(study, said.append)
    assert said[1] == "made anew: train_spon (1 job), plot_figure (1 job)\n"
    assert "7 files with other bytes than in the last commit\n" in said
    assert "wait for `git add`" in said[-1]


def test_a_study_in_a_folder_of_its_own_is_published_alone(study, monkeypatch):
    """The stage at the root is neither looked at nor changed, and its remote is the same."""
    own = study / "studies/own"
    own.mkdir(parents=True)
    monkeypatch.chdir(own)
    tree.make_study()
    tree.write("dvc.yaml", (study / "dvc.yaml").read_text())
    (study / ".gitignore").write_text(
        "/studies/own/figures/\n/studies/own/results/s/*\n.dvc/tmp\n"
    )
    (study / tree.BIASES).unlink()
    said = []
    assert publish.publish(own, said.append)
    assert (own / "dvc.lock").exists()
    assert not (study / "dvc.lock").exists()
    assert "wait for `git add`" in said[-1]
    assert find_clone(own / tree.BIASES) == find_clone(Path()) == own
    tree.write("results/other/lineage/none", "")
    copy = study / "copy.png"
    copy.write_bytes(Path(tree.PNG).read_bytes())
    assert find_record(copy, study).path == tree.PNG


def test_what_is_not_as_recorded_is_not_published(study):
    tree.flip(tree.BIASES)
    said = []
    assert not publish.publish(study, said.append)
    assert said[-1] == "nothing is published, since not everything is as recorded\n"
    assert not Path("dvc.lock").exists()
    assert not Path("published").exists()


def test_a_refusal_of_dvc_is_one_sentence(study):
    tree.write("dvc.yaml", "stages: 3\n")
    with pytest.raises(ValueError, match="dvc commit -f dvc.yaml: ") as caught:
        publish.publish(study, [].append)
    assert "\n" not in str(caught.value)


def test_a_study_is_to_be_fetched_if_it_is_published_and_no_result_of_it_is_here(study):
    assert publish.find_unfetched(study, study, ["s"]) == []
    Path("results/s/model.json").unlink()
    assert publish.find_unfetched(study, study, ["s"]) == []  # its biases are here
    shutil.rmtree("results/s/TOP-50")
    Path(tree.PAGE).unlink()
    Path(tree.NOTES).unlink()
    assert publish.find_unfetched(study, study, ["s", "another"]) == ["s"]  # with its records
    assert publish.find_unfetched(study, study.parent, ["s"]) == []
    shutil.rmtree(".git")
    assert publish.find_unfetched(study, study, ["s"]) == []


def test_what_stages_publish_is_named_but_for_what_git_has(tmp_path):
    stages = tmp_path / "dvc.yaml"
    stages.write_text(
        "stages: {a: {outs: [x, {y: {persist: true}}, {z: {cache: false}}]}, b: {}}\n"
    )
    assert publish.list_published(stages) == ["x", "y"]
    stages.write_text("")
    assert publish.list_published(stages) == []


def test_another_processor_than_that_of_what_was_published_is_said(study):
    path = Path("results/s/lineage/TOP-50/0/train_spon.json")
    record = json.loads(path.read_text())

    def made_on(processor):
        record["environment"]["processor"] = processor
        path.write_text(json.dumps(record))
        return read_records(study)

    its, mine, unknown = map(made_on, ("its", "mine", None))
    told = [*publish.describe_change(its, mine)]
    assert told[-1].startswith("made on mine, and what was published before on its: last digits")
    for before, after in ((mine, mine), (unknown, mine)):
        assert "made on" not in "".join(publish.describe_change(before, after))
