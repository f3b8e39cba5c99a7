"""Read tasks that are files here: a YAML file of lm-eval, without code, and its documents.

A task of lm-eval may name functions of Python (`!function`), which would be run from the folder
that the file lies in. Here a task is data alone.
"""

import json
from collections.abc import Sequence
from pathlib import Path

import yaml

# The task that the workflow writes documents for.
SUMMARIES = "summaries"
KINDS = ("json", "csv", "parquet", "text", "arrow")
# What a task may say; whatever else lm-eval reads could run code, or fetch something.
KEYS = {
    *("task", "tag", "metadata", "num_fewshot", "repeats", "output_type", "generation_kwargs"),
    *("dataset_path", "dataset_kwargs", "training_split", "validation_split", "test_split"),
    *("fewshot_split", "description", "doc_to_text", "doc_to_choice", "doc_to_target"),
    *("target_delimiter", "fewshot_delimiter", "filter_list", "metric_list"),
}
OF_METRICS = {
    "metric": (str, "a name, which every metric needs"),
    "aggregation": (str, "a name, such as mean"),
    **dict.fromkeys(
        ("higher_is_better", "ignore_case", "ignore_punctuation"), (bool, "true or false")
    ),
}
SPLITS = ("training_split", "validation_split", "test_split", "fewshot_split")
# What these keys hold, and how a sentence says it.
FORMS = {
    "task": (str, "a name"),
    "dataset_kwargs": (dict, "a mapping with the key data_files"),
    "metric_list": (list, "a list such as [{metric: acc}]"),
    **dict.fromkeys(SPLITS, (str, "the name of a split in data_files")),
}


def read_task(path: str | Path, documents: str | Path | None = None) -> dict:
    """Read the config of a local task, its documents named by their paths from here.

    Args:
        path: Of the YAML file.
        documents: The JSON lines that the workflow has written, for the task that names none.

    Raises:
        ValueError: It is no YAML, has code or a key that may bring some, has a value of another
            form, or lacks its documents; in one sentence that names the file.
    """
    task = read_data(path)
    unknown = sorted(map(str, set(task) - KEYS))
    if unknown:
        raise ValueError(
            f"'{path}' has the key '{unknown[0]}': allowed in a local task are "
            f"{', '.join(sorted(KEYS))}"
        )
    if "task" not in task or task.get("dataset_path") not in KINDS:
        raise ValueError(
            f"'{path}' needs the keys task, its name, and dataset_path, one of {', '.join(KINDS)}"
        )
    check_forms(task, path)
    return task | {"dataset_kwargs": {"data_files": find_documents(task, path, documents)}}


def check_forms(task: dict, path: str | Path) -> None:
    """Refuse values of a task that are of another form than their keys have.

    Raises:
        ValueError: There is one.
    """
    for key, (form, said) in FORMS.items():
        if key in task and (not isinstance(task[key], form) or not task[key]):
            raise ValueError(f"'{path}' has {show(task[key])} as {key}: allowed is {said}")
    if not {"test_split", "validation_split"} & set(task):
        raise ValueError(f"'{path}' needs the key test_split, the name of a split in data_files")
    for metric in task.get("metric_list", []):
        if not isinstance(metric, dict) or set(metric) - set(OF_METRICS):
            raise ValueError(
                f"'{path}' has {show(metric)} in metric_list: allowed are the keys "
                f"{', '.join(sorted(OF_METRICS))}"
            )
        for key, value in {"metric": None, **metric}.items():
            form, said = OF_METRICS[key]
            if not isinstance(value, form):
                raise ValueError(
                    f"'{path}' has {show(metric)} in metric_list: allowed as {key} is {said}"
                )


def show(value: object) -> str:
    """Return a value as a config has it."""
    return json.dumps(value, default=str, skipkeys=True)


def read_data(path: str | Path) -> dict:
    """Read a YAML file of plain data.

    Raises:
        ValueError: It cannot be read, or has code.
    """
    try:
        task = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:  # no text, or a date that there is not
        raise ValueError(f"'{path}' cannot be read: {error}") from error
    except yaml.YAMLError as error:
        problem = str(getattr(error, "problem", ""))
        if problem.startswith("could not determine a constructor"):
            tag = problem.split("'")[1]
            raise ValueError(
                f"'{path}' has {tag}, which stands for code: a local task is "
                f"plain data, without functions of its own"
            ) from error
        raise ValueError(f"'{path}' is no YAML: {' '.join(str(error).split())}") from error
    if not isinstance(task, dict):
        raise ValueError(f"'{path}' holds no mapping of keys: a local task is one")
    return task


def find_documents(task: dict, path: str | Path, written: str | Path | None) -> dict[str, list]:
    """Return the files of each split: those that a task names, or those that were written for it.

    Raises:
        ValueError: It names none, or one that is no file.
    """
    described = task.get("dataset_kwargs", {})
    named = described.get("data_files")
    if named is None and task["task"] == SUMMARIES and written is not None:
        return {task["test_split"]: [str(written)]}
    if not isinstance(named, dict) or set(described) != {"data_files"}:
        raise ValueError(
            f"'{path}' needs the key dataset_kwargs with data_files alone, a mapping from splits "
            f"to files beside it"
        )
    found = {}
    for split, files in named.items():
        listed = files if isinstance(files, list) else [files]
        if not listed or not all(isinstance(name, str) for name in (split, *listed)):
            raise ValueError(
                f"'{path}' has {show({split: files})} in data_files: allowed is the name of a "
                f"split with that of a file, or a list of them"
            )
        found[split] = [str(Path(path).parent / file) for file in listed]
        for file in found[split]:
            if not Path(file).is_file():
                raise ValueError(f"'{path}' names '{file}' in data_files, which is no file")
    lost = [task[key] for key in SPLITS if key in task and task[key] not in found]
    if lost:
        raise ValueError(f"'{path}' names the split '{lost[0]}', of which data_files has none")
    return found


def list_task_files(paths: Sequence[str | Path]) -> list[str]:
    """List all files that some tasks are read from: their own, and those of their documents.

    Raises:
        ValueError: One is no file, is not as `read_task` has it, or has the name of another one.
    """
    files, names = [], [SUMMARIES]
    for path in paths:
        if not Path(path).is_file():
            raise ValueError(
                f"tasks.local names '{path}', which is no file: allowed are {SUMMARIES} and YAML "
                f"files of tasks"
            )
        task = read_task(path)
        if task["task"] in names:
            raise ValueError(f"'{path}' is the task '{task['task']}' as another one is: rename it")
        names.append(task["task"])
        documents = task["dataset_kwargs"]["data_files"].values()
        files += [str(path), *(file for listed in documents for file in listed)]
    return files
