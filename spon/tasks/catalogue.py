"""Refuse tasks that lm-eval does not know, before any work."""

import difflib
from collections.abc import Sequence
from functools import cache
from importlib import metadata

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
