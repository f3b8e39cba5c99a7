"""The form of what is said beside biases that were handed on; nothing else is trusted.

Such a file may come from anywhere, and names files that are opened and packages that are fetched.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jsonschema

from spon.memory import SIZES
from spon.methods.names import BY_RANK, SPARSIFIERS

MOST = 160  # characters of the reason that the library gives
# Changes with what is written; a reader knows its own number alone.
FORMAT = 1
DIGEST = {"type": "string", "pattern": r"^[0-9a-f]{64}\Z"}
# A file beside others, of no folder.
FILE = {"type": "string", "pattern": r"^[A-Za-z0-9][A-Za-z0-9._-]*\Z"}
SITE = r"^model\.layers\.\d{1,5}\.[A-Za-z0-9_.]+\Z"
SOURCE = {
    "type": "object",
    "properties": {
        "path": {"type": "string"},
        "gguf": {"type": "string"},
        "repository": {"type": "string", "pattern": r"^[\w.-]+/[\w.-]+\Z"},
        "revision": {"type": "string", "pattern": r"^[0-9a-f]{40}\Z"},
        "package": {
            "type": "string",
            "pattern": r"^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?==[A-Za-z0-9.!+_-]+\Z",
        },
        "file": {"type": "string", "pattern": r"^[A-Za-z0-9_][A-Za-z0-9_./-]*\Z"},
        "sha256": DIGEST,
    },
    "additionalProperties": False,
    "oneOf": [
        {"required": ["path"]},
        {"required": ["gguf"]},
        {"required": ["repository", "revision"]},
        {"required": ["package", "file", "sha256"]},
    ],
}
MODEL = {
    "type": "object",
    "properties": {
        "source": SOURCE,
        "files": {"type": "object", "propertyNames": FILE, "additionalProperties": DIGEST},
        "shape": {"type": "object"},
    },
    "dependentRequired": {"source": ["files", "shape"]},
}
SCHEMA = {
    "type": "object",
    "properties": {
        "format": {"const": FORMAT},
        "allocation": {"type": "string"},
        "sparsity": {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
        "method": {"enum": [*SPARSIFIERS]},
        "dense_share": {"type": "number", "minimum": 0, "exclusiveMaximum": 1},
        "dtype": {"enum": [*SIZES]},
        "thresholds": {
            "type": "object",
            "minProperties": 1,
            "propertyNames": {"pattern": SITE},
        },
        "centres_sha256": DIGEST,
        "model": MODEL,
        "measured": {"type": "object"},
        "lineage": {"type": "object"},
        "samples": {
            "type": "object",
            "additionalProperties": {"type": "array", "items": {"type": "number"}},
        },
    },
    "required": ["format", "allocation", "sparsity", "method", "dense_share", "dtype"],
    "if": {"properties": {"method": {"const": BY_RANK}}},
    "then": {"properties": {"thresholds": {"additionalProperties": {"type": "null"}}}},
    "else": {
        "properties": {"thresholds": {"additionalProperties": {"type": "number", "minimum": 0}}}
    },
}


def check_description(description: Mapping[str, Any], file: Path) -> None:
    """Refuse what is said in a file of biases if it is not of the form that is written here.

    Raises:
        ValueError: It is not; it names the file, the key, and what is wrong.
    """
    if description.get("format") != FORMAT:
        raise ValueError(
            f"'{file}' is of format {description.get('format')}, allowed is {FORMAT}: it was "
            f"written by another version of spon"
        )
    validator = jsonschema.Draft202012Validator(SCHEMA)
    error = jsonschema.exceptions.best_match(validator.iter_errors(description))
    if error is not None:
        key = error.json_path.removeprefix("$.")
        wrong = f"{key}: {error.message[:MOST]}"
        raise ValueError(f"'{file}' is damaged, or was not written by spon: {wrong}")
