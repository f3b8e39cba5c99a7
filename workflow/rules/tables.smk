"""From per-block likelihoods to tables with paired intervals."""

from spon.allocate import MODE, RANDOM, TRAINED
from spon.sites import DENSE, TEAL
from spon.texts import FIRST

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


def outcomes(wildcards, part=FIRST):
    """All evaluations of a job's study on a text, and what they were made with."""
    return outcomes_of(study(wildcards), part)


def outcomes_of(chosen, part=FIRST):
    """All evaluations of a study on a text, and what they were made with."""
    baselines = {DENSE: rules.evaluate_dense, TEAL: rules.evaluate_teal}
    others = rules.evaluate_spon
    if part != FIRST:
        baselines = {
            DENSE: rules.evaluate_dense_further,
            TEAL: rules.evaluate_teal_further,
        }
        others = rules.evaluate_spon_further
    nll, sites = [], []
    for names in chosen.evaluations:
        maker = baselines.get(names["allocation"], others)
        nll.append(fill(maker.output.nll, study=chosen.name, part=part, **names))
    for name in chosen.biased:
        pattern = rules.allocate_biases.output.sites
        sites.append(fill(pattern, study=chosen.name, allocation=name))
    thresholds = [
        *files_of_runs(rules.choose_thresholds.output.thresholds, chosen.baselines),
        *files_of_runs(rules.centre_on_mode.output.thresholds, chosen.runs(MODE)),
    ]
    return {
        "model": rules.fetch_model.output.model,
        "protocol": fill(rules.tokenize_text.output.protocol, part=part),
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


def outcomes_further(wildcards):
    """All evaluations of a study on a further text, and what they were made with."""
    return outcomes(wildcards, wildcards.part)


rule tabulate_further:
    """Tabulate perplexity and recovery on a further text."""
    input:
        unpack(outcomes_further),
        trainings=rules.tabulate_trainings.output.trainings[0],
    output:
        perplexity=table("perplexity.{part}"),
        damage_recovery=table("damage_recovery.{part}"),
    log:
        "logs/{study}/{part}/tabulate_further.log",
    benchmark:
        "benchmarks/{study}/{part}/tabulate_further.tsv"
    wildcard_constraints:
        part=FURTHER,
    conda:
        "../../envs/tables.yaml"
    params:
        spec=spec(
            "tabulate_further.py",
            scopes=of_study("scopes"),
            allocations=of_study("biased"),
            evaluations=of_study("evaluations"),
        ),
    script:
        "../scripts/tabulate_further.py"


rule compare_texts:
    """Tabulate the recovery of every run on all texts, side by side."""
    input:
        damage_recovery=rules.tabulate.output.damage_recovery[0],
        further=lambda wildcards: expand(
            rules.tabulate_further.output.damage_recovery[0],
            study=wildcards.study,
            part=study(wildcards).further_texts,
        ),
    output:
        texts=table("texts"),
    log:
        "logs/{study}/compare_texts.log",
    benchmark:
        "benchmarks/{study}/compare_texts.tsv"
    conda:
        "../../envs/tables.yaml"
    params:
        spec=spec("compare_texts.py", names=of_study("names_of_texts")),
    script:
        "../scripts/compare_texts.py"


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


rule write_metrics:
    """Write the study in about ten numbers, for `dvc metrics`."""
    input:
        perplexity=rules.tabulate.output.perplexity[0],
        damage_recovery=rules.tabulate.output.damage_recovery[0],
    output:
        metrics="results/{study}/metrics.json",
    log:
        "logs/{study}/write_metrics.log",
    benchmark:
        "benchmarks/{study}/write_metrics.tsv"
    conda:
        "../../envs/tables.yaml"
    params:
        spec=spec("write_metrics.py", allocations=ways_to_learn),
    script:
        "../scripts/write_metrics.py"


rule tables:
    """Make every table of the sweep, but for that of methods."""
    input:
        expand(rules.tabulate.output, study=WITH_MODEL),
        expand(rules.tabulate_trainings.output, study=WITH_MODEL),
        expand(rules.tabulate_controls.output, study=WITH_MODEL),
        expand(rules.write_headline.output, study=WITH_MODEL),
        expand(rules.write_metrics.output, study=WITH_MODEL),
        [
            expand(
                rules.tabulate_further.output, study=one.name, part=one.further_texts
            )
            for one in SWEPT
        ],
        expand(rules.compare_texts.output, study=WITH_TEXTS),
