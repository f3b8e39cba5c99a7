"""Read files that jobs have written, and name the file in whatever is wrong with it."""

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

MOST = 160  # characters of the reason that a library gives
# Divergences are zero or more; by rounding they may be this far below, in nats per prediction,
# where they are written and where they are read.
ROUNDING = 1e-3


class FileError(ValueError):
    """A file that does not hold what it should, in one sentence that names it."""

    def __init__(self, path: str | Path, reason: str):
        super().__init__(
            f"{path} {reason}: mend it if the config names it under given, else delete it, and "
            f"Snakemake makes it again"
        )


@contextmanager
def reading(path: str | Path) -> Iterator[None]:
    """Name the file where its format cannot be read.

    Raises:
        FileError: It cannot be read, whatever the library of the format raises.
    """
    try:
        yield
    except (FileNotFoundError, MemoryError):
        raise
    except Exception as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise FileError(path, f"cannot be read ({reason[:MOST]})") from error


def read_json(path: str | Path, *keys: str) -> Any:
    """Read a JSON object, or what it has under nested keys.

    Raises:
        FileError: It cannot be read, or has no such key.
    """
    with reading(path):
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    for key in keys:
        if not isinstance(content, dict) or key not in content:
            raise FileError(path, f"lacks the key '{key}'")
        content = content[key]
    return content


def read_table(
    path: str | Path, columns: Iterable[str] = (), is_filled: bool = True
) -> pd.DataFrame:
    """Read a table from CSV or parquet.

    Args:
        path: Its suffix says which.
        columns: Those that it has to have, maybe among others.
        is_filled: Whether it has to have a row.

    Raises:
        FileError: It cannot be read or ends within a line, or has no such column or no row.
    """
    is_parquet = Path(path).suffix == ".parquet"
    with reading(path):
        table = pd.read_parquet(path) if is_parquet else pd.read_csv(path)
    if not is_parquet and not Path(path).read_bytes().endswith(b"\n"):
        raise FileError(path, "ends within a line, as a file that was cut off does")
    lacking = [name for name in columns if name not in table]
    if lacking:
        raise FileError(path, f"lacks the column {lacking[0]}")
    if is_filled and table.empty:
        raise FileError(path, "has no rows")
    return table


def check_rows(table: pd.DataFrame, path: str | Path, keys: Iterable[str]) -> None:
    """Refuse a table with two rows of the same keys."""
    named = table[list(keys)]
    double = named[named.duplicated()]
    if len(double):
        raise FileError(path, f"has two rows of {describe(double.iloc[0].to_dict())}")


def check_numbers(
    table: pd.DataFrame,
    path: str | Path,
    columns: Iterable[str],
    least: float | int = -np.inf,
    most: float | int = np.inf,
) -> None:
    """Refuse columns with anything but finite numbers from `least` to `most`."""
    for name in columns:
        numbers = pd.to_numeric(table[name], errors="coerce").to_numpy(float, na_value=np.nan)
        wrong = ~(np.isfinite(numbers) & (numbers >= least) & (numbers <= most))
        if wrong.any():
            row = int(wrong.argmax())
            raise FileError(
                path,
                f"has {table[name].iloc[row]} as {name} in row {row + 1}, allowed is a finite "
                f"number from {least} to {most}",
            )


def check_names(table: pd.DataFrame, path: str | Path, names: Mapping[str, object]) -> None:
    """Refuse a table of another run: each of its columns that is in `names` has that value."""
    for name in [name for name in names if name in table]:
        others = [value for value in table[name].unique() if not is_same(value, names[name])]
        if others:
            raise FileError(path, f"is of {name} {others[0]}, and not of {name} {names[name]}")


def is_same(value: object, expected: object) -> bool:
    """Whether two names are the same, as text or as numbers; missing ones are.

    >>> is_same("0.50", 0.5), is_same("TOP-50", "TOP-75"), is_same(float("nan"), None)
    (True, False, True)
    """
    value, expected = ("" if pd.isna(name) else str(name) for name in (value, expected))
    try:
        return float(value) == float(expected)
    except ValueError:
        return value == expected


def describe(names: Mapping[str, object]) -> str:
    """Names in words.

    >>> describe({"allocation": "TOP-50", "seed": 0})
    'allocation TOP-50, seed 0'
    """
    return ", ".join(f"{name} {value}" for name, value in names.items())
