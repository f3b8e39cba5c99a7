"""Names of studies, scopes and allocations, and what no name may be."""

import re

import pytest
from conftest import ROOT

from spon import names

WRITTEN = re.compile(
    r'f?"(?:results|figures|logs|benchmarks)/\{{1,2}study\}{1,2}/(?P<first>[^/"]+)(?P<below>/?)'
)


@pytest.mark.parametrize("name", ["TOP-50", "down_proj", "llama-3.2-1b", "_a", "x" * 64, "Dense2"])
def test_a_name_of_a_folder_is_taken(name):
    names.check_name(name)


NO_NAMES = [
    "",
    ".",
    "..",
    "...",
    ".hidden",
    "-rf",
    "a/b",
    "a\n",
    "a\nb",
    " a",
    "a b",
    "ä",
    "x" * 65,
]
NO_NAMES += [1, None, True]
OURS = ["text", "TEXT", "Tokens", "tables", "lineage", "dense", "analyses", "claims.json"]
OURS += ["model.json", "Findings.MD", "fetch_model.log", "nll.parquet"]


@pytest.mark.parametrize("name", NO_NAMES + OURS)
def test_what_is_no_name_or_is_ours_is_refused_in_one_line(name):
    with pytest.raises(ValueError, match="has the name .*: allowed are ") as refused:
        names.check_name(name)
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 250


def test_names_that_differ_in_case_alone_are_found():
    assert names.find_alike(["a", "B", "A", "b"]) == ["a", "A"]
    assert names.find_alike(["a", "b", "a"]) == []


@pytest.mark.parametrize("name", ["..", ".", "", "a/..", "/etc", "a\n"])
def test_nothing_is_removed_outside_its_folder(name):
    with pytest.raises(ValueError, match="^nothing is removed in '.snakemake/kept': it has the"):
        names.find_inside(".snakemake/kept", name)
    assert names.find_inside("kept", "tiny").as_posix() == "kept/tiny"


def test_whatever_a_rule_writes_beside_scopes_and_allocations_is_no_name_of_one():
    """It reads the rules, so that a new folder that is not in the list fails here."""
    found = set()
    for path in (ROOT / "workflow/rules").glob("*.smk"):
        found |= {(match["first"], bool(match["below"])) for match in written(path.read_text())}
    ours = {(name, below) for name, below in found if not name.startswith("{")}
    assert {("tables", True), ("dense", True), ("model.json", False)} <= ours
    for name, below in ours:
        assert name in names.FOLDERS if below else name.endswith(names.ENDINGS), name
    assert {name for name, below in ours if below} | {"lineage"} == set(names.FOLDERS)


def written(rules):
    """The paths in the text of rules; a name that rules fill in ends as its path does."""
    return WRITTEN.finditer(rules.replace("{{name}}", "{name}"))
