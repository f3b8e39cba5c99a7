"""Decide every published claim from the study's own numbers."""

from spon.job import job
from pathlib import Path

from spon.claims import effects, ledger, verdicts

with job(snakemake) as here:
    paths = dict(snakemake.input.items())
    decisions = verdicts.decide_claims(
        ledger.read_claims(Path(paths["claims"]).read_text(encoding="utf-8")),
        effects.read_evidence(paths, snakemake.params.spec["evidence"]),
    )
    here.write_json(decisions, snakemake.output.claims)
