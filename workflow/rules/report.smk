"""The findings as a report, and what the study ran on."""


rule describe_environment:
    """Write down what the study runs on."""
    output:
        environment="results/{study}/environment.json",
    log:
        "logs/{study}/describe_environment.log",
    benchmark:
        "benchmarks/{study}/describe_environment.tsv"
    conda:
        "../../envs/tables.yaml"
    resources:
        **SMALL,
        gpu=GPU,
        torch_threads=TORCH_THREADS,
    params:
        spec=spec("describe_environment.py"),
    script:
        "../scripts/describe_environment.py"


def tables_of(rule, study):
    """The tables that a rule writes, as CSV."""
    return {
        Path(path).stem: fill(path, study=study.name)
        for path in rule.output
        if path.endswith(".csv")
    }


def reported(wildcards):
    """Everything that is reported: tables, analyses, and what they rest on."""
    chosen, analyses = study(wildcards), files_of_analyses(study(wildcards))
    if not chosen.has_model:
        listed = rules.list_checkpoints.output.checkpoints
        return analyses | {"checkpoints": listed}
    made_with = outcomes(wildcards)
    thresholds = rules.choose_thresholds.output.thresholds
    texts = tables_of(rules.compare_texts, chosen) if chosen.further_texts else {}
    tasks = (
        tables_of(rules.tabulate_tasks, chosen) if has_measured_tasks(chosen) else {}
    )
    return {
        "model": made_with["model"],
        "protocol": made_with["protocol"],
        **tables_of(rules.tabulate, chosen),
        **tables_of(rules.tabulate_trainings, chosen),
        **tables_of(rules.tabulate_controls, chosen),
        **texts,
        **tasks,
        **analyses,
        "thresholds": files_of_runs(thresholds, chosen.baselines),
    }


def figures_of_findings(wildcards):
    """The figures that a study has, as pictures."""
    chosen = study(wildcards)
    of_tasks = [rules.plot_tasks] * has_measured_tasks(chosen)
    return [rule.output.png for rule in [*list_figures(chosen), *of_tasks]]


rule write_findings:
    """Write what the study found, as a short paper."""
    input:
        unpack(reported),
        figures=figures_of_findings,
        claims=rules.decide_claims.output.claims,
        environment=rules.describe_environment.output.environment,
    output:
        findings="results/{study}/findings.md",
    log:
        "logs/{study}/write_findings.log",
    benchmark:
        "benchmarks/{study}/write_findings.tsv"
    conda:
        "../../envs/tables.yaml"
    params:
        spec=spec("write_findings.py", settings=of_study("settings_of_findings")),
    script:
        "../scripts/write_findings.py"


rule render_page:
    """Render the findings as one page that opens from disk."""
    input:
        findings=rules.write_findings.output.findings,
        figures=figures_of_findings,
    output:
        page=report(
            "results/{study}/findings.html",
            caption="../report/findings.rst",
            category="{study}",
            subcategory="findings",
            labels={"file": "the findings"},
        ),
    log:
        "logs/{study}/render_page.log",
    benchmark:
        "benchmarks/{study}/render_page.tsv"
    conda:
        "../../envs/tables.yaml"
    params:
        spec=spec("render_page.py"),
    script:
        "../scripts/render_page.py"


rule findings:
    """Write the findings of every study, with the verdicts on the published claims."""
    input:
        expand(rules.render_page.output, study=[one.name for one in SWEPT]),
