import json
from pathlib import Path

import lineage_tree as tree
import pytest

from spon.lineage import verify
from spon.lineage.verify import describe_report, format_size

TRAINED = [tree.BIASES, tree.CURVE, tree.NLL]
PLOTTED = [tree.PNG, tree.PDF, tree.PAGE, tree.NOTES]


def test_an_untouched_study_is_sound(study):
    report = tree.check(study)
    assert report.sound
    assert (report.files, report.jobs, report.below) == (9, 3, [])
    assert describe_report(report).startswith("sound: every file is as its record says (9 files, ")


@pytest.mark.parametrize(
    ("path", "kind", "below"),
    [
        (tree.WEIGHTS, "changed", tree.ALL),
        (tree.MODEL, "damaged", TRAINED + PLOTTED),
        *((path, "damaged", PLOTTED) for path in TRAINED),
        *((path, "damaged", []) for path in PLOTTED),
    ],
)
@pytest.mark.parametrize("position", [0, -1])
def test_one_flipped_bit_in_each_kind_of_artifact_names_it_and_everything_that_stands_on_it(
    study, path, kind, below, position
):
    tree.flip(path, position)
    report = tree.check(study)
    assert [(problem.kind, problem.path) for problem in report.problems] == [(kind, path)]
    assert sorted(report.below) == sorted(below)
    assert not report.sound
    printed = describe_report(report)
    assert all(f"\n  {name}" in printed for name in below)
    assert printed.splitlines()[0].startswith(f"{kind:<10} {path}: it is ")


@pytest.mark.parametrize("position", [3, 300])
def test_one_flipped_bit_in_a_record_names_it_and_everything_that_its_job_made(study, position):
    path = "results/s/lineage/TOP-50/0/train_spon.json"
    tree.flip(path, position)
    report = tree.check(study)
    assert [(problem.kind, problem.path) for problem in report.problems] == [("broken", path)]
    assert sorted(report.below) == sorted(TRAINED + PLOTTED)


def test_an_environment_is_information_that_git_alone_guards(study):
    path = Path("results/s/lineage/TOP-50/0/train_spon.json")
    tree.flip(str(path), path.read_bytes().index(b'"cpu"') + 1)
    assert tree.check(study).sound


def test_a_file_that_is_gone_is_named_with_everything_that_stands_on_it(study):
    Path(tree.MODEL).unlink()
    report = tree.check(study)
    assert [(problem.kind, problem.path) for problem in report.problems] == [
        ("missing", tree.MODEL)
    ]
    assert sorted(report.below) == sorted(TRAINED + PLOTTED)


def test_a_reader_of_what_was_made_anew_is_stale(study):
    wildcards = {"allocation": "TOP-50", "seed": "0"}
    tree.run(
        "train_spon",
        wildcards,
        {"train": {"epochs": 2}},
        [tree.MODEL],
        TRAINED,
        {"script": "0" * 16},
    )
    report = tree.check(study)
    assert {problem.kind for problem in report.problems} == {"stale"}
    assert len(report.problems) == len(TRAINED)
    assert f"plot_figure has read {tree.BIASES} as " in describe_report(report)
    paths = {problem.path for problem in report.problems}
    assert paths | set(report.below) == set(PLOTTED)


def test_jobs_that_have_read_a_source_at_different_times_are_told(study):
    tree.write(tree.WEIGHTS, "other")
    tree.run("cost", {}, {}, [tree.WEIGHTS], ["results/s/cost.csv"], {"script": "0" * 16})
    assert "stale" in {problem.kind for problem in tree.check(study).problems}


def test_a_result_whose_record_is_gone_is_unrecorded_not_a_source(study):
    Path("results/s/lineage/fetch_model.json").unlink()
    report = tree.check(study)
    assert [(problem.kind, problem.path) for problem in report.problems] == [
        ("unrecorded", tree.MODEL)
    ]
    assert sorted(report.below) == sorted(TRAINED + PLOTTED)


def test_a_clone_whose_data_was_never_pulled_says_so_in_one_sentence(study):
    tree.git("init", "-q")
    tree.git("add", "results/s/lineage", tree.WEIGHTS, tree.CURVE)
    tree.git("commit", "-qm", "v1")
    for path in set(tree.ALL) - {tree.CURVE}:
        Path(path).unlink()
    report = tree.check(study)
    assert (report.problems, report.absent, report.sound) == ([], 7, False)
    assert describe_report(report) == (
        "7 of 9 files are not here, and what is here is as recorded: "
        "`dvc pull` (or `make pull`) brings what was published\n"
    )
    tree.flip(tree.CURVE)
    report = tree.check(study)
    assert [(problem.kind, problem.path) for problem in report.problems] == [
        ("damaged", tree.CURVE)
    ]
    assert "7 of 9 files are not here: `dvc pull`" in describe_report(report)


def test_one_file_that_is_gone_from_a_clone_was_not_left_unpulled(study):
    tree.git("init", "-q")
    tree.commit("v1")
    Path(tree.NOTES).unlink()
    assert [problem.kind for problem in tree.check(study).problems] == ["missing"]


def test_files_of_another_commit_say_so(study):
    tree.git("init", "-q")
    tree.commit("v1")
    tree.make_study(epochs=20)
    tree.git("checkout", "-q", "v1", "--", "results")
    printed = describe_report(tree.check(study))
    assert "made it, not " in printed
    assert "`dvc checkout` brings this commit's" in printed


def test_one_study_is_verified_alone(study):
    tree.flip(tree.PNG)
    tree.write("results/other/notes.md", "one line")
    tree.records.finish_record(
        "results/other/lineage/take_notes.json",
        tree.records.describe_job("take_notes", {"study": "other"}, {}, []),
        ["results/other/notes.md"],
        {},
        {},
    )
    assert tree.check(study, "other").sound
    assert not tree.check(study, "s").sound
    with pytest.raises(ValueError, match="no records of the study 'x': known are other, s"):
        tree.check(study, "x")


def test_sizes_are_told_in_their_unit():
    assert [format_size(size) for size in (0, 999, 1000, 2_500_000, 7e12)] == [
        "0 B",
        "999 B",
        "1 kB",
        "2 MB",
        "7000.0 GB",
    ]


def test_what_another_processor_made_is_sound_and_said(study, monkeypatch):
    monkeypatch.setattr(verify, "name_processor", lambda: "mine")
    paths = sorted(Path("results/s/lineage").rglob("*.json"))
    for path, processor in zip(paths, ("mine", "its", "its"), strict=True):
        record = json.loads(path.read_text())
        record["environment"]["processor"] = processor
        path.write_text(json.dumps(record))
    report = tree.check(study)
    assert (report.sound, report.processors) == (True, ("its",))
    assert "made on its, and this machine has mine: what is made again" in describe_report(report)
