"""What an artifact says of itself, inside the file: the study, rule and job that made it.

Kinds are told by their content, since a file that was sent around may have another name.
"""

import html
import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

PNG = b"\x89PNG\r\n\x1a\n"
NAMES = ("study", "rule", "job")
KEYWORDS = re.compile(rb"/Keywords \(((?:\\.|[^\\()])*)\)", re.S)
META = re.compile(r'<meta name="made-by" content="([^"]*)"')


def write_stamp(origin: Mapping[str, str]) -> str:
    """What stands in a file under `made_by`: its origin as JSON, in whatever order of keys."""
    return json.dumps(origin, sort_keys=True)


def read_origin(path: str | Path) -> dict[str, str]:
    """Study, rule and job that a file names; empty if it names none, as CSV and Markdown do."""
    path = Path(path)
    with path.open("rb") as file:
        start = file.read(16)
    read = choose_reader(start)
    try:
        origin = read(path) if read else {}
    except (ValueError, KeyError, IndexError, TypeError, OSError):  # a damaged file tells nothing
        return {}
    return {name: origin[name] for name in NAMES if isinstance(origin, dict) and name in origin}


def choose_reader(start: bytes) -> Callable[[Path], object] | None:
    """How to read a file that begins with these bytes."""
    if start.startswith(PNG):
        return read_png
    if start.startswith(b"%PDF"):
        return read_pdf
    if start.startswith(b"PAR1"):
        return read_parquet
    if start[8:9] == b"{":
        return read_safetensors
    if start.lstrip().startswith((b"{", b"[")):
        return read_json
    return read_html if start.lstrip().startswith(b"<") else None


def read_png(path: Path) -> dict:
    """The text chunks of a PNG."""
    return dict(
        chunk.decode("latin-1").split("\0", 1)
        for kind, chunk in list_chunks(path)
        if kind == b"tEXt"
    )


def list_chunks(path: Path) -> Iterator[tuple[bytes, bytes]]:
    """Kind and content of a PNG's chunks, the pixels left out."""
    with path.open("rb") as file:
        file.seek(len(PNG))
        while header := file.read(8):
            length, kind = int.from_bytes(header[:4], "big"), header[4:]
            if kind == b"IDAT":
                file.seek(length + 4, 1)
            else:
                yield kind, file.read(length)
                file.seek(4, 1)


def read_pdf(path: Path) -> object:
    """The JSON object in a PDF's keywords."""
    matches = KEYWORDS.findall(path.read_bytes())
    return json.loads(re.sub(rb"\\(.)", rb"\1", matches[-1])) if matches else {}


def read_safetensors(path: Path) -> object:
    """The entry `made_by` of a safetensors header."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if length > path.stat().st_size:
            raise ValueError("the header is longer than the file")
        header = json.loads(file.read(length))
    return json.loads(header["__metadata__"]["made_by"])


def read_parquet(path: Path) -> object:
    """The entry `made_by` of a parquet file's schema."""
    import pyarrow.parquet

    return json.loads((pyarrow.parquet.read_schema(path).metadata or {})[b"made_by"])


def read_json(path: Path) -> object:
    """The key `made_by` of a JSON object, or of the first one in a list."""
    content = json.loads(path.read_bytes())
    return (content[0] if isinstance(content, list) else content)["made_by"]


def read_html(path: Path) -> object:
    """The element `made-by` of a page."""
    match = META.search(path.read_text(encoding="utf-8"))
    return json.loads(html.unescape(match[1])) if match else {}
