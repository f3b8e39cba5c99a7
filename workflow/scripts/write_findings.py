"""Write the findings of a study as the text of a short paper."""

from spon.job import job
import json
import os
from pathlib import Path

import pandas as pd

from spon.report.findings import write_findings

with job(snakemake):
    folder = Path(snakemake.output.findings).parent
    paths = {
        name: [value] if isinstance(value, str) else list(value)
        for name, value in snakemake.input.items()
    }
    tables = {
        name: pd.concat(map(pd.read_csv, files), ignore_index=True)
        for name, files in paths.items()
        if files and files[0].endswith(".csv")
    }
    facts = {
        name: json.loads(Path(files[0]).read_text(encoding="utf-8"))
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
