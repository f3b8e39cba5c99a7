import json
from pathlib import Path

import lineage_tree as tree

from spon.lineage import records, show
from spon.lineage.find import find_record


def digest(path):
    return records.digest_file(path)[: show.SHORT]


def job(path):
    return records.read_records(".").makers[path].job[: show.SHORT]


def test_the_tree_goes_down_to_the_model_with_settings_and_code(study):
    printed = show.print_tree(find_record(Path(tree.NLL), study)).splitlines()
    assert printed[:8] == [
        f"{tree.NLL} · {digest(tree.NLL)} · the file is as recorded",
        f"made by train_spon · job {job(tree.NLL)} · study s · allocation TOP-50 · seed 0",
        "  settings  train.epochs 10 · train.learning_rate 0.001 · blocks 24",
        "  code      6c51d175 · script, sparsify, train",
        f"└─ {tree.MODEL} · {digest(tree.MODEL)}",
        f"   made by fetch_model · job {job(tree.MODEL)} · study s",
        '     settings  model.path "resources"',
        "     code      55c9c6a2 · script, source",
    ]
    assert printed[8] == f"   └─ {tree.WEIGHTS} · {digest(tree.WEIGHTS)} · source"
    assert printed[10:] == [
        "2 jobs of 2 rules",
        "ran on python 3.11.7 · lock 00000000 · device cpu · threads 1",
    ]


def test_each_job_is_printed_once(study):
    printed = show.print_tree(find_record(Path(tree.PNG), study))
    assert printed.count("made by train_spon") == printed.count("made by fetch_model") == 1
    assert f"{tree.CURVE} · {digest(tree.CURVE)} · train_spon, see above" in printed
    assert f"└─ {tree.MODEL} · {digest(tree.MODEL)} · fetch_model, see above" in printed


def test_a_depth_cuts_the_tree(study):
    printed = show.print_tree(find_record(Path(tree.PNG), study), depth=1)
    assert printed.count("made by") == 1
    assert f"{tree.MODEL} · {digest(tree.MODEL)} · fetch_model …" in printed


def test_no_line_of_settings_is_wider_than_the_screen(study):
    printed = show.print_tree(find_record(Path(tree.NLL), study), width=50)
    assert "train.learning_rate" in printed
    assert all(
        len(line) <= 50 for line in printed.splitlines() if "settings" in line or "code" in line
    )


def test_many_inputs_of_one_rule_are_folded_until_all_are_asked_for(study):
    paths = [f"results/s/seed{seed}/x.csv" for seed in range(9)]
    for seed, path in enumerate(paths):
        tree.run("evaluate", {"seed": str(seed)}, {}, [tree.MODEL], [path], {"script": "0" * 16})
    tree.run("tabulate", {}, {}, paths, ["results/s/table.csv"], {"script": "0" * 16})
    artifact = find_record(Path("results/s/table.csv"), study)
    folded = show.print_tree(artifact)
    assert "└─ and 8 more of evaluate: 1, 2, 3, 4, 5, 6, 7, 8" in folded
    assert "11 jobs of 3 rules; 8 are folded (--all)" in folded
    every = show.print_tree(artifact, every=True)
    assert every.count("made by evaluate") == 9
    assert "folded" not in every


def test_a_file_that_differs_and_an_input_that_was_rewritten_are_told(study):
    tree.flip(tree.PNG)
    wildcards = {"allocation": "TOP-50", "seed": "0"}
    outputs = [tree.BIASES, tree.CURVE, tree.NLL]
    tree.run(
        "train_spon",
        wildcards,
        {"train": {"epochs": 2}},
        [tree.MODEL],
        outputs,
        {"script": "0" * 16},
    )
    printed = show.print_tree(find_record(Path(tree.PNG), study))
    assert f"THE FILE DIFFERS from its record: it is {digest(tree.PNG)}" in printed
    assert f"STALE: train_spon has written {digest(tree.BIASES)} since" in printed


def test_a_source_is_told_as_one(study):
    printed = show.print_tree(find_record(Path(tree.WEIGHTS), study))
    assert printed.splitlines()[1] == "a source: no record made it; read by fetch_model (1 job)"


def test_json_holds_every_record_behind_the_file_and_the_sources(study):
    content = json.loads(show.to_json(find_record(Path(tree.PNG), study)))
    assert [record["rule"] for record in content["records"]] == [
        "plot_figure",
        "train_spon",
        "fetch_model",
    ]
    assert content["sources"] == {tree.WEIGHTS: records.digest_file(tree.WEIGHTS)}
    assert content["sha256"] == content["recorded"] == records.digest_file(tree.PNG)
    source = json.loads(show.to_json(find_record(Path(tree.WEIGHTS), study)))
    assert (source["records"], list(source["sources"])) == ([], [tree.WEIGHTS])


def test_mermaid_joins_what_stands_on_what(study):
    artifact = find_record(Path(tree.PNG), study)
    chart = show.to_mermaid(artifact).splitlines()
    assert chart[0] == "flowchart LR"
    assert {
        "  train_spon --> plot_figure",
        "  source0 --> fetch_model",
        "  plot_figure --> file",
    } <= set(chart)
    assert len(chart) == len(set(chart))
    assert '["train_spon<br/>TOP-50/0"]' in show.to_mermaid(artifact, every=True)


def test_settings_are_flat_and_long_values_short():
    assert show.flatten({"a": {"b": {"c": 1}, "d": []}, "e": {}}) == {
        "a.b.c": 1,
        "a.d": [],
        "e": {},
    }
    assert show.format_value([{"sparsity": 0.5}] * 30) == "[30 entries]"
    assert show.format_value("ß") == '"ß"'
    assert len(show.format_value("x" * 500)) == show.LONG
