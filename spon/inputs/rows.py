"""Read one field of the rows of a file: of plain text, JSON, CSV, parquet or Arrow."""

import bz2
import csv
import gzip
import json
import lzma
import re
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from io import TextIOWrapper
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow

COMPRESSIONS = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
SUFFIXES = {
    ".txt": "text",
    ".json": "json",
    ".jsonl": "json",
    ".ndjson": "json",
    ".csv": "csv",
    ".tsv": "csv",
    ".parquet": "parquet",
    ".arrow": "arrow",
}
# First bytes of files that are no UTF-8 text: what they are, and what to do.
SIGNATURES = {
    b"\xff\xfe\0\0": "is UTF-32: save it as UTF-8",
    b"\xff\xfe": "is UTF-16: save it as UTF-8",
    b"\xfe\xff": "is UTF-16: save it as UTF-8",
    b"\x1f\x8b": "is compressed: give it the suffix .gz",
    b"BZh": "is compressed: give it the suffix .bz2",
    b"\xfd7zXZ": "is compressed: give it the suffix .xz",
    b"PK\x03\x04": "is a zip file: unpack it",
    b"(\xb5/\xfd": "is compressed by zstandard: unpack it",
    b"PAR1": "is a parquet file: say path: parquet",
    b"ARROW1": "is an Arrow file: say path: arrow",
}
SPACE = re.compile(r"\s*")
BROKEN = (OSError, EOFError, zlib.error, lzma.LZMAError)


@dataclass(frozen=True)
class Lacking:
    """Stands for the value of a row that does not have the field, and names the row's fields."""

    fields: tuple[str, ...]


def name_format(file: str) -> str | None:
    """The format that a file's suffix names, if any; the suffix of a compression apart."""
    path = Path(file)
    return SUFFIXES.get((path.with_suffix("") if path.suffix in COMPRESSIONS else path).suffix)


def read_rows(file: str, form: str, field: str) -> Iterator[object]:
    """Read the field of each row, in order, and no more of the file than the rows asked for need.

    Args:
        form: A key of `READERS`. Only that of JSON gives other values than text, None and Lacking.

    Raises:
        ValueError: The file is broken or no UTF-8, or has no such field.
    """
    try:
        yield from READERS[form](file, field)
    except UnicodeDecodeError as error:
        raise ValueError(explain_encoding(file)) from error
    except BROKEN as error:
        raise ValueError(f"{file} cannot be read to its end, it is broken: {error}") from error


def read_text(file: str, field: str) -> Iterator[str]:
    """Lines without their ends, which are those of any system."""
    find_column(file, ["text"], field)
    with open_text(file) as stream:
        for line in read_lines(file, stream):
            yield line.removesuffix("\n")


def read_json(file: str, field: str) -> Iterator[object]:
    """The field of objects: one per line, blank lines skipped, or an array of them."""
    row = 0
    with open_text(file) as stream:
        try:
            for row, content in enumerate(parse_json(stream), 1):
                if not isinstance(content, dict):
                    raise ValueError(
                        f"{file}, row {row}: is no object, as {{'{field}': …}} is one"
                    )
                yield content.get(field) if field in content else Lacking(tuple(content))
        except (json.JSONDecodeError, TooLarge, RecursionError) as error:
            reason = getattr(error, "msg", None) or "a number too large, or lists too deep"
            raise ValueError(
                f"{file}, row {row + 1}: is no JSON ({reason}): "
                f"allowed are one object per line, or one array of objects"
            ) from error


def parse_json(lines: Iterable[str]) -> Iterator[object]:
    """The values of JSON lines, or the items of the one array that they are."""
    filled = (line for line in lines if line.strip())
    first = next(filled, "")
    if first.lstrip().startswith("["):
        yield from parse_array((first + "".join(filled)).strip())
    else:
        yield from map(parse_value, chain([first] if first else [], filled))


class TooLarge(ValueError):
    """A number of more digits than Python reads."""


def parse_value(text: str) -> object:
    """The value of a JSON text.

    Raises:
        json.JSONDecodeError: It is none.
        TooLarge: It has a number of thousands of digits.
    """
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        raise
    except ValueError as error:
        raise TooLarge from error


def parse_array(text: str) -> Iterator[object]:
    """The items of a JSON array, one by one."""
    decode, place = json.JSONDecoder().raw_decode, SPACE.match(text, 1).end()
    if text[place:] == "]":
        return
    while True:
        item, place = decode(text, place)
        yield item
        place = SPACE.match(text, place).end()
        if text[place : place + 1] != ",":
            break
        place = SPACE.match(text, place + 1).end()
    if text[place:] != "]":
        raise json.JSONDecodeError("Expecting ',' or ']' as the end", text, place)


def read_csv(file: str, field: str) -> Iterator[str]:
    """A column under a header; every value is text, whatever it looks like."""
    csv.field_size_limit(2**31 - 1)  # a document may be longer than the 128 KiB of the default
    row = 0
    with open_text(file, newline="") as stream:
        separator = "\t" if ".tsv" in Path(file).suffixes else ","
        records = csv.reader(read_lines(file, stream), delimiter=separator, strict=True)
        try:
            header = next(records, [])
            column = find_column(file, header, field)
            for row, record in enumerate(filter(None, records), 1):
                if len(record) != len(header):
                    raise ValueError(
                        f"{file}, row {row}: has {len(record)} values: "
                        f"allowed are {len(header)}, as the header has"
                    )
                yield record[column]
        except csv.Error as error:
            raise ValueError(f"{file}, row {row + 1}: is no CSV ({error})") from error


def read_table(file: str, field: str) -> Iterator[str | None]:
    """A column of a parquet file, of an Arrow file or of an Arrow stream."""
    import pyarrow  # here, since plain text needs none of it

    row = 0
    try:
        values = (value for batch in read_batches(file, field) for value in batch.column(field))
        for row, value in enumerate(values, 1):  # noqa: B007 (a message names it)
            yield value.as_py()
    except UnicodeDecodeError as error:
        raise ValueError(f"{file}, row {row}: is not UTF-8") from error
    except pyarrow.ArrowException as error:
        raise ValueError(f"{file} cannot be read to its end, it is broken: {error}") from error


def read_batches(file: str, field: str) -> Iterator["pyarrow.RecordBatch"]:
    """Tables of a few rows each, which have the field as text."""
    from pyarrow import OSFile, ipc, parquet

    with OSFile(file) as stream:
        start = stream.read(6)
        stream.seek(0)
        if start[:4] == b"PAR1":
            table = parquet.ParquetFile(stream)
            check_column(file, table.schema_arrow, field)
            yield from table.iter_batches(1024, columns=[field])
            return
        table = ipc.open_file(stream) if start == b"ARROW1" else ipc.open_stream(stream)
        check_column(file, table.schema, field)
        numbers = range(getattr(table, "num_record_batches", 0))
        yield from map(table.get_batch, numbers) if start == b"ARROW1" else table


def check_column(file: str, schema: "pyarrow.Schema", field: str) -> None:
    """Refuse a table whose field is not there or holds no text."""
    from pyarrow import types

    type_ = schema.field(find_column(file, schema.names, field)).type
    values = type_.value_type if types.is_dictionary(type_) else type_
    allowed = (types.is_string, types.is_large_string, types.is_string_view, types.is_null)
    if not any(is_allowed(values) for is_allowed in allowed):
        raise ValueError(f"{file}: the field '{field}' is of type {type_}: allowed is text")


def find_column(file: str, names: Sequence[str], field: str) -> int:
    """The place of a field among a file's fields, which must be there once."""
    if list(names).count(field) != 1:
        found = "twice" if field in names else "not"
        allowed = ", ".join(names) or "none, the file is empty"
        raise ValueError(f"{file}: the field '{field}' is {found} there: allowed are {allowed}")
    return list(names).index(field)


def open_text(file: str, newline: str | None = None) -> TextIOWrapper:
    """Open a text file, compressed or not; a byte order mark is no part of the text."""
    stream = COMPRESSIONS.get(Path(file).suffix, open)(file, "rb")
    return TextIOWrapper(stream, encoding="utf-8-sig", newline=newline)


def read_lines(file: str, stream: Iterable[str]) -> Iterator[str]:
    """Lines, none of which may hold a NUL."""
    for number, line in enumerate(stream, 1):
        if "\0" in line:
            raise ValueError(
                f"{file}, row {number}: holds a NUL character, as UTF-16 and binary files do: "
                f"allowed is UTF-8"
            )
        yield line


def explain_encoding(file: str) -> str:
    """Say where a file is not UTF-8, and what it may be instead."""
    place = 0
    with COMPRESSIONS.get(Path(file).suffix, open)(file, "rb") as stream:
        start = stream.read(8)
        for signature, advice in SIGNATURES.items():
            if start.startswith(signature):
                return f"{file} {advice}"
        stream.seek(0)
        for row, line in enumerate(stream, 1):
            try:
                line.decode()
            except UnicodeDecodeError as error:
                byte = f"byte {place + error.start + 1} is 0x{line[error.start]:02x}"
                return f"{file}, row {row}: is not UTF-8 ({byte}): save it as UTF-8"
            place += len(line)
    raise AssertionError(f"{file} is UTF-8")


READERS = {
    "text": read_text,
    "json": read_json,
    "csv": read_csv,
    "parquet": read_table,
    "arrow": read_table,
}
