"""Write what a study found as the text of a short paper."""

import json
import os
from pathlib import Path

import pandas as pd

from spon.job import job
from spon.report.findings import write_findings

with job(snakemake):
    folder = Path(snakemake.output.findings).parent
    paths = {
        name: [value] if isinstance(value, str) else list(value)
        for name, value in snakemake.input.items()
    }
    spec = snakemake.params.spec
    figures = {
        Path(path).stem: Path(os.path.relpath(path, folder)).as_posix()
        for path in paths.get("figures", [])
    }
    # Thresholds do not say which scope and sparsity they are for; their order does.
    added = {"thresholds": spec.get("thresholds", [])}
    tables = {
        name: pd.concat(
            [
                pd.read_csv(path).assign(**columns)
                for path, columns in zip(files, added.get(name, [{}] * len(files)), strict=True)
            ],
            ignore_index=True,
        )
        for name, files in paths.items()
        if files and files[0].endswith(".csv")
    }
    facts = {
        name: json.loads(Path(files[0]).read_text(encoding="utf-8"))
        for name, files in paths.items()
        if files and files[0].endswith(".json")
    }
    text = write_findings(
        snakemake.wildcards.study, tables, {**facts, "settings": spec["settings"]}, figures
    )
    Path(snakemake.output.findings).write_text(text, encoding="utf-8")
