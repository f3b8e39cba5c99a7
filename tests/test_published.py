"""What git says is published is there and up to date, so that a clone that pulls is, too."""

import json
import os
import re
import subprocess
import sys
from hashlib import md5
from pathlib import Path

import pytest
import yaml
from dvc.repo import Repo

from docs.update_readme import insert, read_methods
from spon.lineage import records
from spon.lineage.digest import digest_code

ROOT = Path(__file__).parents[1]
LOCKS = [ROOT / "dvc.lock", *sorted((ROOT / "studies").glob("*/dvc.lock"))]
STALE = (
    "dvc.lock is of other files. On a clone that has pulled, `snakemake -n`: run what it lists, "
    "then `spon publish` in the lock's folder, and commit what it writes"
)


def read_yaml(path: Path) -> dict:
    return yaml.safe_load(path.read_text())


def read_outs(lock: Path) -> dict[str, dict]:
    """The outputs that a lock names, by path."""
    stages = read_yaml(lock)["stages"].values()
    return {out["path"]: out for stage in stages for out in stage["outs"]}


def list_outs(stages: dict) -> dict[str, dict]:
    """The outputs of the stages of a dvc.yaml, by path, and how they are kept."""
    outs = [out for stage in stages.values() for out in stage["outs"] + stage.get("metrics", [])]
    return {path: how for out in outs for path, how in out.items()}


def read_committed(path: Path) -> bytes:
    """What git has: a study that was run here may have written other last digits."""
    name = path.relative_to(ROOT).as_posix()
    return subprocess.run(
        ["git", "show", f"HEAD:{name}"], cwd=ROOT, check=True, capture_output=True
    ).stdout


def digest(content: bytes) -> str:
    return md5(content).hexdigest()


def find_object(name: str) -> Path:
    """Where the remote has the content of this digest."""
    return ROOT / "published/files/md5" / name[:2] / name[2:]


def test_the_locks_are_of_this_state_of_code_and_settings():
    """`dvc status` says the same, but passes over frozen stages."""
    with Repo(str(ROOT)) as repo:
        stages = {stage.addressing: stage for stage in repo.index.stages}
        assert len(stages) == len(LOCKS)
        differ = [
            f"{name}: {dependency}"
            for name, stage in stages.items()
            for dependency in stage.deps
            if dependency.status()
        ]
    assert differ == [], STALE


def test_results_are_of_this_state_of_code():
    """Else whoever has pulled would be told that jobs are to run."""
    codes = {rule: digest_code(script) for rule, script in find_scripts().items()}
    stale = {
        record.rule
        for lock in LOCKS
        for record in records.read_commit(lock.parent, "HEAD").by_file.values()
        if record.spec.get("code") != codes[record.rule]
    }
    assert stale == set(), f"results are of other code: {STALE}"


def find_scripts() -> dict[str, Path]:
    """The script of every rule, by the rule's name."""
    scripts, bases = {}, {}
    for path in (ROOT / "workflow/rules").glob("*.smk"):
        blocks = re.split(r"^(?=rule |use rule )", path.read_text(), flags=re.M)
        for block in blocks:
            if named := re.match(r"use rule (\w+) as (\w+) with:", block):
                bases[named[2]] = named[1]
                continue
            named = re.match(r"rule (\w+):", block)
            script = re.search(r'^ +"\.\./scripts/(\w+\.py)"', block, re.M)
            if named and script:
                scripts[named[1]] = ROOT / "workflow/scripts" / script[1]
    while bases:
        for name, base in list(bases.items()):
            if base in scripts:
                scripts[name] = scripts[base]
                del bases[name]
    return scripts


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.parent.name)
def test_the_remote_has_whole_whatever_a_lock_names(lock):
    declared = list_outs(read_yaml(lock.with_name("dvc.yaml"))["stages"])
    outs = read_outs(lock)
    assert outs.keys() == declared.keys(), STALE
    for path, out in outs.items():
        if not declared[path].get("cache", True):
            assert digest(read_committed(lock.parent / path)) == out["md5"], f"{path}: {STALE}"
            continue
        names = [out["md5"]]
        if out["md5"].endswith(".dir"):
            names += [file["md5"] for file in json.loads(find_object(names[0]).read_text())]
        for name in names:
            assert digest(find_object(name).read_bytes()) == name.removesuffix(".dir"), path


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.parent.name)
def test_plots_and_artifacts_are_published_files(lock):
    told = read_yaml(lock.with_name("dvc.yaml"))
    outs = list_outs(told["stages"])
    paths = [artifact["path"] for artifact in told.get("artifacts", {}).values()]
    for plot in told.get("plots", []):
        paths += [plot] if isinstance(plot, str) else next(iter(plot.values()))["y"]
    made = records.read_records(lock.parent).makers
    assert [path for path in paths if path not in made] == []
    assert [path for path in paths if not any(path.startswith(f"{out}/") for out in outs)] == []


def test_the_metrics_are_a_handful_of_numbers():
    shown = {
        path: json.loads((lock.parent / path).read_text())
        for lock in LOCKS
        for stage in read_yaml(lock.with_name("dvc.yaml"))["stages"].values()
        for metric in stage.get("metrics", [])
        for path in metric
    }
    assert "results/pydoc/metrics.json" in shown
    for path, metrics in shown.items():
        named = list_named(metrics)
        assert 5 <= len(named) <= 20, path
        for name, number in named:
            # Sparsity always costs KL divergence, and log-likelihood not always so that it shows.
            missing = number is None and name == "nll_recovered_percent"
            assert missing or isinstance(number, float), (path, name)


def list_named(tree: dict) -> list[tuple]:
    """The last keys of nested mappings, and their values."""
    named = []
    for key, value in tree.items():
        named += list_named(value) if isinstance(value, dict) else [(key, value)]
    return named


def test_an_artifact_comes_by_its_name_once_a_version_is_tagged(tmp_path):
    def call(*command: str) -> None:
        # Outside of a repository nothing else keeps DVC from reporting.
        environment = os.environ | {"DVC_NO_ANALYTICS": "1"}
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr

    call("git", "clone", "-q", str(ROOT), "clone")
    identity = ("-c", "user.name=t", "-c", "user.email=t@t", "-c", "tag.gpgSign=false")
    call("git", "-C", "clone", *identity, "tag", "-a", "top-50@v99.0.0", "-m", "top-50")
    call(sys.executable, "-m", "dvc", "artifacts", "get", "clone", "top-50")
    (out,) = [
        out for path, out in read_outs(tmp_path / "clone/dvc.lock").items() if "TOP-50" in path
    ]
    inside = json.loads(find_object(out["md5"]).read_text())
    expected = {file["relpath"]: file["md5"] for file in inside}
    content = (tmp_path / "biases.safetensors").read_bytes()
    assert digest(content) == expected["s0.5/seed0/biases.safetensors"]


def test_the_docs_quote_what_is_published():
    outs = read_outs(ROOT / "studies/methods/dvc.lock")
    listed = find_object(outs["results/pydoc-threshold/tables"]["md5"]).read_text()
    (page,) = [one["md5"] for one in json.loads(listed) if one["relpath"] == "methods.md"]
    text = (ROOT / "docs/method.md").read_text()
    quoted = insert(text, "methods", read_methods(find_object(page).read_text()))
    assert text == quoted, "run: make readme"
