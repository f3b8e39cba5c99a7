"""A published study on a clone: pulled, it is whole; a change reruns its cone; damage is named."""

import base64
import re
import shutil
import subprocess
import sys
from pathlib import Path

import lineage_tree as tree
import pytest
import yaml
from small_workflow import (
    FINDINGS,
    OF_BIASES,
    OF_STATES,
    PLOTS_OF_ANALYSES,
    PLOTS_OF_TABLES,
    REPORTING,
    ROOT,
    TRAININGS,
    Study,
    edit,
)

from spon.lineage import publish, records, verify

PUBLISHED = [".dvc/config", ".dvc/.gitignore", ".dvcignore", ".gitignore", "dvc.yaml"]
EVALUATIONS = {
    "evaluate_dense": 1,
    "evaluate_teal": 2,
    "evaluate_spon": 8,
    "evaluate_dense_further": 1,
    "evaluate_teal_further": 2,
    "evaluate_spon_further": 8,
    "evaluate_on_dense": 1,
    "evaluate_draws": 1,
}
REPORT = {"write_findings": 1, "render_page": 1}
DRAWN = {"evaluate_draws": 1, "tabulate_controls": 1, "plot_confidence": 1} | REPORT
STATES = OF_STATES | {"plot_pca_alignment": 1, "plot_hidden_state_shift": 1} | FINDINGS
TRAINED = TRAININGS | OF_STATES | OF_BIASES | PLOTS_OF_ANALYSES | REPORTING
CALIBRATED = (
    TRAINED
    | EVALUATIONS
    | {"read_quantiles": 2, "choose_thresholds": 2}
    | dict.fromkeys(("average_residual", "take_newton_step", "centre_on_mode"), 1)
)
del CALIBRATED["evaluate_dense"], CALIBRATED["evaluate_dense_further"]
# What a change of one setting reruns, and nothing else.
SETTINGS = [
    ({"device": "auto", "threads": 2}, {}),
    ({"train": {"epochs": 2}}, TRAINED),
    ({"train": {"batch_blocks": 2}}, TRAINED),
    ({"calibrate": {"blocks": 32}}, CALIBRATED),
    ({"evaluate": {"batch_tokens": 128}}, EVALUATIONS | REPORTING),
    ({"controls": {"draws": 30}}, DRAWN),
    (
        {"analyses": {"components": 5}},
        {"pca_alignment": 2, "plot_pca_alignment": 1} | FINDINGS,
    ),
    # Shifts of hidden states draw nothing.
    (
        {"analyses": {"seed": 1}},
        {"pca_alignment": 2, "category_shift": 2, "plot_pca_alignment": 1} | FINDINGS,
    ),
    ({"pretrain": {"seed": 1}}, {}),
    # Values of one type that change places: Snakemake itself compares them without their names.
    ({"analyses": {"components": 4, "batch_tokens": 10}}, STATES),
    ({"calibrate": {"blocks": 32, "held_out_blocks": 64}}, CALIBRATED),
]


def adapt(folder: Path, study: str) -> None:
    """Publish another study than the default one: its outputs, and Snakemake's records of them."""
    told = yaml.safe_load((folder / "dvc.yaml").read_text().replace("pydoc", study))
    stage = told["stages"][study]
    stage["cmd"] += f" --configfile config/{study}.yaml"
    stage["params"] = [{f"config/{study}.yaml": None}]
    stage["outs"] = [out for out in stage["outs"] if (folder / next(iter(out))).exists()]
    (folder / "dvc.yaml").write_text(yaml.safe_dump({"stages": {study: stage}}))
    ignored = (folder / ".dvcignore").read_text()
    for head in ("results", "figures"):
        ignored = ignored.replace(
            shorten(f"{head}/pydoc/") + "[89_-]", shorten(f"{head}/{study}/")
        )
    (folder / ".dvcignore").write_text(ignored)
    git = folder / ".gitignore"
    git.write_text(git.read_text().replace("pydoc", study))


def shorten(path: str) -> str:
    """How Snakemake's names of records begin, of the files below a folder."""
    return base64.b64encode(path.encode(), altchars=b"_-").decode()[: len(path) * 8 // 6]


def call(folder: Path, *command: str) -> str:
    identity = ("-c", "user.name=t", "-c", "user.email=t@t", "-c", "advice.detachedHead=false")
    command = (
        ("git", *identity, *command[1:])
        if command[0] == "git"
        else (sys.executable, "-m", *command)
    )
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def release(folder: Path, tag: str) -> list[str]:
    """Publish what a study made, as a commit with a tag; what was told."""
    told = []
    assert publish.publish(folder, told.append), told
    call(folder, "git", "add", ".")
    call(folder, "git", "commit", "-qm", tag)
    call(folder, "git", "tag", tag)
    return told


@pytest.fixture(scope="module")
def origin(tiny, tmp_path_factory) -> Study:
    """The tiny study, published twice: the second time with other random directions."""
    study = Study(tmp_path_factory.mktemp("origin"))
    for part in ("results/tiny", "figures/tiny", ".snakemake/metadata"):
        shutil.copytree(tiny.folder / part, study.folder / part)
    for part in PUBLISHED:
        (study.folder / part).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / part, study.folder / part)
    adapt(study.folder, "tiny")
    call(study.folder, "git", "init", "-q")
    release(study.folder, "v1")
    config = study.folder / "config/tiny.yaml"
    config.write_text(config.read_text().replace("draw_blocks: 16", "draw_blocks: 17"))
    study.run()
    told = release(study.folder, "v2")[1]
    assert told.startswith("made anew: ")
    again = {rule: int(jobs) for rule, jobs in re.findall(r"(\w+) \((\d+) job", told)}
    # Whatever has come out the same is as it was.
    assert {"evaluate_draws": 1, "render_page": 1}.items() <= again.items() <= DRAWN.items()
    return study


@pytest.fixture(scope="module")
def clone(origin, tmp_path_factory) -> Study:
    """A clone of the first version that has pulled."""
    study = object.__new__(Study)
    study.folder = tmp_path_factory.mktemp("clones") / "clone"
    call(origin.folder, "git", "clone", "-q", str(origin.folder), str(study.folder))
    call(study.folder, "git", "checkout", "-q", "v1")
    call(study.folder, "dvc", "pull")
    return study


def test_line_ends_are_kept_on_a_clone_that_would_convert_them(tmp_path):
    origin, clone = tmp_path / "origin", tmp_path / "clone"
    contents = {"a.json": b"{\n}\n", "b.csv": b"x,y\r\n1,2\r\n", "c.txt": b"a\r\nb\nc"}
    for name, content in contents.items():
        path = origin / "results/tiny/lineage" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    shutil.copy(ROOT / ".gitattributes", origin)
    call(origin, "git", "init", "-q")
    call(origin, "git", "add", ".")
    call(origin, "git", "commit", "-qm", "first")
    call(tmp_path, "git", "clone", "-q", "-c", "core.autocrlf=true", str(origin), str(clone))
    cloned = {path.name: path.read_bytes() for path in clone.glob("results/tiny/lineage/*")}
    assert cloned == contents


def assert_nothing_to_do(study: Study) -> None:
    done = study.snakemake("--dry-run")
    output = done.stdout + done.stderr
    assert done.returncode == 0, output
    assert "Nothing to be done" in output
    assert not re.search("missing|outdated provenance", output, re.I)


def test_a_clone_that_has_pulled_has_nothing_to_do(clone):
    found = records.read_records(clone.folder)
    made = [record.rule for record in found.by_file.values()]
    assert made.count("train_spon") == TRAININGS["train_spon"]
    assert verify.verify(clone.folder, found).sound
    assert_nothing_to_do(clone)
    assert call(clone.folder, "dvc", "status").startswith("Data and pipelines are up to date")
    assert call(clone.folder, "git", "status", "--porcelain") == ""


@pytest.mark.parametrize("seed", ["1", "2"])
def test_specs_do_not_depend_on_the_hash_seed(clone, seed):
    assert clone.plan(PYTHONHASHSEED=seed) == {}


@pytest.mark.parametrize(
    ("settings", "rerun"), SETTINGS, ids=[str(settings) for settings, _ in SETTINGS]
)
def test_a_setting_reruns_its_cone(clone, tmp_path, settings, rerun):
    overlay = tmp_path / "overlay.yaml"
    overlay.write_text(yaml.safe_dump(settings))
    assert clone.plan(overlays=("config/tiny.yaml", str(overlay))) == rerun


@pytest.mark.parametrize(
    ("path", "old", "new", "rerun"),
    [
        (
            "spon/figures/outcomes.py",
            "import pandas as pd\n",
            "import pandas as pd\n\nNEW = 1\n",
            "figures",
        ),
        (
            "spon/course.py",
            "clip_grad_norm_(self.learned.values(), 1.0)",
            "clip_grad_norm_(self.learned.values(), 2.0)",
            "train",
        ),
        (
            "spon/train.py",
            "Learn one constant per output",
            "Learn a constant for each output",
            "nothing",
        ),
        (
            "spon/models.py",
            "    ids = blocks.to(network",
            "    # As embeddings want them.\n    ids = blocks.to(network",
            "nothing",
        ),
        ("spon/lineage/verify.py", "import os\n", "import os\n\nNEW = 1\n", "nothing"),
        ("spon/progress.py", " tokens/s", " tokens a second", "nothing"),
        (
            "spon/inputs/tokens.py",
            "are {count} together: ",
            "are {count} together, ",
            "nothing",
        ),
    ],
)
def test_code_reruns_its_cone_and_rewording_nothing(clone, path, old, new, rerun):
    plots = PLOTS_OF_TABLES | PLOTS_OF_ANALYSES
    expected = {"figures": plots | REPORT, "train": TRAINED, "nothing": {}}
    edit(clone, path, old, new)
    try:
        assert clone.plan() == expected[rerun]
    finally:
        call(clone.folder, "git", "checkout", "-q", "--", path)


def test_moving_and_renaming_a_module_reruns_nothing(clone):
    call(clone.folder, "git", "mv", "spon/analyses/chance.py", "spon/luck.py")
    for path in (clone.folder / "spon/analyses").glob("*.py"):
        text = path.read_text().replace(
            "from spon.analyses import chance", "from spon import luck"
        )
        text = text.replace("from spon.analyses.chance import", "from spon.luck import")
        path.write_text(re.sub(r"\bchance\.(?=\w+\()", "luck.", text))
    try:
        assert clone.plan() == {}
    finally:
        call(clone.folder, "git", "reset", "-q", "--hard")


KINDS = [
    "results/tiny/UNIF-ALL/s0.5/seed0/biases.safetensors",
    "results/tiny/UNIF-ALL/s0.5/seed0/curve.csv",
    "results/tiny/dense/nll.parquet",
    "results/tiny/model.json",
    "results/tiny/tables/perplexity.tex",
    "results/tiny/findings.md",
    "results/tiny/findings.html",
    "figures/tiny/fig3_pareto.png",
    "figures/tiny/fig3_pareto.pdf",
]


@pytest.mark.parametrize("path", KINDS)
def test_one_flipped_byte_is_named_with_everything_that_stands_on_it(clone, path):
    found = records.read_records(clone.folder)
    file = clone.folder / path
    whole = file.read_bytes()
    file.unlink()  # it may be a link into the cache
    file.write_bytes(whole)
    tree.flip(file, len(whole) // 2)
    report = verify.verify(clone.folder, found)
    file.write_bytes(whole)
    assert [problem.path for problem in report.problems if problem.kind == "damaged"] == [path]
    assert set(report.below) == set(found.downstream([path]))
    read = {"biases.safetensors", "nll.parquet", "curve.csv", "model.json", "findings.md"}
    read |= {"fig3_pareto.png"}
    assert ("results/tiny/findings.html" in report.below) == (file.name in read)


def test_each_version_is_whole_on_its_tag(clone):
    page = clone.folder / "results/tiny/findings.html"
    seen = []
    for tag in ("v2", "v1", "v2", "v1"):
        call(clone.folder, "git", "checkout", "-q", tag)
        call(clone.folder, "dvc", "pull")
        assert_nothing_to_do(clone)
        assert verify.verify(clone.folder, records.read_records(clone.folder)).sound
        seen.append(page.read_bytes())
    assert seen[0] == seen[2] != seen[1] == seen[3]


def test_the_default_study_is_published_whole():
    stage = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]["pydoc"]
    outs = {path: how for out in stage["outs"] + stage["metrics"] for path, how in out.items()}
    assert all(how["persist"] for how in outs.values())
    told = subprocess.run(
        [sys.executable, "-m", "snakemake", "--summary"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    made = [line.split("\t")[0] for line in told.stdout.splitlines()[1:]]
    assert len(made) > 100
    known = {
        path: [out for out in outs if path == out or path.startswith(f"{out}/")] for path in made
    }
    assert {path: under for path, under in known.items() if len(under) != 1} == {}
    # What comes by git alone is read by no rule; and DVC takes Snakemake's record of every file.
    apart = [path for path, how in outs.items() if not how.get("cache", True)]
    assert [path for path in apart if path in records.read_records(ROOT).readers] == []
    names = [
        f".snakemake/metadata/{base64.b64encode(path.encode(), altchars=b'_-').decode()}"
        for path in made
    ]
    ignored = subprocess.run(
        [sys.executable, "-m", "dvc", "check-ignore", *names],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ignored.stdout == ""
