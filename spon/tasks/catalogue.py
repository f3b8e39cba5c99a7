"""Refuse tasks and metrics that lm-eval does not know, before any work."""

import difflib
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import metadata
from pathlib import Path

HARNESS = "lm_eval"


def read_version() -> str:
    """Return the version of lm-eval.

    Raises:
        ValueError: It is not installed.
    """
    try:
        return metadata.version(HARNESS)
    except metadata.PackageNotFoundError as error:
        raise ValueError(
            "tasks need lm-eval, which is not installed: pip install -r requirements-tasks.txt, "
            "or leave tasks.local and tasks.hub empty"
        ) from error


@cache
def list_known() -> frozenset[str]:
    """List the names of all tasks, groups and tags of lm-eval."""
    # Imported here, since reading its ten thousand files takes ten seconds.
    from lm_eval.tasks import TaskManager

    return frozenset(TaskManager().task_index)


def require_known(names: Sequence[str]) -> None:
    """Refuse a name that is no task, group or tag of lm-eval; it is asked for none of ours.

    Raises:
        ValueError: There is one, or lm-eval is not installed.
    """
    read_version()
    if not names:
        return
    known = list_known()
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean '{near[0]}'? " if near else ""
            raise ValueError(
                f"tasks.hub names '{name}', which lm-eval {read_version()} does not know: {hint}"
                f"`lm-eval ls tasks` lists what is allowed"
            )


def require_metrics(name: str | Path, task: Mapping) -> None:
    """Refuse a local task for a metric or aggregation that lm-eval would fetch, or not find.

    Args:
        name: What the sentence calls the task: its name, or its file.
        task: Its config.

    Raises:
        ValueError: It has one, or lm-eval is not installed.
    """
    version = read_version()
    import lm_eval.api.metrics  # fills the registry
    import lm_eval.api.registry

    registry = lm_eval.api.registry
    known = {"metric": registry.metric_registry, "aggregation": registry.AGGREGATION_REGISTRY}
    for metric in task.get("metric_list", []):
        for key in known.keys() & metric.keys():
            if metric[key] not in known[key]:
                raise ValueError(
                    f"'{name}' has the {key} '{metric[key]}' in metric_list, which lm-eval "
                    f"{version} does not have: allowed are {', '.join(sorted(known[key]))}"
                )
