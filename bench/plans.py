"""What the full-scale studies will take, as a table: `snakemake plan` of five models, on a GPU that is not here.

    python -m bench.plans [TERAFLOPS]      writes results/plans.csv and .md; `make plans` does so

Operations, disk and memory come from the models' shapes. The time of models is at the sustained rate that is named;
starts and statistics are at the speed of this machine.
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
# ASSUME: about a fifth of what the data sheet of an H100 promises for dense bfloat16; naming another rate is one word.
TERAFLOPS = 200


def plan(study: str, teraflops: float) -> dict:
    """The plan of a study, made in a folder of its own."""
    with tempfile.TemporaryDirectory() as folder:
        overlay = Path(folder, "rate.yaml")
        overlay.write_text(f"plan: {{teraflops: {teraflops}}}\n")
        configs = [str(ROOT / f"config/{study}.yaml"), str(overlay)]
        command = [
            sys.executable,
            "-m",
            "snakemake",
            "plan",
            "--snakefile",
            str(ROOT / "Snakefile"),
            "--cores",
            "1",
        ]
        subprocess.run(
            [*command, "--directory", folder, "--configfile", *configs], check=True, cwd=ROOT
        )
        return json.loads(Path(folder, f"results/{study}/plan.json").read_text())


def describe(study: str, found: dict) -> dict:
    """A row of the table."""
    stages = pd.DataFrame(found["rules"]).T.groupby("stage")[["teraflop", "seconds"]].sum()
    return {
        "study": study,
        "jobs": found["total"]["jobs"],
        "operations (PFLOP)": round(found["total"]["teraflop"] / 1e3),
        "of it training (PFLOP)": round(stages.loc["training", "teraflop"] / 1e3),
        "GPU-hours": round(found["gpu_hours"], 1),
        "of it analyses": round(stages.loc["analyses", "seconds"] / 3600, 1),
        "weights (GB)": round(found["disk_bytes"]["weights"] / 1e9, 1),
        "results (MB)": round(found["disk_bytes"]["results"] / 1e6),
        "cache (GB)": round(found["disk_bytes"]["cache"] / 1e9, 1),
        "largest job (GiB)": round(max(found["memory_bytes"].values()) / 2**30, 1),
    }


def main() -> None:
    """Plan, print and write."""
    teraflops = float(sys.argv[1]) if len(sys.argv) > 1 else TERAFLOPS
    table = pd.DataFrame([describe(study, plan(study, teraflops)) for study in STUDIES])
    RESULTS.mkdir(exist_ok=True)
    table.to_csv(RESULTS / "plans.csv", index=False)
    lines = [list(map(str, table.columns)), ["---", *["---:"] * (len(table.columns) - 1)]]
    rows = [*lines, *([str(value) for value in row] for row in table.itertuples(index=False))]
    text = (
        f"At {teraflops:g} TFLOP/s, sustained:\n\n"
        + "\n".join(f"| {' | '.join(row)} |" for row in rows)
        + "\n"
    )
    (RESULTS / "plans.md").write_text(text)
    sys.stdout.write(text)


if __name__ == "__main__":
    main()
