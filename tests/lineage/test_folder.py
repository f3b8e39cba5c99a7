"""A folder is shown by the jobs that made its files."""

import json
import shutil
from pathlib import Path

import lineage_tree as tree
import pytest

from spon.lineage import folder
from spon.lineage.records import digest_file, read_records
from spon.lineage.show import SHORT


def look(path, every=False):
    return folder.Folder(path, Path.cwd(), read_records("."), every)


def print_lines(path, every=False, width=120):
    return folder.print_folder(look(path, every), width).splitlines()


def job(path):
    return read_records(".").makers[path].job[:SHORT]


def test_files_stand_under_the_job_that_made_them_with_their_digests(study):
    assert print_lines("results/s/TOP-50/seed0") == [
        "results/s/TOP-50/seed0 · 3 files of 1 job",
        "",
        f"train_spon · job {job(tree.NLL)} · study s · allocation TOP-50 · seed 0",
        f"  biases.safetensors · {digest_file(tree.BIASES)[:SHORT]}",
        f"  curve.csv · {digest_file(tree.CURVE)[:SHORT]}",
        f"  nll.parquet · {digest_file(tree.NLL)[:SHORT]}",
        "",
        folder.NEXT,
    ]


def test_jobs_come_after_those_that_they_stand_on(study):
    rules = [record.rule for record, _ in folder.list_jobs(look("results/s"))]
    assert rules == ["fetch_model", "train_spon", "plot_figure"]
    everything = [record.rule for record, _ in folder.list_jobs(look("."))]
    assert everything == rules


def test_many_jobs_of_one_rule_are_folded_until_all_are_asked_for(study):
    for seed in range(9):
        path = f"results/s/seed{seed}/x.csv"
        tree.run("evaluate", {"seed": str(seed)}, {}, [tree.MODEL], [path], {"script": "0" * 16})
    folded = print_lines("results/s")
    assert "evaluate · 9 jobs · 9 files" in folded
    assert "  and 8 more jobs (--all): 1, 2, 3, 4, 5, 6, 7, 8" in folded
    every = print_lines("results/s", every=True)
    assert sum(line.startswith("evaluate · job ") for line in every) == 9
    assert all(len(line) <= 40 for line in print_lines("results/s", width=40))


def test_many_files_of_one_job_are_cut_with_a_count(study):
    paths = [f"results/s/tables/{name}.csv" for name in "abcde"]
    tree.run("tabulate", {}, {}, [tree.MODEL], paths, {"script": "0" * 16})
    assert "  and 2 more (--all): d.csv, e.csv" in print_lines("results/s/tables")
    assert len(print_lines("results/s/tables", every=True)) == 2 + 1 + 5 + 2


def test_what_is_not_here_is_counted(study):
    shutil.rmtree("results/s/TOP-50")
    printed = print_lines("results/s/TOP-50")
    assert printed[0] == "results/s/TOP-50 · 3 files of 1 job, 0 of them here (dvc pull)"
    assert printed[3].endswith(" · not here")
    assert folder.is_folder("results/s/TOP-50", study, read_records("."))
    assert not folder.is_folder("results/s/TOP", study, read_records("."))


def test_sources_and_files_without_a_record_are_named_apart(study):
    assert print_lines("resources")[:4] == [
        "resources · no job made a file in it",
        "",
        "read by jobs, made by none · 1 file",
        "  model.bin",
    ]
    tree.write("results/s/TOP-50/notes.txt", "mine")
    assert print_lines("results/s/TOP-50")[-4:-2] == [
        "without a record (spon verify) · 1 file",
        "  notes.txt",
    ]


def test_a_folder_that_no_record_names_is_refused(study):
    Path("empty").mkdir()
    with pytest.raises(ValueError, match="empty is a folder, and no record names a file in it"):
        print_lines("empty")


def test_a_folder_is_data_too(study):
    content = json.loads(folder.to_json(look("figures/s")))
    assert content["path"] == "figures/s"
    assert [record["rule"] for record in content["records"]] == ["plot_figure"]
