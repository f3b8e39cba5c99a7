"""From per-block likelihoods to tables with paired intervals."""

TABLES = [
    "perplexity",
    "damage_recovery",
    "layer_position",
    "marginal_gain",
    "pareto",
    "contrasts",
]


rule tabulate:
    """Tabulate perplexity, recovery, layer position, marginal gain, frontiers and contrasts, with intervals."""
    input:
        unpack(outcomes),
    output:
        **{name: table(name) for name in TABLES},
        summary="results/{study}/summary.json",
    log:
        "logs/{study}/tabulate.log",
    benchmark:
        "benchmarks/{study}/tabulate.tsv"
    conda:
        "../../envs/tables.yaml"
    params:
        spec=spec("tabulate.py", outcomes=settings_of_outcomes),
    script:
        "../scripts/tabulate.py"


rule tabulate_controls:
    """Tabulate what trained runs gain beside biases that nobody trained, and beside themselves on the dense model."""
    input:
        unpack(outcomes),
        on_dense=[
            expand(rules.evaluate_on_dense.output.nll, allow_missing=True, **run)[0]
            for run in list_adaptations()
        ],
        draws=[
            expand(rules.evaluate_draws.output.draws, allow_missing=True, **run)[0]
            for run in list_runs("random")
        ],
    output:
        controls=table("controls"),
    log:
        "logs/{study}/tabulate_controls.log",
    benchmark:
        "benchmarks/{study}/tabulate_controls.tsv"
    conda:
        "../../envs/tables.yaml"
    params:
        spec=spec(
            "tabulate_controls.py",
            outcomes=settings_of_outcomes,
            adaptations=lambda wildcards: list_adaptations(),
            random=lambda wildcards: list_runs("random"),
            norms_of=lambda wildcards: {
                run["allocation"]: config["allocations"][run["allocation"]]["norms_of"]
                for run in list_runs("random")
            },
        ),
    script:
        "../scripts/tabulate_controls.py"


rule write_headline:
    """Write the study in a handful of rows, as markdown."""
    input:
        perplexity=rules.tabulate.output.perplexity[0],
        damage_recovery=rules.tabulate.output.damage_recovery[0],
    output:
        headline="results/{study}/headline.md",
    log:
        "logs/{study}/write_headline.log",
    benchmark:
        "benchmarks/{study}/write_headline.tsv"
    conda:
        "../../envs/tables.yaml"
    params:
        spec=spec("write_headline.py"),
    script:
        "../scripts/write_headline.py"


rule tables:
    """Make every table of the sweep."""
    input:
        expand(rules.tabulate.output, study=STUDIES),
        expand(rules.tabulate_controls.output, study=STUDIES),
        expand(rules.write_headline.output, study=STUDIES),
