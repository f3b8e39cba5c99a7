"""What the screen says of a job that failed, or that could not write what it makes."""

import errno
import os
from collections.abc import Iterable
from pathlib import Path
from shutil import disk_usage

# What a user's mistake raises: the screen shows its one sentence. Any other error is a mistake of
# ours, and the screen names the log that has its traceback.
MISTAKES = (ValueError, OSError, ModuleNotFoundError)
# The libraries whose errors do not say which file they are about.
READERS = ("pyarrow", "safetensors")
# How they say that a disk is full: pyarrow, safetensors.
FULL = ("No space left", "StorageFull")


def explain(error: Exception, log: str, inputs: Iterable[str], outputs: Iterable[str]) -> str:
    """Return one sentence on why a job failed.

    Args:
        error: What ended it.
        log: The file that has the traceback.
        inputs: The files that the job read.
        outputs: The files that it should have written.
    """
    said = " ".join(str(error).split())
    if is_full(error):
        written = getattr(error, "filename", None) or find_fullest([log, *outputs])
        return f"no space is left on the disk of '{written}' ({said})"
    if type(error).__module__.split(".")[0] in READERS or is_nameless(error):
        damaged = find_unreadable(inputs)
        if damaged:
            return f"'{damaged}' cannot be read, it is damaged: {said}"
    if said and isinstance(error, MISTAKES):
        return said
    return f"{type(error).__name__}: {said} (traceback in {log})"


def check_writable(paths: Iterable[str]) -> None:
    """Refuse to begin what could not be written.

    Raises:
        ValueError: Of one of these files, the folder that is to hold it is a file or read-only.
    """
    for folder in sorted({find_place(Path(path).absolute()) for path in paths}):
        shown = os.path.relpath(folder)
        if folder.is_symlink() and not folder.exists():
            raise ValueError(f"'{shown}' is a link to nothing: a folder is to be made there")
        if not folder.is_dir():
            raise ValueError(f"'{shown}' is a file: a folder is to be made there")
        if not os.access(folder, os.W_OK):
            raise ValueError(f"'{shown}' is read-only: results are to be written there")


def find_place(path: Path) -> Path:
    """Return the innermost of the folders of a path that exists; it may be no folder."""
    return next(parent for parent in path.parents if os.path.lexists(parent))


def is_full(error: Exception) -> bool:
    """Whether an error is that of a full disk."""
    number = getattr(error, "errno", None)
    return number in (errno.ENOSPC, errno.EDQUOT) or any(word in str(error) for word in FULL)


def find_fullest(paths: Iterable[str]) -> str:
    """Return the one of some files on whose disk the least space is free; the last of equals."""
    free = {str(path): disk_usage(find_place(Path(path).absolute())).free for path in paths}
    return min(reversed(free), key=free.__getitem__)


def is_nameless(error: Exception) -> bool:
    """Whether an error is of a file that it does not name."""
    return isinstance(error, OSError) and not error.filename


def find_unreadable(paths: Iterable[str]) -> str | None:
    """Return the first of some files that is no parquet or safetensors file though named so."""
    for path in map(str, paths):
        try:
            open_file(path)
        except Exception:  # whatever it is, it is about this file
            return path
    return None


def open_file(path: str) -> None:
    """Read a parquet file, or the header of a safetensors file; nothing of others."""
    if path.endswith(".parquet"):
        from pyarrow import parquet

        parquet.read_table(path)
    elif path.endswith(".safetensors"):
        from safetensors import safe_open

        with safe_open(path, framework="np"):
            pass
