"""Studies that differ in their method alone, side by side at equal sparsity."""

from spon.methods.names import THRESHOLD


def others(one):
    """The studies of the sweep that differ from one in their method alone."""
    return [other for other in SWEPT if one.differs_in_method(other)]


# Those that others are compared with.
REFERENCES = [
    one.name
    for one in SWEPT
    if one.has_model and one.settings["method"] == THRESHOLD and others(one)
]


def methods(wildcards):
    """The studies of a comparison by their methods, that of thresholds first."""
    compared = [study(wildcards), *others(study(wildcards))]
    return {one.settings["method"]: one for one in compared}


def outcomes_of_methods(wildcards):
    """All evaluations of these studies, and what they were made with."""
    files = {}
    for method, one in methods(wildcards).items():
        for kind, paths in outcomes_of(one).items():
            filled = expand(paths, study=one.name)
            files[f"{method}_{kind}"] = filled[0] if isinstance(paths, str) else filled
    return files


def trainings_of_methods(wildcards):
    """Their tables of trainings, which refuse those that ended worse than they began."""
    names = [one.name for one in methods(wildcards).values()]
    return expand(rules.tabulate_trainings.output.trainings[0], study=names)


rule compare_methods:
    """Compare methods of sparsifying with thresholds, with and without biases."""
    input:
        unpack(outcomes_of_methods),
        trainings=trainings_of_methods,
    output:
        methods=table("methods"),
        page="results/{study}/tables/methods.md",
    log:
        "logs/{study}/compare_methods.log",
    benchmark:
        "benchmarks/{study}/compare_methods.tsv"
    wildcard_constraints:
        study=any_of(REFERENCES),
    conda:
        "../../envs/tables.yaml"
    params:
        spec=spec(
            "compare_methods.py",
            scopes=of_study("scopes"),
            allocations=of_study("biased"),
            evaluations=of_study("evaluations"),
            methods=lambda wildcards: list(methods(wildcards)),
        ),
    script:
        "../scripts/compare_methods.py"


def comparisons(wildcards):
    """Every comparison of the sweep."""
    if not REFERENCES:
        raise WorkflowError(
            "methods: sweep.studies has no study by threshold and another that differs from it in its method "
            "alone, so there is nothing to compare: see config/methods.yaml"
        )
    return expand(rules.compare_methods.output, study=REFERENCES)


rule methods:
    """Compare the methods of the sweep's studies (part of the default, where they differ so)."""
    input:
        comparisons,
