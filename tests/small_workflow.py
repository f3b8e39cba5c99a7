"""A copy of the repository in which the tiny study runs, and the jobs of its parts."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import opened_files
import yaml

ROOT = Path(__file__).parents[1]
PARTS = [
    "Snakefile",
    "workflow",
    "spon",
    "config",
    "profiles",
    "resources",
    "envs",
    "constraints.txt",
]
TRAININGS = {
    "train_spon": 5,
    "tabulate_trainings": 1,
    "evaluate_spon": 5,
    "evaluate_spon_further": 5,
    "evaluate_on_dense": 1,
    "evaluate_draws": 1,
}
ANALYSES, FIGURES = (
    (ROOT / f"workflow/rules/{name}.smk").read_text() for name in ("analyses", "figures")
)


def list_rules(name: str) -> list[str]:
    """The rules in one of the lists of workflow/rules/analyses.smk."""
    return re.findall(
        r"rules\.(\w+)", re.search(rf"^{name} = \[(.*?)\]", ANALYSES, re.M | re.S)[1]
    )


# Two runs are analysed.
OF_STATES = dict.fromkeys(list_rules("OF_STATES"), 2)
OF_BIASES = dict.fromkeys(list_rules("BY_RUN"), 2) | dict.fromkeys(list_rules("BY_STUDY"), 1)
PLOTS_OF_TABLES = {"plot_perplexity": 1, "plot_damage_recovery": 1, "plot_pareto": 1}
PLOTS_OF_TABLES |= {"plot_confidence": 1, "plot_other_text": 1}
PLOTS_OF_ANALYSES = dict.fromkeys(
    re.findall(r"as (plot_\w+) with:\n    input:\n        unpack\(analysis", FIGURES), 1
)
FINDINGS = {"decide_claims": 1, "write_findings": 1, "render_page": 1}
TABLES = ("tabulate", "tabulate_controls", "tabulate_further", "compare_texts")
TABLES += ("write_headline", "write_metrics")
REPORTING = dict.fromkeys(TABLES, 1) | PLOTS_OF_TABLES | FINDINGS


class Study:
    """A copy of the repository in which a study runs."""

    is_traced = False

    @property
    def trace(self) -> Path:
        """Where the files that jobs open are written down, while it is traced."""
        return self.folder.with_name(f"{self.folder.name}-trace") / "of"

    def __init__(self, folder: Path):
        self.folder = folder
        for part in PARTS:
            copy = shutil.copytree if (ROOT / part).is_dir() else shutil.copy
            copy(ROOT / part, folder / part)

    def snakemake(
        self, *arguments: str, overlays: tuple[str, ...] = ("config/tiny.yaml",), **variables: str
    ):
        command = [sys.executable, "-m", "snakemake", *arguments, "--configfile", *overlays]
        if self.is_traced and opened_files.STRACE:
            self.trace.parent.mkdir(exist_ok=True)
            command = [*opened_files.trace(self.trace), *command]
        environment = {
            name: value for name, value in os.environ.items() if name != "PYTHONPATH"
        } | variables
        return subprocess.run(
            command, cwd=self.folder, env=environment, capture_output=True, text=True, check=False
        )

    def run(self, *arguments: str, **options) -> None:
        result = self.snakemake(*arguments, **options)
        assert result.returncode == 0, result.stdout + result.stderr

    def plan(self, *arguments: str, **options) -> dict[str, int]:
        """The rules that a dry-run would run, with their number of jobs; targets apart."""
        result = self.snakemake(*arguments, "--dry-run", "--quiet", "rules", **options)
        assert result.returncode == 0, result.stderr
        counts = re.findall(r"^(\w+) +(\d+)$", result.stdout + result.stderr, re.M)
        targets = {"total", "all", "tables", "figures", "analyses", "findings"}
        return {rule: int(count) for rule, count in counts if rule not in targets}

    def write(self, path: str, text: str) -> str:
        (self.folder / path).write_text(text)
        return path

    def overlay(self, **settings) -> tuple[str, str]:
        return "config/tiny.yaml", self.write("config/overlay.yaml", yaml.safe_dump(settings))


def read_results(folder: Path) -> dict[str, bytes]:
    """The bytes of all results in a folder."""
    results = folder / "results"
    files = sorted(path for path in results.rglob("*") if path.is_file())
    return {str(path.relative_to(results)): path.read_bytes() for path in files}


def edit(study: Study, path: str, old: str, new: str) -> None:
    file = study.folder / path
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))
