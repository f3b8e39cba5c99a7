"""Write the findings of a study as the text of a short paper."""

from spon.job import job
import os
from pathlib import Path

import pandas as pd

from spon.inputs.check import read_json, read_table
from spon.report.findings import write_findings

with job(snakemake):
    folder = Path(snakemake.output.findings).parent
    paths = {
        name: [value] if isinstance(value, str) else list(value)
        for name, value in snakemake.input.items()
    }
    tables = {
        name: pd.concat([read_table(file, is_filled=False) for file in files], ignore_index=True)
        for name, files in paths.items()
        if files and files[0].endswith(".csv")
    }
    facts = {
        name: read_json(files[0])
        for name, files in paths.items()
        if files and files[0].endswith(".json")
    }
    figures = {
        Path(path).stem: Path(os.path.relpath(path, folder)).as_posix()
        for path in paths.get("figures", [])
    }
    facts["settings"] = snakemake.params.spec["settings"]
    text = write_findings(snakemake.wildcards.study, tables, facts, figures)
    Path(snakemake.output.findings).write_text(text, encoding="utf-8")
