"""Which files of a model's folder are read, and reading them: nothing else of it is."""

import hashlib
import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

WEIGHTS, INDEX, CONFIG = "model.safetensors", "model.safetensors.index.json", "config.json"
# What a tokenizer or a config is read from. How the model was trained changes nothing of it.
SMALL = ["*.json", "*.model", "*.txt", "*.jinja", "*.tiktoken"]
RECORD = "record.json"


def list_files(folder: Path) -> list[str]:
    """Return the names of the files that a model and its tokenizer are read from, sorted."""
    small = {path.name for pattern in SMALL for path in folder.glob(pattern) if path.is_file()}
    return sorted(small - {RECORD} | set(name_weights(folder)))


def name_weights(folder: Path) -> list[str]:
    """Return the names of the files that hold a model's weights: those that its index names.

    Raises:
        ValueError: An index names other files beside a `model.safetensors`, or cannot be read.
    """
    if not (folder / INDEX).exists():
        return [WEIGHTS]
    weight_map = read_json(folder / INDEX).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise ValueError(f"'{folder / INDEX}' is no index: it lacks a weight_map")
    named = sorted(set(map(str, weight_map.values())))
    elsewhere = [name for name in named if Path(name).name != name]
    if elsewhere:
        raise ValueError(
            f"'{folder / INDEX}' names '{elsewhere[0]}': allowed are files beside the index"
        )
    if named != [WEIGHTS] and (folder / WEIGHTS).exists():
        raise ValueError(
            f"the model in '{folder}' has {WEIGHTS}, and {INDEX}, which names others: delete the "
            f"one that is not meant"
        )
    return named


@contextmanager
def gathered(folder: Path, names: Iterable[str]) -> Iterator[Path]:
    """Yield a folder that holds links to these files alone, so that a reader finds no other."""
    with TemporaryDirectory(prefix="spon-") as links:
        for name in names:
            Path(links, name).symlink_to((folder / name).resolve())
        yield Path(links)


@contextmanager
def explained(what: str, name: str | Path) -> Iterator[None]:
    """Turn whatever transformers raises about a model or tokenizer into one sentence.

    Raises:
        ValueError: transformers raised something.
    """
    try:
        yield
    except Exception as error:
        cause = f"{type(error).__name__}: {' '.join(str(error).split())}"
        reason = f"transformers {version('transformers')} cannot read it ({cause[:200]})"
        if "trust_remote_code" in cause:
            reason = "it needs Python code of its own, which is never run"
        elif "does not recognize this architecture" in cause:
            reason = f"transformers {version('transformers')} does not know its model_type"
        raise ValueError(f"the {what} in '{name}' is not supported: {reason}") from error


def digest_file(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_json(path: Path) -> dict:
    """Read a JSON file of a model.

    Raises:
        ValueError: There is none, or it is no JSON.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ValueError(f"the model in '{path.parent}' has no {path.name}") from error
    except (ValueError, RecursionError) as error:
        raise ValueError(f"'{path}' is no JSON: {error}") from error
    if not isinstance(content, dict):
        raise ValueError(f"'{path}' holds no JSON object")
    return content
