from pathlib import Path

import pytest
import yaml

from spon.tasks import local

SHIPPED = Path(__file__).parents[2] / "resources/tasks/summaries.yaml"
TASK = {
    "task": "mine",
    "dataset_path": "json",
    "dataset_kwargs": {"data_files": {"test": "mine.jsonl"}},
    "test_split": "test",
    "metric_list": [{"metric": "acc"}],
}


def write(folder, changes=None, text=None):
    (folder / "mine.jsonl").write_text("{}\n")
    (folder / "mine.yaml").write_text(text or yaml.safe_dump(TASK | (changes or {})))
    return folder / "mine.yaml"


def test_the_shipped_task_reads_the_documents_that_were_written_for_it():
    task = local.read_task(SHIPPED, "results/pydoc/text/summaries.jsonl")
    assert task["task"] == local.SUMMARIES
    assert task["dataset_kwargs"] == {
        "data_files": {"test": ["results/pydoc/text/summaries.jsonl"]}
    }


def test_documents_lie_beside_the_file_of_their_task(tmp_path):
    path = write(tmp_path)
    files = local.read_task(path)["dataset_kwargs"]["data_files"]
    assert files == {"test": [str(tmp_path / "mine.jsonl")]}
    assert local.list_task_files([path]) == [str(path), str(tmp_path / "mine.jsonl")]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"include": "other.yaml"}, "has the key 'include': allowed in a local task are"),
        ({"process_docs": "utils.f"}, "has the key 'process_docs'"),
        ({"dataset_path": "owner/name"}, "dataset_path, one of json, csv"),
        ({"metric_list": [{"metric": "acc", "hf_evaluate": True}]}, "in metric_list: allowed are"),
        ({"dataset_kwargs": {"trust_remote_code": True}}, "with data_files alone"),
        (
            {"dataset_kwargs": {"data_files": {"test": "no.jsonl"}}},
            "no.jsonl' in data_files",
        ),
        ({"metric_list": None}, "has null as metric_list: allowed is a list"),
        ({"metric_list": {"metric": "acc"}}, "as metric_list: allowed is a list"),
        ({"metric_list": ["acc"]}, 'has "acc" in metric_list: allowed are the keys'),
        ({"metric_list": [{"aggregation": "mean"}]}, "allowed as metric is a name, which every"),
        ({"metric_list": [{"metric": 1}]}, "allowed as metric is a name, which every"),
        (
            {"metric_list": [{"metric": "acc", "higher_is_better": "up"}]},
            "allowed as higher_is_better is true or false",
        ),
        ({"dataset_kwargs": None}, "has null as dataset_kwargs: allowed is a mapping"),
        ({"dataset_kwargs": {"data_files": None}}, "with data_files alone"),
        ({"dataset_kwargs": {"data_files": {"test": 3}}}, 'has {"test": 3} in data_files'),
        ({"dataset_kwargs": {"data_files": {"test": None}}}, 'has {"test": null} in data_files'),
        ({"dataset_kwargs": {"data_files": {"test": []}}}, 'has {"test": []} in data_files'),
        (
            {"dataset_kwargs": {"data_files": {"test": ["mine.jsonl", 3]}}},
            "in data_files: allowed",
        ),
        ({"test_split": ["test"]}, 'has ["test"] as test_split: allowed is the name of a split'),
        ({"test_split": None}, "has null as test_split"),
        ({"task": 7}, "has 7 as task: allowed is a name"),
        ({1: "one", "two": 2}, "has the key '1': allowed in a local task are"),
        ({"fewshot_split": "dev"}, "names the split 'dev', of which data_files has none"),
        ({"test_split": "dev"}, "names the split 'dev', of which data_files has none"),
    ],
)
def test_what_could_bring_code_or_is_not_there_is_refused_in_one_sentence(
    tmp_path, changes, sentence
):
    with pytest.raises(ValueError, match="mine.yaml") as caught:
        local.read_task(write(tmp_path, changes))
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "task: mine\nprocess_docs: !function utils.run\n",
            "has !function, which stands",
        ),
        ("a: !!python/object/apply:os.system [ls]\n", "os.system, which stands for code"),
        ("task: [\n", "is no YAML"),
        ("doc_to_text: {{question}}\n", "is no YAML: while constructing a mapping"),
        ("metadata: 2026-13-01\n", "cannot be read: month must be in"),
        ("dataset_path: json\ntask: mine\n", "needs the key test_split"),
        ("- task\n", "holds no mapping of keys"),
    ],
)
def test_a_function_of_a_task_is_refused_and_never_imported(tmp_path, text, sentence):
    (tmp_path / "utils.py").write_text("raise SystemExit('was run')\n")
    with pytest.raises(ValueError, match="mine.yaml") as caught:
        local.read_task(write(tmp_path, text=text))
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def test_two_tasks_of_one_name_and_a_file_that_is_not_there_are_refused(tmp_path):
    with pytest.raises(ValueError, match="is the task 'mine' as another one is"):
        local.list_task_files([write(tmp_path), tmp_path / "mine.yaml"])
    with pytest.raises(ValueError, match="tasks.local names 'no.yaml', which is no file: allowed"):
        local.list_task_files(["no.yaml"])
