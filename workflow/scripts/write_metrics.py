"""Write the study's metrics, about ten numbers that DVC compares."""

from spon.job import job
import json
from pathlib import Path

from spon.inputs.check import read_table
from spon.report import metrics

with job(snakemake):
    numbers = metrics.collect_metrics(
        perplexity=read_table(snakemake.input.perplexity),
        damage_recovery=read_table(snakemake.input.damage_recovery),
        allocations=snakemake.params.spec["allocations"],
    )
    # Without a stamp, which DVC would show among the numbers.
    text = json.dumps(numbers, indent=1, allow_nan=False)
    Path(snakemake.output.metrics).write_text(f"{text}\n")
