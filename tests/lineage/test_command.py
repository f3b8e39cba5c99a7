"""The command `spon`: what it prints, and how it ends."""

import json
import shutil

import lineage_tree as tree
import pytest

from spon.command import main


@pytest.fixture
def study(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tree.git("init", "-q")
    tree.make_study()
    return tmp_path


def test_a_figure_that_was_sent_around_is_found_by_what_it_says(
    study, tmp_path_factory, monkeypatch, capsys
):
    empty = tmp_path_factory.mktemp("empty")
    shutil.copy(tree.PNG, empty / "mailed.png")
    monkeypatch.chdir(empty)
    assert main(["show", "mailed.png", "--clone", str(study)]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith(f"{tree.PNG} · ")
    assert "found by the job that it names" in printed
    assert f"{tree.WEIGHTS} · " in printed
    assert main(["show", "mailed.png"]) == 2
    assert "name a clone that does with --clone DIR" in capsys.readouterr().err


def test_a_folder_is_shown_by_its_jobs(study, capsys):
    assert main(["show", "results/s"]) == 0
    assert capsys.readouterr().out.startswith("results/s · 6 files of 3 jobs\n")
    assert main(["show", "results/s/", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["records"]) == 3
    assert main(["show", "."]) == 0
    assert "plot_figure · job " in capsys.readouterr().out


def test_a_tree_is_data_too(study, capsys):
    assert main(["show", tree.PNG, "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert [record["rule"] for record in content["records"]] == [
        "plot_figure",
        "train_spon",
        "fetch_model",
    ]
    assert main(["show", tree.PNG, "--mermaid"]) == 0
    assert capsys.readouterr().out.startswith("flowchart LR\n")


def test_a_damaged_file_ends_in_exit_code_one(study, capsys):
    assert main(["verify"]) == 0
    assert capsys.readouterr().out.startswith("sound: ")
    tree.flip(tree.BIASES)
    assert main(["verify", "s"]) == 1
    assert f"damaged    {tree.BIASES}: " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["show", "figures/s/fig2.png"], "figures/s/fig2.png is no file, and no record names it"),
        (["why", tree.PNG, "v1.."], "'v1' is no commit of this clone"),
        (["why", tree.PNG, "..v2"], "'..v2' is no range"),
        (["show", "results/s/TOP-5"], "no record names it: did you mean results/s/TOP-50"),
        (["show", "results/s", "--depth", "1"], "--depth is of a file, and results/s is a folder"),
        (["show", "results/s", "--mermaid"], "--mermaid is of a file, and results/s is a folder"),
        (["verify", "t"], "there are no records of the study 't': known are s"),
    ],
)
def test_a_mistake_is_one_sentence(study, capsys, arguments, sentence):
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"spon {arguments[0]}: ")
    assert sentence in error
    assert error.count("\n") == 1


def test_the_two_versions_of_a_file_are_compared(study, capsys):
    tree.commit("v1")
    tree.make_study(epochs=20)
    tree.commit("v2")
    assert main(["why", tree.PNG, "v1..v2"]) == 0
    assert "setting train.epochs: 10 → 20" in capsys.readouterr().out
