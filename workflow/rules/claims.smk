"""From tables and analyses to verdicts on the published claims."""


def evidence(wildcards):
    """What claims are decided by: a study's evaluations, if it has any, and its analyses.

    The table of trainings refuses those that ended worse than they began.
    """
    analyses = files_of_analyses(study(wildcards))
    if not study(wildcards).has_model:
        return analyses
    trainings = rules.tabulate_trainings.output.trainings[0]
    return analyses | outcomes(wildcards) | {"trainings": trainings}


def settings_of_evidence(wildcards):
    """How evaluations are put side by side; a study of biases alone has none."""
    evaluated = {
        "scopes": study(wildcards).scopes,
        "allocations": study(wildcards).biased,
        "evaluations": study(wildcards).evaluations,
    }
    return evaluated if study(wildcards).has_model else {}


rule decide_claims:
    """Decide every published claim from the study's own numbers."""
    input:
        unpack(evidence),
        claims=local(settings.resolve_path("resources/claims.yaml", ROOT)),
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
