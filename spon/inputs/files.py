"""Find the local files and the rows that a text is read from."""

import hashlib
import logging
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from glob import glob
from pathlib import Path
from typing import TYPE_CHECKING

from spon.inputs.rows import READERS, name_format

if TYPE_CHECKING:
    import datasets

# Texts that are made of what is installed.
CORPORA = ("pydoc", "python_reference")
# What a folder may say of its data set; other options would change what is read.
KNOWN_OPTIONS = {"name", "version", "data_dir", "data_files", "description", "sep", "features"}


def find_files(text: Mapping) -> list[str]:
    """Find the local files that a text is read from, each once, in the order of reading.

    Files are read in the order in which they are named, those of a pattern or folder in the order
    of their paths. Paths are absolute or relative as the text says.

    Args:
        text: The text's settings.

    Returns:
        Nothing for `CORPORA`, a data set on the hub and URLs.

    Raises:
        ValueError: There is no such file, folder or split.
    """
    path, named = text["path"], text.get("data_files", [])
    patterns = [named] if isinstance(named, str) else named
    if path in CORPORA and patterns:
        raise ValueError(f"data_files names '{patterns[0]}', but path is '{path}': leave one out")
    if path in CORPORA:
        return []
    if "://" in path:
        raise ValueError(f"path is '{path}': {allow_paths()}")
    if path in READERS:
        return find_named(text, patterns)
    if Path(path).is_dir():
        return find_in_folder(text)
    if Path(path).exists() or path.count("/") > 1 or path.startswith((".", "~")):
        raise ValueError(f"path is '{path}', which is no folder: {allow_paths()}")
    if patterns and "/" not in path:  # datasets would read it with a format of its own, or pickles
        raise ValueError(f"path is '{path}': {allow_paths()}")
    if not re.fullmatch("[0-9a-f]{40}", text.get("revision", "")):
        raise ValueError(
            f"path is '{path}', a data set on the hub, and revision is "
            f"{text.get('revision', 'left out')}: allowed is a full commit, since branches move"
        )
    return []


def allow_paths() -> str:
    """Say what a text's path may be."""
    return (
        f"allowed are {', '.join(READERS)} with data_files, a folder, a data set on the hub, "
        f"{' or '.join(CORPORA)}"
    )


def find_named(text: Mapping, patterns: Sequence[str]) -> list[str]:
    """The files that `data_files` names, whose split is called `train`."""
    if not patterns:
        raise ValueError(f"data_files is not there: path '{text['path']}' needs files to read")
    remote = [pattern for pattern in patterns if "://" in pattern]
    if remote:
        if len(remote) < len(patterns):
            raise ValueError("data_files names URLs and local files: allowed is one of the two")
        return []
    slice_rows(text["split"], "train", 0)
    return drop_links([file for pattern in patterns for file in match_pattern(pattern)])


def drop_links(files: Iterable[str]) -> list[str]:
    """Files in their order, each once, though links lead to them too, and even in a circle."""
    first: dict[str, str] = {}
    for file in files:
        first.setdefault(os.path.realpath(file), file)
    return list(first.values())


def match_pattern(pattern: str) -> list[str]:
    """The file of this name, or else those that a pattern matches, sorted."""
    if Path(pattern).is_file():
        return [str(Path(pattern))]
    if Path(pattern).is_dir():
        raise ValueError(f"data_files names '{pattern}', a folder: name its files, as {pattern}/*")
    # Folders that are there are no part of the pattern, whatever characters their names have.
    folder = next(parent for parent in [*Path(pattern).parents, Path()] if parent.is_dir())
    rest = os.path.relpath(pattern, folder)
    # Unlike Path.glob, it follows links and leaves hidden files out.
    names = glob(rest, root_dir=folder, recursive=True)  # noqa: PTH207
    files = [str(folder / name) for name in names if (folder / name).is_file()]
    if not files:
        raise ValueError(f"data_files names '{pattern}', which is no file: name one that exists")
    return sorted(drop_links(sorted(files, key=lambda file: (file.count(os.sep), file))))


def find_in_folder(text: Mapping) -> list[str]:
    """The files of a folder's split, as `datasets` finds them; it runs nothing of the folder."""
    folder = Path(text["path"])
    refuse_saved(folder, text["split"])
    import datasets  # here, since it takes a second and hardly any text is a folder

    logging.getLogger("huggingface_hub.repocard").setLevel(logging.ERROR)
    arguments = {key: text[key] for key in ("name", "data_files") if key in text}
    try:
        # A relative path may be the name of a format, even of one that reads pickles.
        builder = datasets.load_dataset_builder(str(folder.absolute()), **arguments)
    except Exception as error:  # of a dozen kinds, none of them ours
        reason = " ".join(str(error).split())
        raise ValueError(f"path is '{folder}', which holds no data set: {reason}") from error
    refuse_options(folder, builder)
    splits = {str(split): files for split, files in (builder.config.data_files or {}).items()}
    split = name_split(text["split"])
    if split not in splits:
        raise ValueError(f"split is '{split}': allowed are {', '.join(splits)}")
    slice_rows(text["split"], split, 0)
    home = os.path.realpath(folder)
    files = sorted(str(folder / os.path.relpath(file, home)) for file in splits[split])
    for file in files:
        check_file_of_folder(file, builder.name)
    return files


def check_file_of_folder(file: str, form: str) -> None:
    """Refuse a file of a folder that is not here, or whose format its name does not say."""
    if name_format(file) != form or not Path(file).is_file():
        raise ValueError(
            f"path leads to '{file}', which cannot be read as {form}: "
            f"say one of {', '.join(READERS)} as path, and the files as data_files"
        )


def refuse_options(folder: Path, builder: "datasets.DatasetBuilder") -> None:
    """Refuse a folder whose README.md sets options of its format: they are not read here."""
    plain = vars(type(builder.config)())
    options = {
        name for name, value in vars(builder.config).items() if value != plain.get(name)
    } - KNOWN_OPTIONS
    if options:
        raise ValueError(
            f"path is '{folder}', whose README.md sets {', '.join(sorted(options))}: "
            f"allowed are folders without such options, or files named by data_files"
        )


def refuse_saved(folder: Path, split: str) -> None:
    """Refuse a folder that `datasets` has saved in its own layout, and say how it can be read."""
    parts = [folder] if (folder / "state.json").exists() else []
    if (folder / "dataset_dict.json").exists():
        parts = [folder / name_split(split)]
    for part in parts:
        raise ValueError(
            f"path is '{folder}', which was written by save_to_disk: say path: arrow, "
            f"data_files: {part}/data-*.arrow, split: train"
        )


def name_split(split: str) -> str:
    """The name of a split, without slices."""
    return re.match(r"[\w.]*", split)[0]


def slice_rows(split: str, name: str, rows: int) -> list[range]:
    """The rows that a split with slices takes, such as `train[:10%]+train[-5:]`.

    Args:
        name: The one split that there is.
        rows: How many rows it has.

    Raises:
        ValueError: Another split is named, or the slices cannot be understood.
    """
    if split == name:
        return [range(rows)]
    from datasets import ReadInstruction  # here, since it takes a second

    try:
        parts = ReadInstruction.from_spec(split).to_absolute({name: rows or 100})
    except ValueError as error:
        allowed = f"allowed are {name} and slices of it, as {name}[:10%]"
        reason = f" ({error})" if name_split(split) == name else ""
        raise ValueError(f"split is '{split}': {allowed}{reason}") from error
    return [range(part.from_, part.to) for part in parts]


def digest_files(files: Iterable[str]) -> str | None:
    """One SHA-256 of the contents of files in their order, whatever their dates; None of none."""
    digests = [digest_content(file, *identify(file)) for file in files]
    return hashlib.sha256("".join(digests).encode()).hexdigest() if digests else None


def identify(file: str) -> tuple[int, int, int]:
    """What changes when a file is written or replaced while this process runs."""
    status = Path(file).stat()
    return status.st_size, status.st_mtime_ns, status.st_ino


@cache
def digest_content(file: str, *identity: int) -> str:
    """SHA-256 of a file, which is read once as long as its identity is the same."""
    with Path(file).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
