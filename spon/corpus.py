"""The `pydoc` corpus: real technical English on every machine that has the environment.

The docstrings of installed scientific packages, without duplicates, split by source file.
"""

import ast
import hashlib
import importlib.metadata
import importlib.util
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import pandas as pd

SPLITS = ("train", "calibration", "evaluation")
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


@dataclass(frozen=True)
class Selection:
    """What belongs to the corpus.

    Attributes:
        packages: Import names, in the order in which their text counts as seen.
        minimum_characters: Shorter docstrings are dropped.
        shingle_words: Length of the word sequences that near duplicates share.
        duplicate_share: A docstring is dropped if more than this share of its word
            sequences stand in docstrings kept before it; from 0 to 1.
        held_out_share: Share of the source files given to calibration, and again to evaluation.
    """

    packages: Sequence[str]
    minimum_characters: int
    shingle_words: int
    duplicate_share: float
    held_out_share: float


def collect_docstrings(selection: Selection, processes: int) -> pd.DataFrame:
    """Read the corpus out of the installed packages.

    Returns:
        One row per docstring: `split, file, text`, the train split first. No docstring of a later
        split shares more than `duplicate_share` of its word sequences with the earlier ones.

    Raises:
        ModuleNotFoundError: A package is not installed.
    """
    files = [file for package in selection.packages for file in source_files(package)]
    # Forking would copy the threads and locks of libraries that the caller has loaded.
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        found = pool.map(read_docstrings, (path for _, path in files), chunksize=64)
    documents = pd.DataFrame(
        [
            (assign_split(file, selection.held_out_share), file, text)
            for (file, _), texts in zip(files, found, strict=True)
            for text in texts
            if len(text) >= selection.minimum_characters
        ],
        columns=["split", "file", "text"],
    )
    # Train first, so that what the model has seen decides what may be held out, never the reverse.
    documents = documents.sort_values(
        "split", key=lambda column: column.map(SPLITS.index), kind="stable"
    )
    new = mark_new(documents["text"], selection.shingle_words, selection.duplicate_share)
    return documents[new].reset_index(drop=True)


def source_files(package: str) -> list[tuple[str, str]]:
    """The Python files of an installed package, as (name inside site-packages, path), in a fixed order."""
    folder = find_package(package)
    return sorted(
        (path.relative_to(folder.parent).as_posix(), str(path)) for path in folder.rglob("*.py")
    )


def find_package(package: str) -> Path:
    """The folder of an installed package."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError(
            f"pydoc.packages names '{package}', which is not an installed package: "
            f"install it or leave it out of the list"
        )
    return Path(spec.submodule_search_locations[0])


def read_versions(packages: Iterable[str]) -> dict[str, str]:
    """The installed version of every package; another version has another text."""
    return {package: importlib.metadata.version(package) for package in packages}


def read_docstrings(path: str) -> list[str]:
    """The docstrings of one source file, unindented, in the order of `ast.walk`; none if it is not Python."""
    try:
        tree = ast.parse(Path(path).read_bytes())
    except SyntaxError:  # templates and test data that carry the suffix .py
        return []
    nodes = (node for node in ast.walk(tree) if isinstance(node, DOCUMENTED))
    return [text for node in nodes if (text := ast.get_docstring(node))]


def assign_split(file: str, held_out_share: float) -> str:
    """The split of a source file: decided by the hash of its name, the same on every machine."""
    # ASSUME: whole files are held out, not docstrings, since one file's docstrings share their
    # wording.
    digest = hashlib.sha256(file.encode()).digest()
    if int.from_bytes(digest[:8], "big") >= 2 * held_out_share * 2**64:
        return "train"
    # Files differ so much that a halving can give two kinds of text: this one leaves the inputs of
    # every site of the reference model alike in size, within half a point of sparsity, which
    # halving by the first bytes did not.
    return "calibration" if digest[-1] % 2 else "evaluation"


def mark_new(texts: Iterable[str], shingle_words: int, duplicate_share: float) -> list[bool]:
    """Tell for each text whether most of it has not been kept before."""
    # ASSUME: a near duplicate shares word sequences with anything kept before it, not with one
    # document: boilerplate assembled from several places is no new text either.
    words: dict[str, int] = {}
    seen: set[tuple[int, ...]] = set()
    marks = []
    for text in texts:
        ids = [words.setdefault(word, len(words)) for word in re.findall(r"\w+", text.lower())]
        last = max(1, len(ids) - shingle_words + 1)
        shingles = {tuple(ids[start : start + shingle_words]) for start in range(last)}
        new = len(shingles & seen) <= duplicate_share * len(shingles)
        marks.append(new)
        if new:
            seen |= shingles
    return marks


def describe_corpus(documents: pd.DataFrame, packages: Sequence[str]) -> dict:
    """What this corpus is: its digest, sizes and the versions that it was read from."""
    digest = hashlib.sha256()
    for row in documents.itertuples():
        digest.update(f"{row.split}\0{row.file}\0{row.text}\0".encode())
    sizes = documents.assign(characters=documents["text"].str.len()).groupby("split")
    return {
        "digest": digest.hexdigest(),
        "documents": {split: int(count) for split, count in sizes.size().items()},
        "characters": {split: int(total) for split, total in sizes["characters"].sum().items()},
        "packages": read_versions(packages),
    }


def compare_corpora(found: Mapping, trained_on: Mapping | None) -> str | None:
    """A sentence if a model was trained on another corpus than the one found here; none if all is well."""
    if trained_on is None or found["digest"] == trained_on["digest"]:
        return None
    versions = trained_on["packages"]
    other = [
        f"{name} {version}"
        for name, version in found["packages"].items()
        if versions.get(name) != version
    ]
    return (
        f"the docstrings found here (digest {found['digest'][:12]}) are not those that the model was trained on "
        f"({trained_on['digest'][:12]}), so some held-out text may be known to it, and numbers are not comparable; "
        f"other versions here: {', '.join(other) or 'none'}"
    )


def read_training_corpus(record: str | Path | None) -> dict | None:
    """The corpus that a model's `record.json` says it was trained on; none without a record."""
    return json.loads(Path(record).read_text()).get("corpus") if record else None
