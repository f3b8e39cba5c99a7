"""Write and show what a study will cost."""

import json
from pathlib import Path

import pandas as pd

from spon.cost import plan, workload
from spon.job import job

with job(snakemake) as here:
    spec = snakemake.params.spec
    prompts = workload.read_prompts(snakemake.input.prompts)
    costs = plan.make_plan(
        workload.Study(spec["shape"], spec["settings"] | {"prompts": prompts}),
        spec["jobs"],
        rate=json.loads(Path(snakemake.input.rate).read_text()),
        machine=spec["machine"],
        benchmarks={path: pd.read_csv(path, sep="\t") for path in spec["benchmarks"]},
    )
    here.write_json(costs, snakemake.output.plan)
    here.say(plan.describe_plan(costs, snakemake.wildcards.study))
