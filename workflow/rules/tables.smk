"""From per-block likelihoods to tables with paired intervals."""

from spon.allocate import MODE, RANDOM, TRAINED
from spon.sites import DENSE, TEAL

TABLES = [
    "perplexity",
    "damage_recovery",
    "layer_position",
    "marginal_gain",
    "pareto",
    "contrasts",
]


def table(name):
    """A table's files: as CSV, which goes into the report, as JSON and as LaTeX."""
    path = f"results/{{study}}/tables/{name}"
    shown = report(
        f"{path}.csv",
        caption="../report/tables.rst",
        category="{study}",
        subcategory="tables",
        labels={"table": name.replace("_", " ")},
    )
    return [shown, f"{path}.json", f"{path}.tex"]


def outcomes(wildcards):
    """All evaluations of a study, and what they were made with."""
    chosen = study(wildcards)
    baselines = {DENSE: rules.evaluate_dense, TEAL: rules.evaluate_teal}
    nll, sites = [], []
    for names in chosen.evaluations:
        maker = baselines.get(names["allocation"], rules.evaluate_spon)
        nll.append(fill(maker.output.nll, study=chosen.name, **names))
    for name in chosen.biased:
        pattern = rules.allocate_biases.output.sites
        sites.append(fill(pattern, study=chosen.name, allocation=name))
    thresholds = [
        *files_of_runs(rules.choose_thresholds.output.thresholds, chosen.baselines),
        *files_of_runs(rules.centre_on_mode.output.thresholds, chosen.runs(MODE)),
    ]
    return {
        "model": rules.fetch_model.output.model,
        "protocol": fill(rules.tokenize_text.output.protocol, part="evaluation"),
        "sites": sites,
        "nll": nll,
        "thresholds": expand(thresholds, study=chosen.name),
    }


def files_of_runs(pattern, runs):
    """The files of some runs of a study, by the pattern of the rule that makes them."""
    return [fill(pattern, **run) for run in runs]


def ways_to_learn(wildcards):
    """How each allocation of a study learns its biases."""
    return {one.name: {"learn": one.learn} for one in study(wildcards).swept}


rule tabulate_trainings:
    """Tabulate how long every training took, and whether it converged."""
    input:
        curves=lambda wildcards: files_of_runs(
            rules.train_spon.output.curve, study(wildcards).runs(TRAINED)
        ),
    output:
        trainings=table("trainings"),
    log:
        "logs/{study}/tabulate_trainings.log",
    benchmark:
        "benchmarks/{study}/tabulate_trainings.tsv"
    conda:
        "../../envs/tables.yaml"
    params:
        spec=spec(
            "tabulate_trainings.py",
            "train.schedule",
            "train.allow_worse",
            runs=lambda wildcards: study(wildcards).runs(TRAINED),
        ),
    script:
        "../scripts/tabulate_trainings.py"


rule tabulate:
    """Tabulate perplexity, recovery, position, marginal gain, frontiers and contrasts."""
    input:
        unpack(outcomes),
        trainings=rules.tabulate_trainings.output.trainings[0],
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
        spec=spec(
            "tabulate.py",
            scopes=of_study("scopes"),
            allocations=of_study("biased"),
            evaluations=of_study("evaluations"),
        ),
    script:
        "../scripts/tabulate.py"


rule tabulate_controls:
    """Tabulate what training gains beside untrained biases, and beside itself on the dense model."""
    input:
        unpack(outcomes),
        # No table is made of a training that its own table refuses.
        trainings=rules.tabulate_trainings.output.trainings[0],
        on_dense=lambda wildcards: files_of_runs(
            rules.evaluate_on_dense.output.nll, study(wildcards).adaptations
        ),
        draws=lambda wildcards: files_of_runs(
            rules.evaluate_draws.output.draws, study(wildcards).runs(RANDOM)
        ),
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
            scopes=of_study("scopes"),
            allocations=of_study("biased"),
            evaluations=of_study("evaluations"),
            adaptations=of_study("adaptations"),
            random=lambda wildcards: study(wildcards).runs(RANDOM),
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
        spec=spec("write_headline.py", allocations=ways_to_learn),
    script:
        "../scripts/write_headline.py"


rule tables:
    """Make every table of the sweep."""
    input:
        expand(rules.tabulate.output, study=WITH_MODEL),
        expand(rules.tabulate_trainings.output, study=WITH_MODEL),
        expand(rules.tabulate_controls.output, study=WITH_MODEL),
        expand(rules.write_headline.output, study=WITH_MODEL),
