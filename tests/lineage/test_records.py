import json
from pathlib import Path

import lineage_tree as tree
import pytest

from spon.lineage import digest, records


@pytest.mark.parametrize(
    ("log", "path"),
    [
        (
            "logs/pydoc/TOP-50/s0.5/seed0/train_spon.log",
            "results/pydoc/lineage/TOP-50/s0.5/seed0/train_spon.json",
        ),
        ("logs/pydoc/tabulate.log", "results/pydoc/lineage/tabulate.json"),
        ("logs/pretrain_model.log", "results/-/lineage/pretrain_model.json"),
    ],
)
def test_a_record_stands_where_the_log_does_with_head_and_suffix_exchanged(log, path):
    assert records.record_path(log).as_posix() == path
    assert records.is_record(path)


def test_below_a_prefix_a_record_and_the_names_in_it_are_relative_to_the_prefix(study):
    log, output = "logs/results/logs/s/plot.log", "logs/results/figures/s/a.png"
    folder = records.find_folder(log, output)
    assert folder.as_posix() == "logs/results"
    path = records.record_path(log, folder)
    assert path.as_posix() == "logs/results/results/s/lineage/plot.json"
    assert records.name_path(output, folder) == "figures/s/a.png"
    assert records.name_path("resources/a.yaml", folder) == "../../resources/a.yaml"
    assert records.name_path("/a.yaml", folder) == "/a.yaml"
    assert records.find_folder("logs/s/plot.log", "figures/s/a.png") == Path()


def test_a_file_of_a_study_named_lineage_is_no_record():
    assert not records.is_record("results/lineage/claims.json")


def test_equal_jobs_write_the_same_bytes(study):
    files = sorted(study.glob("results/s/lineage/**/*.json"))
    first = [path.read_bytes() for path in files]
    assert len(first) == 3
    tree.make_study()
    assert [path.read_bytes() for path in files] == first


def test_a_record_is_json_with_its_keys_in_order_and_nothing_else_beside_it(study):
    path = study / "results/s/lineage/fetch_model.json"
    text = path.read_text()
    assert list(json.loads(text)) == [
        "job", "rule", "wildcards", "spec", "code", "inputs", "outputs", "environment"
    ]  # fmt: skip
    assert text.endswith("}\n")
    assert not [left for left in path.parent.iterdir() if left.name.startswith(".")]
    assert str(study) not in text


def test_the_order_of_keys_does_not_matter_to_a_job_and_swapped_values_do():
    wildcards = {"study": "s", "seed": "0"}
    spec = {"train": {"epochs": 1, "blocks": 2}, "code": "0"}
    turned = {"code": "0", "train": {"blocks": 2, "epochs": 1}}
    swapped = {"train": {"epochs": 2, "blocks": 1}, "code": "0"}
    job = records.digest_job("train_spon", wildcards, spec, {"a": "1", "b": "2"})
    assert (
        records.digest_job(
            "train_spon", dict(reversed(wildcards.items())), turned, {"b": "2", "a": "1"}
        )
        == job
    )
    assert records.digest_job("train_spon", wildcards, swapped, {"a": "1", "b": "2"}) != job
    assert records.digest_job("train_spon", wildcards, spec, {"a": "2", "b": "1"}) != job
    assert len(job) == 16


def test_a_job_that_has_started_has_no_record_until_it_is_done(study):
    path = records.record_path("logs/s/fetch_model.log")
    records.start_record(path)
    assert not path.exists()
    records.start_record(path)
    description = records.describe_job(
        "fetch_model", {"study": "s"}, {"code": "0"}, [tree.WEIGHTS]
    )
    assert not path.exists()
    records.finish_record(path, description, [tree.MODEL], {}, {})
    assert records.read_records(study).makers[tree.MODEL].job == description["job"]


def test_what_an_artifact_says_of_itself_is_known_before_it_is_written(study):
    description = records.describe_job("fetch_model", {"study": "s"}, {}, [study / tree.WEIGHTS])
    assert list(description["inputs"]) == [tree.WEIGHTS]  # relative, though named in full
    assert records.name_origin(description) == {
        "study": "s",
        "rule": "fetch_model",
        "job": description["job"],
    }


def read_again(*paths, folder=".", given=()):
    return records.describe_job("evaluate", {"study": "s"}, {"code": "0"}, paths, folder, given)


def test_inputs_that_are_what_their_jobs_wrote_pass_and_so_do_those_that_no_record_names(study):
    for path in [*tree.ALL, tree.WEIGHTS]:
        records.check_inputs(read_again(path))
    study.joinpath(tree.WEIGHTS).write_bytes(b"another source")
    records.check_inputs(read_again(*tree.ALL, tree.WEIGHTS))


@pytest.mark.parametrize("content", [b"", bytes(400), b'{"job": "0"}'])
def test_a_record_that_was_damaged_with_its_file_is_named(study, content):
    record = study / "results/s/lineage/TOP-50/0/train_spon.json"
    record.write_bytes(content)
    with pytest.raises(ValueError, match="train_spon.json is no record: `git checkout` it, or"):
        records.check_inputs(read_again(tree.BIASES))


@pytest.mark.parametrize("damage", ["cut", "empty", "flip", "add", "other"])
@pytest.mark.parametrize("path", tree.ALL)
def test_an_input_that_is_not_what_its_job_wrote_is_named(study, path, damage):
    whole = (study / path).read_bytes()
    other = (study / next(name for name in tree.ALL if name != path)).read_bytes()
    damaged = {
        "cut": whole[:-1],
        "empty": b"",
        "flip": bytes([whole[0] ^ 1]) + whole[1:],
        "add": whole + b"\n",
        "other": other,
    }
    (study / path).write_bytes(damaged[damage])
    with pytest.raises(ValueError, match=f"^{path} is not what its record says.* delete it"):
        records.check_inputs(read_again(tree.WEIGHTS, path))


def test_an_input_below_a_prefix_is_compared_with_the_records_there(study):
    study.joinpath("sub").mkdir()
    study.joinpath("results").rename(study / "sub/results")
    records.check_inputs(read_again(f"sub/{tree.CURVE}", folder="sub"), "sub")
    study.joinpath("sub", tree.CURVE).write_text("damaged\n")
    with pytest.raises(ValueError, match=f"^sub/{tree.CURVE} is not what its record says"):
        records.check_inputs(read_again(f"sub/{tree.CURVE}", folder="sub"), "sub")


def test_an_input_that_the_user_has_given_passes_and_the_record_of_its_reader_says_so(study):
    study.joinpath(tree.CURVE).write_text("by hand\n")
    given = [tree.CURVE, tree.PNG]
    description = read_again(tree.CURVE, tree.BIASES, given=given)
    assert description["spec"]["given"] == [tree.CURVE]
    records.check_inputs(description)
    parts = {name: description[name] for name in ("rule", "wildcards", "spec", "inputs")}
    assert description["job"] == records.digest_job(**parts)
    assert "given" not in read_again(tree.BIASES, given=given)["spec"]


def test_of_two_records_that_name_a_file_either_may_be_the_one_that_made_it(study):
    path = study / "results/s/lineage/TOP-50/0/train_spon.json"
    left = study / "results/s/lineage/learn_biases.json"
    left.write_text(path.read_text().replace(records.digest_file(study / tree.CURVE), "0" * 64))
    records.check_inputs(read_again(tree.CURVE))


def test_paths_outside_the_working_directory_keep_their_name(study, monkeypatch):
    monkeypatch.chdir(study / "results")
    outside = study / tree.WEIGHTS
    assert list(records.digest_files([outside])) == [outside.as_posix()]


def test_what_stands_above_and_below_is_named_once(study):
    found = records.read_records(study)
    above = found.upstream(found.makers[tree.PNG])
    assert [record.rule for record in above] == ["plot_figure", "train_spon", "fetch_model"]
    below = found.downstream([tree.MODEL])
    assert sorted(below) == sorted(set(tree.ALL) - {tree.MODEL})
    assert found.downstream([tree.PNG]) == []


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ('"epochs": 10', '"epochs": 11', "job digest does not fit"),
        ('"seed": "0"', '"seed": "1"', "job digest does not fit"),
        ('"digest": "e', '"digest": "f', "modules do not fit"),
        ('"rule"', '"ruIe"', "keys are not"),
        ('"outputs": {', '"outputs": [', "delimiter"),
    ],
)
def test_a_record_that_was_changed_by_hand_is_none(study, old, new, reason):
    path = study / "results/s/lineage/TOP-50/0/train_spon.json"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    found = records.read_records(study)
    assert reason in found.broken[path.relative_to(study).as_posix()]
    assert tree.BIASES not in found.makers


def test_the_record_that_a_renamed_rule_has_left_goes_when_the_new_one_makes_its_outputs(study):
    path = study / "results/s/lineage/TOP-50/0/train_spon.json"
    left = path.with_name("learn_biases.json")
    left.write_bytes(path.read_bytes())
    beside = path.with_name("evaluate.json")
    beside.write_text(path.read_text().replace("results/s/TOP-50/seed0", "results/s/elsewhere"))
    tree.make_study()
    assert path.exists()
    assert not left.exists()
    assert beside.exists()


def test_a_record_from_before_says_which_modules_it_ran_and_not_what_they_import(study):
    path = study / "results/s/lineage/TOP-50/0/train_spon.json"
    values = json.loads(path.read_text())
    code = {name: module["digest"] for name, module in values["code"].items()}
    values["code"] = code
    values["spec"]["code"] = digest.digest_json(code)
    parts = {name: values[name] for name in ("rule", "wildcards", "spec", "inputs")}
    values["job"] = records.digest_job(**parts)
    path.write_text(json.dumps(values))
    record = records.read_records(study).makers[tree.BIASES]
    assert record.code["train"] == {"digest": code["train"], "imports": []}


def test_records_of_a_commit_are_those_of_its_working_tree(study):
    tree.git("init", "-q")
    tree.commit("v1")
    there = records.read_records(study)
    tree.make_study(epochs=20)
    then = records.read_commit(study, "v1")
    assert then.by_file == there.by_file
    assert then.by_file != records.read_records(study).by_file
    with pytest.raises(ValueError, match="is no commit of this clone"):
        records.read_commit(study, "v9")


def test_records_below_a_folder_of_the_repository_are_found_in_commits_too(tmp_path, monkeypatch):
    tmp_path.joinpath("study").mkdir()
    monkeypatch.chdir(tmp_path)
    tree.git("init", "-q")
    monkeypatch.chdir(tmp_path / "study")
    tree.make_study()
    tree.commit("v1")
    assert set(records.read_commit(Path.cwd(), "HEAD").by_file) == set(
        records.read_records(Path.cwd()).by_file
    )


def test_a_commit_without_records_has_none(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tree.git("init", "-q")
    tree.git("commit", "-qm", "empty", "--allow-empty")
    assert records.read_commit(tmp_path, "HEAD").by_file == {}


def test_the_environment_is_plain_data_and_names_the_lock():
    told = records.describe_environment("cpu", 2)
    assert json.loads(json.dumps(told)) == told
    assert list(told) == ["python", "processor", "lock", "torch", "cuda", "device", "threads"]
    assert len(told["lock"]) == 16


def test_a_processor_is_called_as_linux_calls_it_or_else_as_python_does(tmp_path, monkeypatch):
    cpuinfo = "processor\t: 0\nmodel name\t: Some CPU @ 2 GHz\nflags\t\t: fpu\n"
    (tmp_path / "cpuinfo").write_text(2 * cpuinfo)
    monkeypatch.setattr(records, "CPUS", tmp_path / "cpuinfo")
    assert records.name_processor() == "Some CPU @ 2 GHz"
    monkeypatch.setattr(records, "CPUS", tmp_path / "no file")
    monkeypatch.setattr("platform.processor", lambda: "arm")
    assert records.name_processor() == "arm"
