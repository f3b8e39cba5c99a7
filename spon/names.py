"""Refuse names of studies, scopes and allocations that are no good name of a folder.

A study has a folder in `results`, `figures` and others; its scopes and allocations have folders in
these, beside what every study has.
"""

import re
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

# What stands in a study's folders, by name or by how it ends.
FOLDERS = ("analyses", "dense", "lineage", "tables", "text", "tokens")
ENDINGS = (".csv", ".html", ".json", ".log", ".md", ".parquet", ".pdf", ".png")
ENDINGS += (".safetensors", ".tsv")
# File systems allow 255 bytes for a part of a path; tables and figures print names in full.
LONGEST = 64
NAME = re.compile(rf"[A-Za-z0-9_][A-Za-z0-9._-]{{0,{LONGEST - 1}}}")
FORM = f"1 to {LONGEST} letters, digits, '.', '_' and '-', the first no '.' or '-'"


def check_name(name: object) -> None:
    """Refuse what is no name of a folder, or that of a folder or file of every study.

    Raises:
        ValueError: It is; the sentence has the name and what is allowed.
    """
    if not isinstance(name, str) or not NAME.fullmatch(name):
        shown = repr(name) if len(repr(name)) <= LONGEST else repr(name)[:LONGEST] + "…"
        raise ValueError(f"has the name {shown}: allowed are {FORM}")
    folded = name.casefold()
    if folded in FOLDERS:
        raise ValueError(
            f"has the name '{name}', which is a folder of every study: allowed are others than "
            f"{', '.join(FOLDERS)}"
        )
    if folded.endswith(ENDINGS):
        raise ValueError(
            f"has the name '{name}', which ends as a file does: allowed are names that end "
            f"otherwise than {', '.join(ENDINGS)}"
        )


def find_alike(names: Iterable[str]) -> list[str]:
    """Return the first names that are one and the same where a file system ignores case.

    Returns:
        Two or more of `names`; none if all are told apart.
    """
    alike = defaultdict(list)
    for name in dict.fromkeys(names):
        alike[name.casefold()].append(name)
    return next((found for found in alike.values() if len(found) > 1), [])


def find_inside(folder: str | Path, name: str) -> Path:
    """Return the path of `name` in `folder`, where it may be removed.

    Raises:
        ValueError: The name is no name of a folder, so the path could lie elsewhere.
    """
    try:
        check_name(name)
    except ValueError as error:
        raise ValueError(f"nothing is removed in '{folder}': it {error}") from error
    return Path(folder, name)
