"""Write and show what a study will cost."""

from spon.job import job

import pandas as pd

from spon.cost import plan, workload
from spon.inputs.check import read_json

with job(snakemake) as here:
    spec = snakemake.params.spec
    prompts = workload.read_prompts(snakemake.input.prompts)
    estimate = plan.make_plan(
        workload.Scale(spec["shape"], spec["settings"] | {"prompts": prompts}),
        spec["jobs"],
        rate=read_json(snakemake.input.rate),
        machine=spec["machine"],
        benchmarks={path: pd.read_csv(path, sep="\t") for path in spec["benchmarks"]},
        rule_files=spec["rule_files"],
    )
    here.write_json(estimate, snakemake.output.plan)
    here.say(plan.describe_plan(estimate, snakemake.wildcards.study))
