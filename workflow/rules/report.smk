"""What may be concluded: verdicts on the published claims, and the findings as a report."""


rule decide_claims:
    """Decide every published claim from the study's own numbers."""
    input:
        unpack(evidence),
        claims=settings.place("resources/claims.yaml", ROOT),
    output:
        claims=report(
            "results/{study}/claims.json",
            caption="../report/claims.rst",
            category="{study}",
            subcategory="findings",
            labels={"file": "verdicts on the published claims"},
        ),
    log:
        "logs/{study}/decide_claims.log",
    benchmark:
        "benchmarks/{study}/decide_claims.tsv"
    conda:
        "../../envs/tables.yaml"
    params:
        spec=spec("decide_claims.py", evidence=settings_of_evidence),
    script:
        "../scripts/decide_claims.py"


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
        gpu=GPU,
        torch_threads=TORCH_THREADS,
    params:
        spec=spec("describe_environment.py"),
    script:
        "../scripts/describe_environment.py"


rule write_findings:
    """Write what the study found, as a short paper."""
    input:
        unpack(findings),
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
        spec=spec(
            "write_findings.py",
            settings=settings_of_findings,
            thresholds=places_of_thresholds,
        ),
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
    """Write the findings of every study of the sweep, with the verdicts on the published claims."""
    input:
        expand(rules.render_page.output, study=SWEEP["studies"]),
