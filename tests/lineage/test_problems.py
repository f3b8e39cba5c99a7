"""What is named although every digest fits: strays, swapped records, records made by hand."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import lineage_tree as tree
import pytest

from spon.lineage import problems, records
from spon.lineage.verify import describe_report

TRAINED = [tree.BIASES, tree.CURVE, tree.NLL]
PLOTTED = [tree.PNG, tree.PDF, tree.PAGE, tree.NOTES]
LINEAGE = "results/s/lineage"
TRAINING = f"{LINEAGE}/TOP-50/0/train_spon.json"
EVALUATION = "results/s/TOP-50/seed1/nll.parquet"


def list_kinds(report):
    return [(problem.kind, problem.path) for problem in report.problems]


def make_by_hand(path, origin=None, **changes):
    """Change a record and make it consistent with itself again, as a forger would."""
    made = replace(records.parse_record(Path(origin or path).read_bytes()), **changes)
    job = records.digest_job(made.rule, made.wildcards, made.spec, made.inputs)
    records.write_record(path, replace(made, job=job))


def train(seed):
    """Train once more, with another seed."""
    outputs = [path.replace("seed0", f"seed{seed}") for path in TRAINED]
    wildcards = {"allocation": "TOP-50", "seed": seed}
    code = tree.CODE["train_spon"]
    tree.run("train_spon", wildcards, {"epochs": 1}, [tree.MODEL], outputs, code)
    return outputs, f"{LINEAGE}/TOP-50/{seed}/train_spon.json"


@pytest.mark.parametrize(
    "path", ["results/s/TOP-50/nll.csv", "figures/s/new/fig9.png", f"{LINEAGE}/notes.txt"]
)
def test_a_stray_file_in_a_folder_of_the_study_is_named(study, path):
    tree.write(path, "1")
    report = tree.check(study, "s")
    assert list_kinds(report) == [("unrecorded", path)]
    assert describe_report(report).startswith(
        f"unrecorded {path}: no record says what made it\n\n1 problem in "
    )


def test_a_stray_file_of_another_study_is_no_problem_of_this_one(study):
    tree.write("results/t/nll.csv", "1")
    assert tree.check(study, "s").sound
    assert list_kinds(tree.check(study)) == [("unrecorded", "results/t/nll.csv")]


def test_half_a_record_says_that_it_can_be_removed(study):
    tree.write(f"{LINEAGE}/TOP-50/0/.train_spon.json.4711", "{")
    assert tree.check(study).problems[0].detail == (
        "half a record, left by a job that was killed: it can be removed"
    )


def test_each_file_whose_record_is_gone_is_named(study):
    Path(f"{LINEAGE}/plot_figure.json").unlink()
    report = tree.check(study)
    assert sorted(list_kinds(report)) == sorted(("unrecorded", path) for path in PLOTTED)
    sentences = {problem.path: problem.detail for problem in report.problems}
    assert sentences[tree.NOTES] == "no record says what made it"
    assert sentences[tree.PNG].startswith("it says that plot_figure made it as job ")


@pytest.mark.parametrize("name", [".gitignore", "TOP-50.dvc", "TOP-50/.snakemake_timestamp"])
def test_what_git_dvc_and_snakemake_put_there_is_no_stray(study, name):
    tree.write(f"results/s/{name}", "")
    tree.write("results/README.md", "What lies here is not in a study's folder.")
    assert tree.check(study).sound


@pytest.mark.parametrize("rule", problems.OF_ONE_MACHINE)
def test_what_a_study_cost_on_another_machine_is_no_stray_but_under_its_own_name(study, rule):
    origin = {"study": "s", "rule": rule, "job": "0" * 16}
    (name,) = problems.OF_ONE_MACHINE[rule]
    tree.write(f"figures/s/{name}.png", tree.png(origin, b"1"))
    tree.write(f"results/s/{name}.json", json.dumps({"made_by": origin}))
    assert tree.check(study).sound
    tree.write("results/s/tables.json", json.dumps({"made_by": origin}))
    assert not tree.check(study).sound


def test_git_ignores_the_records_that_are_of_one_machine():
    lines = (Path(__file__).parents[2] / ".gitignore").read_text().splitlines()
    ignored = {line.split("/")[-1] for line in lines if line.startswith("/results/*/lineage/")}
    assert ignored == {f"{rule}.json" for rule in problems.OF_ONE_MACHINE}


def test_a_link_to_a_folder_above_it_is_walked_once(study):
    (study / "results/s/again").symlink_to(study / "results", target_is_directory=True)
    (study / "results/s/dangling").symlink_to(study / "nowhere")
    assert list_kinds(tree.check(study)) == [("unrecorded", "results/s/dangling")]


def test_a_link_to_a_folder_beside_it_hides_nothing(study):
    (study / "results/s/A").symlink_to(study / "results/s/TOP-50", target_is_directory=True)
    expected = {path.replace("TOP-50", "A") for path in TRAINED}
    assert set(list_kinds(tree.check(study))) == {("unrecorded", path) for path in expected}


def test_results_behind_a_link_are_sound(study):
    Path("results").rename("elsewhere")
    (study / "results").symlink_to(study / "elsewhere", target_is_directory=True)
    assert tree.check(study).sound


def test_two_records_that_have_changed_places_are_both_named(study):
    _, other = train("1")
    assert tree.check(study).sound
    first, second = Path(TRAINING).read_bytes(), Path(other).read_bytes()
    Path(TRAINING).write_bytes(second)
    Path(other).write_bytes(first)
    report = tree.check(study)
    assert list_kinds(report) == [("misplaced", TRAINING), ("misplaced", other)]
    assert "it is the record of another job, whose seed is 1\n" in describe_report(report)
    assert set(TRAINED) < set(report.below)


def test_a_record_in_place_of_another_is_named_and_so_is_what_has_none_any_more(study):
    outputs, other = train("1")
    Path(other).write_bytes(Path(TRAINING).read_bytes())
    expected = {("misplaced", other)} | {("unrecorded", path) for path in outputs}
    assert set(list_kinds(tree.check(study))) == expected


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        (f"{LINEAGE}/TOP-50/0/evaluate.json", "another rule, train_spon"),
        (f"{LINEAGE}/TOP-75/0/train_spon.json", "another job, whose allocation is TOP-50"),
        (f"{LINEAGE}/TOP-50/10/train_spon.json", "another job, whose seed is 0"),
        ("results/t/lineage/TOP-50/0/train_spon.json", "another study, s"),
    ],
)
def test_a_record_that_was_moved_is_named(study, path, reason):
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(TRAINING).rename(path)
    report = tree.check(study, "s")
    assert list_kinds(report) == [("misplaced", path)]
    assert report.problems[0].detail == f"it is the record of {reason}"


def test_a_record_made_by_hand_with_other_settings_does_not_fit_what_its_files_say(study):
    made = records.parse_record(Path(TRAINING).read_bytes())
    make_by_hand(TRAINING, spec=made.spec | {"train": {"epochs": 1000}})
    report = tree.check(study)
    assert set(list_kinds(report)) == {("foreign", tree.BIASES), ("foreign", tree.NLL)}
    assert (
        f"foreign    {tree.BIASES}: it says that train_spon made it as job {made.job[:8]}, "
        in (describe_report(report))
    )
    assert set(report.below) == set(PLOTTED)


def test_a_record_made_by_hand_for_a_file_that_says_nothing_is_named(study):
    tree.parquet({}, b"12", Path(tree.NLL))
    made = asdict(records.parse_record(Path(TRAINING).read_bytes()))
    outputs = made["outputs"] | {tree.NLL: records.digest_file(tree.NLL)}
    make_by_hand(TRAINING, outputs=outputs)
    assert ("foreign", tree.NLL) in list_kinds(tree.check(study))


def test_a_record_made_by_hand_with_inputs_that_their_maker_has_not_written_is_named(study):
    make_by_hand(TRAINING, inputs={tree.MODEL: "0" * 64})
    report = tree.check(study)
    assert ("stale", tree.BIASES) in list_kinds(report)
    assert f"train_spon has read {tree.MODEL} as 00000000, but fetch_model wrote " in (
        describe_report(report)
    )


@pytest.mark.parametrize("exists", [True, False])
def test_an_input_in_results_that_no_record_has_made_is_named(study, exists):
    if exists:
        tree.write("results/s/own.csv", "1")
    make_by_hand(TRAINING, inputs={"results/s/own.csv": "0" * 64})
    problem = next(one for one in tree.check(study).problems if one.path == "results/s/own.csv")
    assert problem.kind == ("unrecorded" if exists else "missing")
    assert problem.detail == "jobs have read it, and no record says what made it"


@pytest.mark.parametrize("made", [True, False])
def test_a_file_that_was_given_by_hand_and_declared_is_no_problem_and_is_told(study, made):
    path = tree.CURVE if made else "results/s/own.csv"
    tree.write(path, "thresholds of my own")
    figure = ["figures/s/given.png"]
    tree.run("plot_given", {}, {"given": [path]}, [tree.MODEL, path], figure, {"script": "2" * 16})
    Path(f"{LINEAGE}/plot_figure.json").unlink()
    for plotted in PLOTTED:
        Path(plotted).unlink()
    report = tree.check(study)
    assert report.sound
    assert describe_report(report).endswith(f" 3 jobs)\ngiven by hand: {path}\n")
    tree.flip(path)
    assert [problem.path for problem in tree.check(study).problems] == [path]


def test_a_record_made_by_hand_for_the_output_of_another_job_is_named(study):
    own = records.parse_record(Path(TRAINING).read_bytes()).outputs
    path = f"{LINEAGE}/TOP-50/0/evaluate.json"
    make_by_hand(path, TRAINING, rule="evaluate", outputs={tree.CURVE: own[tree.CURVE]})
    report = tree.check(study)
    assert list_kinds(report) == [("disputed", tree.CURVE)]
    assert report.problems[0].detail == (
        f"more than one record says to have made it: {path}, {TRAINING}"
    )


def test_a_record_made_by_hand_for_the_output_of_another_seed_is_named(study):
    made = records.parse_record(Path(TRAINING).read_bytes())
    make_by_hand(TRAINING, outputs=made.outputs | {EVALUATION: "0" * 64})
    assert tree.check(study).problems[0] == problems.Problem(
        "misplaced",
        TRAINING,
        f"it names {EVALUATION}, but its seed is 0",
        (*TRAINED, EVALUATION),
        itself=True,
    )


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"outputs": {}}, "it names no output"),
        ({"outputs": []}, "its outputs is no object"),
        ({"outputs": {tree.CURVE: None}}, f"it gives {tree.CURVE} no SHA-256"),
        ({"spec": []}, "its spec is no object"),
        ({"wildcards": {"study": 1}}, "hold 1, which is no text"),
    ],
)
def test_a_record_of_another_shape_is_broken_and_no_traceback(study, changes, reason):
    content = json.loads(Path(TRAINING).read_bytes()) | changes
    Path(TRAINING).write_text(json.dumps(content))
    broken = [problem for problem in tree.check(study).problems if problem.kind == "broken"]
    assert [problem.path for problem in broken] == [TRAINING]
    assert reason in broken[0].detail


@pytest.mark.parametrize(
    ("path", "name", "value", "expected"),
    [
        ("results/s/TOP-50/s0.5/seed0/nll.parquet", "seed", "0", True),
        ("results/s/TOP-50/s0.5/seed0/nll.parquet", "sparsity", "0.5", True),
        ("results/s/TOP-50/s0.5/seed0/nll.parquet", "allocation", "TOP-50", True),
        ("results/s/tokens/evaluation.safetensors", "part", "evaluation", True),
        ("results/s/TOP-50/s0.5/seed0/nll.wiki.parquet", "part", "wiki", True),
        ("results/s/TOP-50/s0.5/seed0/nll.wiki2.parquet", "part", "wiki", False),
        ("results/s/TOP-50/s0.5/seed10/nll.parquet", "seed", "0", False),
        ("results/s/TOP-50/s0.5/seed1/nll.parquet", "seed", "5", False),
        ("results/s/TOP-50/s0.55/seed1/nll.parquet", "sparsity", "0.5", False),
        ("results/s/TOP-50/s0.5/seed1/nll.parquet", "seed", "0", False),
        ("results/s/TOP-500/s0.5/seed0/nll.parquet", "allocation", "TOP-50", False),
    ],
)
def test_a_path_holds_a_wildcard_as_a_whole(path, name, value, expected):
    assert problems.holds(path, name, value) is expected
