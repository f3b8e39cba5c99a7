"""What is read is what is recorded: the files that jobs open against their records."""

import json

import opened_files
import pytest
from small_workflow import Study

from spon.lineage.records import record_path

pytestmark = [
    pytest.mark.workflow,
    pytest.mark.long,
    pytest.mark.skipif(opened_files.STRACE is None, reason="strace is not here"),
]
LINES = [f"A line of text, number {number}, of which there are many." for number in range(400)]


def list_recorded(study, log):
    """The files that the record of a job names, and those that a `model.json` among them names.

    The model is the files that its description has the digests of, which every job compares. What
    a job has written itself it may read again, as its record hashes it.
    """
    record = json.loads((study.folder / record_path(log)).read_text())
    paths = {*record["inputs"], *record["outputs"]}
    for path in [path for path in record["inputs"] if path.endswith("/model.json")]:
        model = json.loads((study.folder / path).read_text())
        paths |= {f"{model['source']['path']}/{name}" for name in model["files"]}
    return {(study.folder / path).resolve() for path in paths}


def compare(study):
    """The files that jobs read beside those of their records, and how many they read in all."""
    surplus, count = {}, 0
    for log, files in opened_files.read_trace(study.trace, study.folder).items():
        recorded = list_recorded(study, log)
        count += len(files)
        if unrecorded := files - recorded:
            surplus[log] = sorted(map(str, unrecorded))
    return surplus, count


def test_no_job_of_a_study_reads_a_file_that_its_record_does_not_name(tiny):
    logs = opened_files.read_trace(tiny.trace, tiny.folder)
    rules = {log.rsplit("/")[-1].removesuffix(".log") for log in logs}
    assert rules >= {"fetch_model", "train_spon", "evaluate_teal", "tabulate", "write_findings"}
    surplus, count = compare(tiny)
    assert count > 200  # so that something was seen
    assert surplus == {}


def test_local_text_and_a_tokenizer_of_several_files_are_recorded_too(tmp_path):
    study = Study(tmp_path)
    model = tmp_path / "resources/models/tiny"
    (model / "special_tokens_map.json").write_text('{"eos_token": "<|endoftext|>"}')
    (model / "chat_template.jinja").write_text("{{ messages }}")
    corpus = tmp_path / "corpus/a"
    corpus.mkdir(parents=True)
    (corpus / "one.txt").write_text("\n".join(LINES[:200]))
    (tmp_path / "elsewhere.txt").write_text("\n".join(LINES[200:]))
    (corpus / "two.txt").symlink_to(tmp_path / "elsewhere.txt")
    text = {"path": "text", "split": "train", "field": "text", "blocks": 64, "order": "even"}
    evaluation = text | {"data_files": "corpus/**/*.txt"}
    overlays = study.overlay(studies={"tiny": {"text": {"evaluation": evaluation}}})
    study.is_traced = True
    study.run("results/tiny/tokens/evaluation.safetensors", overlays=overlays)
    surplus, _ = compare(study)
    assert surplus == {}
    files = opened_files.read_trace(study.trace, study.folder)
    read = {file.name for file in files["logs/tiny/tokens/evaluation/tokenize_text.log"]}
    assert read >= {"one.txt", "elsewhere.txt", "tokenizer.json", "special_tokens_map.json"}
