"""From per-block likelihoods to tables with paired intervals."""

TABLES = ["perplexity", "damage_recovery", "layer_position", "marginal_gain", "pareto", "contrasts"]


def measured(wildcards):
    """Every evaluation of a study's sweep, as the tables name it, with its file."""
    fill = {"study": wildcards.study}
    yield {"allocation": "DENSE"}, rules.evaluate_dense.output.nll.format(**fill)
    scopes = dict.fromkeys(config["allocations"][name]["scope"] for name in SWEEP["allocations"])
    for scope in scopes:
        for sparsity in SWEEP["sparsities"]:
            place = {"scope": scope, "sparsity": sparsity}
            yield {"allocation": "BASELINE-TEAL"} | place, rules.evaluate_teal.output.nll.format(**fill, **place)
    for name, sparsity, seed in settings.list_runs(SWEEP):
        run = {"allocation": name, "sparsity": sparsity, "seed": seed}
        scope = config["allocations"][name]["scope"]
        yield run | {"scope": scope}, rules.evaluate_spon.output.nll.format(**fill, **run)


rule tabulate:
    """Tabulate perplexity, recovery, layer position, marginal gain, frontiers and contrasts, with intervals."""
    input:
        model=rules.fetch_model.output.model,
        protocol="results/{study}/tokens/evaluation.json",
        sites=expand("results/{{study}}/{allocation}/sites.csv", allocation=SWEEP["allocations"]),
        nll=lambda wildcards: [path for _, path in measured(wildcards)],
    output:
        expand("results/{{study}}/tables/{table}.{form}", table=TABLES, form=["csv", "json", "tex"]),
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
            measured=lambda wildcards: [names for names, _ in measured(wildcards)],
            scopes="scopes",
            allocations=lambda wildcards: SWEEP["allocations"],
            statistics="statistics",
        ),
    script:
        "../scripts/tabulate.py"


rule tables:
    """Make every table of the sweep."""
    input:
        expand("results/{study}/summary.json", study=SWEEP["studies"]),
        expand(
            "results/{study}/tables/{table}.{form}", study=SWEEP["studies"], table=TABLES, form=["csv", "json", "tex"]
        ),
