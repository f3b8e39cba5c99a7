"""From per-block likelihoods to tables with paired intervals."""

TABLES = [
    "perplexity",
    "damage_recovery",
    "layer_position",
    "marginal_gain",
    "pareto",
    "contrasts",
]
FORMS = [".csv", ".json", ".tex"]


rule tabulate:
    """Tabulate perplexity, recovery, layer position, marginal gain, frontiers and contrasts, with intervals."""
    input:
        model=rules.fetch_model.output.model,
        protocol=rules.tokenize_text.output.protocol.replace("{part}", "evaluation"),
        sites=expand(
            rules.allocate_biases.output.sites,
            allocation=SWEEP["allocations"],
            allow_missing=True,
        ),
        nll=lambda wildcards: [path for _, path in list_evaluations(wildcards.study)],
    output:
        **{
            table: multiext(f"results/{{study}}/tables/{table}", *FORMS)
            for table in TABLES
        },
        summary="results/{study}/summary.json",
    log:
        "logs/{study}/tabulate.log",
    benchmark:
        "benchmarks/{study}/tabulate.tsv"
    conda:
        "../../envs/tables.yaml"
    params:
        spec=spec(
            "tabulate.py",
            evaluations=lambda wildcards: [
                names for names, _ in list_evaluations(wildcards.study)
            ],
            allocations=lambda wildcards: SWEEP["allocations"],
            scopes="scopes",
            statistics="statistics",
        ),
    script:
        "../scripts/tabulate.py"


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
        expand(rules.tabulate.output, study=SWEEP["studies"]),
        expand(rules.write_headline.output, study=SWEEP["studies"]),
