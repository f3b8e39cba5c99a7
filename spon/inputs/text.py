"""Check a text's files before any work, and read its documents."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from spon.inputs.files import CORPORA, find_files, name_split, slice_rows
from spon.inputs.rows import READERS, Lacking, name_format, read_rows

# How much of a text is read before any work.
FIRST_FILES, FIRST_ROWS = 4, 20
LEAVE_OUT = "leave_out"
KINDS = {bool: "a truth value", int: "a number", float: "a number"}
KINDS |= {list: "a list", dict: "an object"}


@dataclass(frozen=True)
class Documents:
    """What was read of a text.

    Attributes:
        texts: The documents, in the order of files and rows.
        rows: Number of rows in the split.
        left_out: Number of those that have no text.
        sha256: Of each document's length in bytes, a colon and its UTF-8, one after the other.
    """

    texts: list[str]
    rows: int
    left_out: int
    sha256: str

    def describe(self) -> dict[str, object]:
        """All but the texts."""
        return {"rows": self.rows, "left_out": self.left_out, "documents_sha256": self.sha256}


def look(text: Mapping) -> None:
    """Read the first rows of a text's first local files.

    Raises:
        ValueError: A file is not there or broken, or a row holds no text; in one sentence.
    """
    for file in find_files(text)[:FIRST_FILES]:
        rows = read_rows(file, choose_format(text, file), text["field"])
        values = list(islice(rows, FIRST_ROWS))
        # Slices may leave these rows out, so that it does not matter what they are.
        taken = [] if "[" in text["split"] else [range(len(values))]
        collect_documents({file: values}, taken, text)


def choose_format(text: Mapping, file: str) -> str:
    """The format of a text's file: what the text says, or else the file's suffix."""
    return text["path"] if text["path"] in READERS else name_format(file)


def read_documents(text: Mapping, files: Sequence[str]) -> Documents:
    """Read the documents of a text: rows of its files, in their order, or of a data set.

    Args:
        text: The text's settings.
        files: The files that `find_files` returns, or those of the corpus.

    Raises:
        ValueError: A file is broken, or a row holds no text.
    """
    field, split = text["field"], text["split"]
    if files:
        sources = {file: list(read_rows(file, choose_format(text, file), field)) for file in files}
    else:
        sources = {text["path"]: read_data_set(text)}
    rows = sum(map(len, sources.values()))
    # A corpus and a data set are a split already, cut to its slices.
    is_split = text["path"] in CORPORA or not files
    slices = [range(rows)] if is_split else slice_rows(split, name_split(split), rows)
    documents = collect_documents(sources, slices, text)
    if not documents.texts:
        raise ValueError(
            f"no text is there: none of {documents.rows} rows of split '{split}' "
            f"has any in field '{field}'"
        )
    return documents


def read_data_set(text: Mapping) -> list[object]:
    """The field of each row of a data set on the hub, or of URLs; code of others is never run."""
    import datasets  # here, since it takes a second and local files need none of it

    arguments = {
        key: text[key] for key in ("path", "name", "revision", "data_files") if key in text
    }
    rows = datasets.load_dataset(**arguments, split=text["split"])
    if text["field"] not in rows.column_names:
        allowed = ", ".join(rows.column_names)
        raise ValueError(f"text.field is '{text['field']}': allowed are {allowed}")
    return list(rows[text["field"]])


def collect_documents(
    sources: Mapping[str, Sequence[object]], slices: Sequence[range], text: Mapping
) -> Documents:
    """Check that values are text, and leave out those that are missing if the text says so.

    Args:
        sources: The values of the field, row by row, by the file that they are from.
        slices: The rows that are taken, counted over all files.
    """
    for file, values in sources.items():
        if not values:
            raise ValueError(f"{file} holds no row: leave it out of the text, or fill it")
    values = [value for source in sources.values() for value in source]
    taken = [row for part in slices for row in part]
    missing = [row for row in taken if values[row] is None or isinstance(values[row], Lacking)]
    if missing and text.get("missing") != LEAVE_OUT:
        reason = explain_missing(values[missing[0]], text["field"], len(missing), len(taken))
        raise ValueError(f"{name_row(sources, missing[0])}: {reason}")
    digest, texts, left_out = hashlib.sha256(), [], set(missing)
    for row in taken:
        if row in left_out:
            continue
        mistake = explain_value(values[row], text["field"])
        if mistake:
            raise ValueError(f"{name_row(sources, row)}: {mistake}")
        content = values[row].encode()
        digest.update(b"%d:%s" % (len(content), content))
        texts.append(values[row])
    return Documents(texts, len(taken), len(missing), digest.hexdigest())


def name_row(sources: Mapping[str, Sequence[object]], row: int) -> str:
    """The file of a row that is counted over all files, and its number there, from 1."""
    for file, values in sources.items():
        if row < len(values):
            return f"{file}, row {row + 1}"
        row -= len(values)
    raise AssertionError(f"there is no row {row}")


def explain_missing(value: object, field: str, count: int, rows: int) -> str:
    """Say that a row has no text, and how many have none."""
    way_out = f"'missing: {LEAVE_OUT}' leaves such rows out"
    if not isinstance(value, Lacking):
        return f"the field '{field}' is null, as in {count} of {rows} rows read: {way_out}"
    fields = ", ".join(value.fields) or "none"
    if count == rows:
        return f"lacks the field '{field}', as every row read: allowed are {fields}"
    return (
        f"lacks the field '{field}', as {count} of {rows} rows read: "
        f"its fields are {fields}; {way_out}"
    )


def explain_value(value: object, field: str) -> str | None:
    """Say what is wrong with a value, if it is no text that can be written down."""
    if not isinstance(value, str):
        kind = KINDS.get(type(value), type(value).__name__)
        shown = json.dumps(value, default=str, ensure_ascii=False)[:40]
        return f"the field '{field}' is {kind}, {shown}: allowed is text"
    try:
        value.encode()
    except UnicodeEncodeError as error:
        code = f"U+{ord(value[error.start]):04X}"
        return f"the field '{field}' holds half a character, the lone surrogate {code}: mend it"
    return None
