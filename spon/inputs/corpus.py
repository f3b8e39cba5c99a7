"""The `pydoc` corpus: docstrings of installed packages, without duplicates, split by source file.

It is real technical English that every machine with this environment has.
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
    """The settings that decide which docstrings belong to the corpus.

    Attributes:
        packages: Import names; of near duplicates in one split, the earlier package's is kept.
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
    """Read the corpus from the installed packages.

    Returns:
        One row per docstring: `split, file, text`, the train split first. No docstring of a later
        split shares more than `duplicate_share` of its word sequences with the earlier ones.

    Raises:
        ModuleNotFoundError: A package is not installed.
    """
    files = [file for package in selection.packages for file in source_files(package)]
    # Forking would copy the threads and locks of libraries that the caller has loaded.
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        try:
            docstrings = [*pool.map(read_docstrings, (path for _, path in files), chunksize=64)]
        except BaseException:  # a signal among them: what has not begun is not waited for
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    rows = []
    for (file, _), texts in zip(files, docstrings, strict=True):
        split = assign_split(file, selection.held_out_share)
        long_enough = [text for text in texts if len(text) >= selection.minimum_characters]
        rows += [(split, file, text) for text in long_enough]
    documents = pd.DataFrame(rows, columns=["split", "file", "text"])
    # Train first, so that held-out text is dropped where it repeats training text, and no training
    # text is dropped for repeating held-out text.
    documents = documents.sort_values(
        "split", key=lambda column: column.map(SPLITS.index), kind="stable"
    )
    new = mark_new(documents["text"], selection.shingle_words, selection.duplicate_share)
    return documents[new].reset_index(drop=True)


def source_files(package: str) -> list[tuple[str, str]]:
    """List the Python files of an installed package, sorted: (name inside site-packages, path)."""
    folder = find_package(package)
    return sorted(
        (path.relative_to(folder.parent).as_posix(), str(path)) for path in folder.rglob("*.py")
    )


def find_package(package: str) -> Path:
    """Return the folder of an installed package."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError(
            f"pydoc.packages names '{package}', which is not an installed package: "
            f"install it or leave it out of the list"
        )
    return Path(spec.submodule_search_locations[0])


def read_versions(packages: Iterable[str]) -> dict[str, str]:
    """Return the installed version of every package, since its docstrings depend on it."""
    return {package: importlib.metadata.version(package) for package in packages}


def read_docstrings(path: str) -> list[str]:
    """Read the docstrings of one source file, unindented, in the order of `ast.walk`.

    A file that is not Python has none.
    """
    try:
        tree = ast.parse(Path(path).read_bytes())
    except SyntaxError:  # templates and test data that carry the suffix .py
        return []
    nodes = (node for node in ast.walk(tree) if isinstance(node, DOCUMENTED))
    return [text for node in nodes if (text := ast.get_docstring(node))]


def assign_split(file: str, held_out_share: float) -> str:
    """Return the split of a source file, by the hash of its name: the same on every machine."""
    # ASSUME: whole files are held out, not docstrings, since one file's docstrings share their
    # wording.
    digest = hashlib.sha256(file.encode()).digest()
    if int.from_bytes(digest[:8], "big") >= 2 * held_out_share * 2**64:
        return "train"
    # Files differ so much that calibration and evaluation can become two kinds of text. Halved by
    # the last byte, the inputs of every site of the reference model are alike in size, within half
    # a point of sparsity; halved by the first bytes, they are not.
    return "calibration" if digest[-1] % 2 else "evaluation"


def mark_new(texts: Iterable[str], shingle_words: int, duplicate_share: float) -> list[bool]:
    """Return for each text whether it is new.

    It is if no more than `duplicate_share` of its word sequences stand in new texts before it.
    """
    # ASSUME: a near duplicate shares word sequences with all texts kept before it together, not
    # with one of them: boilerplate assembled from several places is no new text either.
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
    """Describe a corpus: its digest, its sizes and the package versions that it was read from."""
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


def compare_corpora(installed: Mapping, trained_on: Mapping | None) -> str | None:
    """Return a warning if a model was trained on another corpus than the installed one, else None.

    Args:
        installed: The corpus of this machine, as `describe_corpus` describes it.
        trained_on: That of the model; None if it does not say.
    """
    if trained_on is None or installed["digest"] == trained_on["digest"]:
        return None
    versions = trained_on["packages"]
    changed = [
        f"{name} {version}"
        for name, version in installed["packages"].items()
        if versions.get(name) != version
    ]
    return (
        f"the docstrings found here (digest {installed['digest'][:12]}) are not those that the "
        f"model was trained on ({trained_on['digest'][:12]}), so some held-out text may be known "
        f"to it, and numbers are not comparable; other versions here: "
        f"{', '.join(changed) or 'none'}"
    )


def read_training_corpus(record: str | Path | None) -> dict | None:
    """Read from a model's `record.json` which corpus it was trained on; None without a record."""
    return json.loads(Path(record).read_text()).get("corpus") if record else None
