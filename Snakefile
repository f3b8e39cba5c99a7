"""Activation sparsity with learned bias correction, from a model and text to figures."""

import shutil


# Beside this file, wherever Snakemake was called.
configfile: Path(workflow.basedir, "config/config.yaml")


report: "workflow/report/workflow.rst"


include: "workflow/rules/common.smk"
include: "workflow/rules/inputs.smk"
include: "workflow/rules/calibrate.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/checkpoints.smk"
include: "workflow/rules/evaluate.smk"
include: "workflow/rules/analyses.smk"
include: "workflow/rules/tables.smk"
include: "workflow/rules/figures.smk"
include: "workflow/rules/claims.smk"
include: "workflow/rules/report.smk"
include: "workflow/rules/cost.smk"
include: "workflow/rules/pretrain.smk"


# What jobs have kept for one another is of no use to a finished study; another target may run beside
# one that is not.
onsuccess:
    if not workflow.dag_settings.targets or "all" in workflow.dag_settings.targets:
        for name in WITH_MODEL:
            shutil.rmtree(f".snakemake/kept/{name}", ignore_errors=True)


rule all:
    """Make every table and figure of the sweep (default)."""
    default_target: True
    input:
        rules.tables.input,
        rules.analyses.input,
        rules.figures.input,
        rules.findings.input,
