"""A study of three jobs, made by hand: a model, biases learned on it, and a figure of them.

Its files are tiny and of every kind.
"""

import json
import struct
import subprocess
import zlib
from pathlib import Path

from spon.lineage import digest, records
from spon.lineage.verify import verify

ENVIRONMENT = {
    "python": "3.11.7",
    "lock": "0" * 16,
    "torch": None,
    "cuda": None,
    "device": "cpu",
    "threads": 1,
}
WEIGHTS, MODEL = "resources/model.bin", "results/s/model.json"
BIASES, CURVE, NLL = (
    f"results/s/TOP-50/seed0/{name}" for name in ("biases.safetensors", "curve.csv", "nll.parquet")
)
PNG, PDF, PAGE, NOTES = (
    "figures/s/fig1.png",
    "figures/s/fig1.pdf",
    "results/s/page.html",
    "results/s/notes.md",
)
ALL = [MODEL, BIASES, CURVE, NLL, PNG, PDF, PAGE, NOTES]
CODE = {
    "fetch_model": {"script": "a" * 16, "source": "b" * 16},
    "train_spon": {"script": "c" * 16, "sparsify": "d" * 16, "train": "e" * 16},
    "plot_figure": {"script": "f" * 16, "figures": "1" * 16},
}


def chunk(kind: bytes, content: bytes) -> bytes:
    return (
        struct.pack(">I", len(content))
        + kind
        + content
        + struct.pack(">I", zlib.crc32(kind + content))
    )


def png(origin: dict, pixels: bytes) -> bytes:
    """Make a PNG of one grey pixel, with its origin as text."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0))
    text = b"".join(chunk(b"tEXt", f"{name}\0{value}".encode()) for name, value in origin.items())
    return (
        b"\x89PNG\r\n\x1a\n"
        + header
        + text
        + chunk(b"IDAT", zlib.compress(b"\0" + pixels[:1]))
        + chunk(b"IEND", b"")
    )


def pdf(origin: dict, content: bytes) -> bytes:
    keywords = json.dumps(origin).replace("(", "\\(").replace(")", "\\)").encode()
    return (
        b"%PDF-1.4\n"
        + content
        + b"\n1 0 obj\n<<\n/Keywords ("
        + keywords
        + b")\n>>\nendobj\n%%EOF\n"
    )


def safetensors(origin: dict, content: bytes) -> bytes:
    tensor = {"dtype": "U8", "shape": [len(content)], "data_offsets": [0, len(content)]}
    header = json.dumps({"__metadata__": {"made_by": json.dumps(origin)}, "x": tensor}).encode()
    return struct.pack("<Q", len(header)) + header + content


def parquet(origin: dict, content: bytes, path: Path) -> None:
    import pyarrow
    import pyarrow.parquet

    table = pyarrow.table({"nll_nats": list(content)})
    pyarrow.parquet.write_table(
        table.replace_schema_metadata({"made_by": json.dumps(origin)}), path
    )


def write(path: str, content: bytes | str) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_bytes(content.encode() if isinstance(content, str) else content)


def describe(code: dict[str, str]) -> dict[str, dict]:
    """The code of a job from the digests of its modules, all of which the script imports."""
    behind = [name for name in code if name != "script"]
    return {
        name: {"digest": own, "imports": behind if name == "script" else []}
        for name, own in code.items()
    }


def run(
    rule: str, wildcards: dict, settings: dict, inputs: list[str], outputs: list[str], code: dict
) -> None:
    """Run a job as the seam does.

    Its outputs hold the digest of its description, so that they change with all that is above it.
    """
    log = f"logs/s/{'/'.join(wildcards.values())}/{rule}.log"
    path = records.record_path(log)
    records.start_record(path)
    code = describe(code)
    spec = settings | {"code": digest.combine_code(code)}
    description = records.describe_job(rule, {"study": "s"} | wildcards, spec, inputs)
    origin, content = records.name_origin(description), description["job"].encode()
    for output in outputs:
        kind = Path(output).suffix
        made = {".png": png, ".pdf": pdf, ".safetensors": safetensors}.get(kind)
        Path(output).parent.mkdir(parents=True, exist_ok=True)
        if made:
            write(output, made(origin, content))
        elif kind == ".parquet":
            parquet(origin, content, Path(output))
        elif kind == ".json":
            write(output, json.dumps({"made_by": origin, "content": content.decode()}))
        elif kind == ".html":
            meta = json.dumps(origin).replace('"', "&quot;")
            write(
                output,
                f'<!doctype html><meta name="made-by" content="{meta}"><p>{content.decode()}</p>',
            )
        else:
            write(output, content)
    records.finish_record(path, description, outputs, code, ENVIRONMENT)


def make_study(epochs: int = 10, weights: str = "weights", code: dict = CODE) -> None:
    """Run the three jobs, in the working directory."""
    write(WEIGHTS, weights)
    run(
        "fetch_model",
        {},
        {"model": {"path": "resources"}},
        [WEIGHTS],
        [MODEL],
        code["fetch_model"],
    )
    wildcards = {"allocation": "TOP-50", "seed": "0"}
    recipe = {"train": {"epochs": epochs, "learning_rate": 0.001}, "blocks": 24}
    run("train_spon", wildcards, recipe, [MODEL], [BIASES, CURVE, NLL], code["train_spon"])
    read = [BIASES, CURVE, NLL, MODEL]
    run(
        "plot_figure",
        {},
        {"colours": ["black", "blue"]},
        read,
        [PNG, PDF, PAGE, NOTES],
        code["plot_figure"],
    )


def flip(path: str | Path, position: int = -1) -> None:
    """Change one bit."""
    content = bytearray(Path(path).read_bytes())
    content[position] ^= 1
    Path(path).write_bytes(content)


def git(*arguments: str) -> str:
    identity = ("-c", "user.name=t", "-c", "user.email=t@t", "-c", "init.defaultBranch=main")
    return subprocess.run(
        ["git", *identity, *arguments], check=True, capture_output=True, text=True
    ).stdout.strip()


def commit(message: str) -> str:
    """Commit the records alone, as a clone has them."""
    git("add", "results/s/lineage")
    git("commit", "-qm", message)
    git("tag", message)
    return git("rev-parse", "HEAD")


def check(study, name=None):
    """What a verification of a study finds, or of one of several by its name."""
    return verify(study, records.read_records(study), name)
