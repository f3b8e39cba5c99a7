"""Tabulate what the full-scale studies will take: `snakemake plan` of six models, on another GPU.

    python -m bench.plans [TERAFLOPS]      writes results/plans.csv and .md; `make plans` does so

Operations, disk and memory come from the models' shapes. The time that models compute is at the
given sustained rate; starts and statistics are at the speed of this machine.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import pandas as pd

from bench.shapes import ROOT

RESULTS = Path(__file__).parent / "results"
STUDIES = ["llama-3.2-1b", "llama-3.2-3b", "llama-3.1-8b", "mistral-7b", "qwen3-8b"]
STUDIES += ["llama-3.1-70b"]
# ASSUME: about a fifth of what the data sheet of an H100 promises for dense bfloat16; the command
# line takes another rate.
TERAFLOPS = 200


def make_plan(study: str, teraflops: float) -> dict:
    """Make the plan of a study, in a folder of its own."""
    with tempfile.TemporaryDirectory() as folder:
        overlay = Path(folder, "rate.yaml")
        overlay.write_text(f"plan: {{teraflops: {teraflops}}}\n")
        configs = [str(ROOT / f"config/{study}.yaml"), str(overlay)]
        command = [sys.executable, "-m", "snakemake", "plan", "--cores", "1"]
        command += ["--snakefile", str(ROOT / "Snakefile"), "--directory", folder]
        subprocess.run([*command, "--configfile", *configs], check=True, cwd=ROOT)
        return json.loads(Path(folder, f"results/{study}/plan.json").read_text())


def describe(study: str, plan: dict) -> dict:
    """Make the row of a study from its plan."""
    stages = pd.DataFrame(plan["rules"]).T.groupby("stage")[["teraflop", "seconds"]].sum()
    return {
        "study": study,
        "jobs": plan["total"]["jobs"],
        "operations (PFLOP)": round(plan["total"]["teraflop"] / 1e3),
        "of it training (PFLOP)": round(stages.loc["training", "teraflop"] / 1e3),
        "GPU-hours": round(plan["gpu_hours"], 1),
        "of it analyses": round(stages.loc["analyses", "seconds"] / 3600, 1),
        "weights (GB)": round(plan["disk_bytes"]["weights"] / 1e9, 1),
        "results (MB)": round(plan["disk_bytes"]["results"] / 1e6),
        "cache (GB)": round(plan["disk_bytes"]["cache"] / 1e9, 1),
        "largest job (GiB)": round(max(plan["memory_bytes"].values()) / 2**30, 1),
    }


def main() -> None:
    """Plan all studies, and print and write the table."""
    teraflops = float(sys.argv[1]) if len(sys.argv) > 1 else TERAFLOPS
    table = pd.DataFrame([describe(study, make_plan(study, teraflops)) for study in STUDIES])
    RESULTS.mkdir(exist_ok=True)
    table.to_csv(RESULTS / "plans.csv", index=False)
    alignment = ["---", *["---:"] * (len(table.columns) - 1)]
    text = f"At {teraflops:g} TFLOP/s, sustained:\n\n"
    for row in (table.columns, alignment, *table.itertuples(index=False)):
        text += f"| {' | '.join(map(str, row))} |\n"
    (RESULTS / "plans.md").write_text(text)
    sys.stdout.write(text)


if __name__ == "__main__":
    main()
