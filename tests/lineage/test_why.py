from pathlib import Path

import lineage_tree as tree
import pytest

from spon.lineage import digest, records, why

CODE = tree.CODE | {"train_spon": tree.CODE["train_spon"] | {"train": "9" * 16}}
SCRIPT = tree.CODE | {"plot_figure": tree.CODE["plot_figure"] | {"script": "9" * 16}}
SETTING = ("setting", "train.epochs", "10", "20", [tree.PNG, tree.BIASES], {"train_spon": 1})
MODULE = (
    "module",
    "spon/train.py",
    "eeeeeeee",
    "99999999",
    [tree.PNG, tree.BIASES],
    {"train_spon": 1},
)


@pytest.fixture
def study(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tree.git("init", "-q")
    tree.make_study()
    tree.commit("v1")
    return tmp_path


def causes(study, path=tree.PNG):
    old, new = records.read_commit(study, "v1"), records.read_records(study)
    return [
        (cause.kind, cause.name, cause.old, cause.new, cause.way, dict(cause.rules))
        for cause in why.find_causes(path, old, new)
    ]


def change(study, path=tree.PNG):
    return why.explain(
        path, records.read_commit(study, "v1"), records.read_records(study), ("v1", "v2")
    )


def test_one_setting_that_differs_is_the_only_cause(study):
    tree.make_study(epochs=20)
    assert causes(study) == [SETTING]
    assert causes(study, tree.BIASES) == [(*SETTING[:4], [tree.BIASES], {"train_spon": 1})]
    assert causes(study, tree.MODEL) == []


def test_one_module_that_differs_is_the_only_cause(study):
    tree.make_study(code=CODE)
    assert causes(study) == [MODULE]


def test_the_script_of_the_file_itself_is_a_cause(study):
    tree.make_study(code=SCRIPT)
    assert causes(study) == [
        ("script", "script", "ffffffff", "99999999", [tree.PNG], {"plot_figure": 1})
    ]


def test_one_source_that_differs_is_the_only_cause(study):
    old = records.digest_file(tree.WEIGHTS)[:8]
    tree.make_study(weights="other")
    new = records.digest_file(tree.WEIGHTS)[:8]
    way = [tree.PNG, tree.MODEL]
    assert causes(study) == [("source", tree.WEIGHTS, old, new, way, {"fetch_model": 1})]


def test_several_causes_are_named_each(study):
    tree.make_study(20, "other", CODE)
    assert [cause[:2] for cause in causes(study)] == [
        SETTING[:2],
        MODULE[:2],
        ("source", tree.WEIGHTS),
    ]


def test_equal_causes_of_many_jobs_are_one(study):
    paths = [f"results/s/seed{seed}/x.csv" for seed in range(3)]
    for threshold in (0.5, 0.6):
        for seed, path in enumerate(paths):
            tree.run(
                "evaluate",
                {"seed": str(seed)},
                {"threshold": threshold},
                [tree.MODEL],
                [path],
                {"script": "0" * 16},
            )
        tree.run("tabulate", {}, {}, paths, ["results/s/table.csv"], {"script": "0" * 16})
        if threshold == 0.5:
            tree.git("tag", "-d", "v1")
            tree.commit("v1")
    way = ["results/s/table.csv", paths[0]]
    assert causes(study, "results/s/table.csv") == [
        ("setting", "threshold", "0.5", "0.6", way, {"evaluate": 3})
    ]


def test_inputs_that_came_and_went_are_named(study):
    tree.run(
        "plot_figure",
        {},
        {"colours": ["black", "blue"]},
        [tree.WEIGHTS],
        [tree.PNG],
        tree.CODE["plot_figure"],
    )
    gone = f"{tree.BIASES}, {tree.CURVE}, {tree.NLL} and 1 more"
    assert causes(study) == [
        ("inputs", "of plot_figure", gone, tree.WEIGHTS, [tree.PNG], {"plot_figure": 1})
    ]


def test_a_job_that_writes_other_bytes_though_nothing_differs_is_told_with_what_it_ran_on(study):
    path = records.record_path("logs/s/fetch_model.log")
    tree.flip(tree.MODEL)
    description = records.describe_job(
        "fetch_model", {"study": "s"}, {"model": {"path": "resources"}}, [tree.WEIGHTS]
    )
    description["spec"]["code"] = digest.combine_code(tree.describe(tree.CODE["fetch_model"]))
    description["job"] = records.read_records(study).makers[tree.MODEL].job
    environment = tree.ENVIRONMENT | {"python": "3.12.0"}
    records.finish_record(
        path, description, [tree.MODEL], tree.describe(tree.CODE["fetch_model"]), environment
    )
    [(kind, name, old, new, _, _)] = causes(study, tree.MODEL)
    assert (kind, name) == ("bytes", tree.MODEL)
    assert "python 3.11.7" in old
    assert "python 3.12.0" in new


def test_an_input_that_was_made_anew_without_its_reader_is_no_silence(study):
    old, new = records.read_commit(study, "v1"), records.read_records(study)
    reader = new.makers[tree.PNG]
    reader.inputs[tree.MODEL] = "0" * 64
    [(kind, name)] = [(cause.kind, cause.name) for cause in why.find_causes(tree.PNG, old, new)]
    assert (kind, name) == ("stale input", tree.MODEL)


def test_a_file_that_only_one_version_has_says_so(study):
    tree.run("tabulate", {}, {}, [tree.MODEL], ["results/s/table.csv"], {"script": "0" * 16})
    assert causes(study, "results/s/table.csv")[0][:4] == (
        "file",
        "results/s/table.csv",
        "not there",
        "made by tabulate",
    )


@pytest.mark.parametrize(
    ("before", "after", "differences"),
    [
        ({"a": {"b": 1}}, {"a": {"b": 2}}, [("a.b", "1", "2")]),
        ({"a": 1}, {"a": True}, [("a", "1", "true")]),
        ({"a": 1, "b": 2}, {"a": 2, "b": 1}, [("a", "1", "2"), ("b", "2", "1")]),
        ({"a": 1}, {}, [("a", "1", "not there")]),
        ({"a": [1, 2, 3]}, {"a": [1, 2, 4]}, [("a", "[3]", "[4]")]),
        ({"a": [1, 2]}, {"a": [2, 1]}, [("a", "[1, 2]", "[2, 1]")]),
        ({"a": [1]}, {"a": [1, 2]}, [("a", "[]", "[2]")]),
        ({"a": 1, "code": "x"}, {"code": "y", "a": 1}, []),
    ],
)
def test_settings_are_compared_by_name(before, after, differences):
    assert [difference[1:] for difference in why.compare_settings(before, after)] == differences


def test_what_differs_is_told_with_the_way_to_it(study):
    tree.make_study(epochs=20)
    lines = change(study).splitlines()
    assert lines[0].startswith(f"{tree.PNG} differs between v1 and v2: ")
    assert lines[2:] == [
        "1. setting train.epochs: 10 → 20, in train_spon (1 job)",
        f"   {tree.PNG}",
        f"     ← {tree.BIASES}",
        "",
        "1 cause",
    ]


def test_what_is_equal_is_told_in_a_line(study):
    digest = records.digest_file(tree.PNG)[:8]
    assert change(study) == f"{tree.PNG} is equal in v1 and v2: {digest}\n"


def test_equal_bytes_of_different_jobs_are_told_with_what_differs(study):
    content = {path: Path(path).read_bytes() for path in (tree.BIASES, tree.CURVE, tree.NLL)}
    for path, bytes_ in content.items():
        Path(path).write_bytes(bytes_)
    description = records.describe_job(
        "train_spon", {"study": "s"}, {"train": {"epochs": 20}}, [tree.MODEL]
    )
    records.finish_record(
        "results/s/lineage/TOP-50/0/train_spon.json", description, content, {}, {}
    )
    assert "is equal in v1 and v2" in change(study, tree.CURVE)
    assert "although what made it differs" in change(study, tree.CURVE)
    assert "setting train.epochs: 10 → 20" in change(study, tree.CURVE)


def test_a_path_that_no_record_made_is_refused(study):
    with pytest.raises(
        ValueError, match=f"no record in v1 or v2 made fig1.png: did you mean {tree.PNG}"
    ):
        change(study, "fig1.png")
