"""Decide every published claim from the study's own numbers."""

import json
from pathlib import Path

from spon.claims import effects, ledger, verdicts
from spon.job import job

with job(snakemake):
    paths = dict(snakemake.input.items())
    decided = verdicts.decide_claims(
        ledger.read_claims(Path(paths["claims"]).read_text(encoding="utf-8")),
        effects.read_evidence(paths, snakemake.params.spec["evidence"]),
    )
    text = json.dumps(decided, indent=1, allow_nan=False, ensure_ascii=False)
    Path(snakemake.output.claims).write_text(text + "\n", encoding="utf-8")
