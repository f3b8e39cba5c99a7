"""What jobs read, where that depends on the config."""

from glob import glob
from hashlib import sha256
from pathlib import Path


def model_files(wildcards):
    """A local model's files, so that another model under the same name is noticed."""
    model = study(wildcards)["model"]
    return (
        sorted(str(path) for path in Path(model["path"]).glob("*.[js]*"))
        if "path" in model
        else []
    )


def corpus(wildcards):
    """The corpus that a text comes from, or the local files that it names."""
    text = study(wildcards)["text"][wildcards.part]
    if text["path"] == "pydoc":
        return rules.collect_docstrings.output[text["split"]]
    named = text.get("data_files", [])
    return [
        file
        for pattern in ([named] if isinstance(named, str) else named)
        if "://" not in pattern
        for file in sorted(glob(pattern))
    ]


def training_record(wildcards):
    """What a local model says that it was trained on, if it does."""
    model = study(wildcards)["model"]
    record = Path(model.get("path", ""), "record.json")
    return str(record) if "path" in model and record.exists() else []


def quantiles(wildcards):
    """The quantiles that thresholds are read from; ranks need none."""
    return (
        rules.read_quantiles.output.quantiles
        if study(wildcards)["method"] == "threshold"
        else []
    )


def imitated(wildcards):
    """The biases whose lengths random directions take on."""
    run = config["allocations"][wildcards.allocation]["norms_of"]
    return rules.train_spon.output.biases.replace("{allocation}", run)


def thresholds(wildcards):
    """The thresholds of an allocation's scope."""
    scope = config["allocations"][wildcards.allocation]["scope"]
    return rules.choose_thresholds.output.thresholds.replace("{scope}", scope)


def allocation(wildcards):
    """Which maps of which layers get a bias, spelled out."""
    chosen = config["allocations"][wildcards.allocation]
    maps = config["scopes"][chosen["scope"]]
    return {
        "maps": maps,
        "biases": chosen.get("biases", maps),
        "layers": chosen["layers"],
    }


def list_evaluations(study):
    """Every evaluation of a study's sweep, as the tables name it, with its file."""
    unset = {"scope": "", "sparsity": None, "seed": None}
    allocations = config["allocations"]
    evaluations = [({"allocation": "DENSE"} | unset, rules.evaluate_dense.output.nll)]
    for scope in dict.fromkeys(
        allocations[name]["scope"] for name in SWEEP["allocations"]
    ):
        for sparsity in SWEEP["sparsities"]:
            teal = {
                "allocation": "BASELINE-TEAL",
                "scope": scope,
                "sparsity": sparsity,
                "seed": None,
            }
            evaluations.append((teal, rules.evaluate_teal.output.nll))
    for run in list_runs("kl", "mean_residual"):
        run = run | {"scope": allocations[run["allocation"]]["scope"]}
        evaluations.append((run, rules.evaluate_spon.output.nll))
    return [(names, path.format(study=study, **names)) for names, path in evaluations]


def list_allocations():
    """The allocations of the sweep that have biases of their own, and how these are found."""
    named = [
        (name, config["allocations"][name].get("learn", "kl"))
        for name in SWEEP["allocations"]
    ]
    return [
        {"allocation": name, "learn": learn}
        for name, learn in named
        if learn != "random"
    ]


def list_runs(*ways):
    """The runs of the sweep whose biases are learned in one of these ways."""
    return [
        {"allocation": name, "sparsity": sparsity, "seed": seed}
        for name, sparsity, seed in settings.list_runs(SWEEP)
        if config["allocations"][name].get("learn", "kl") in ways
    ]


def list_adaptations():
    """The runs whose biases are evaluated on the dense model too."""
    names = config["controls"]["on_dense"]
    return [
        run
        for run in list_runs("kl")
        if run["allocation"] in names and run["seed"] in SWEEP["seeds"]
    ]


def versions(wildcards):
    """The installed versions of the packages whose docstrings are read."""
    return corpus_versions(config["pydoc"]["packages"])


def checkpoint(wildcards):
    """The file of an imported run."""
    names = (wildcards.allocation, float(wildcards.sparsity), int(wildcards.seed))
    return next(
        run["file"]
        for run in find_checkpoints(wildcards.study)
        if (run["allocation"], run["sparsity"], run["seed"]) == names
    )


def list_analysed(study):
    """The runs of a study that are analysed: those that the config names, or all that were imported."""
    if study not in CHECKPOINTS:
        return config["analyses"]["runs"]
    names = ("allocation", "sparsity", "seed")
    return [{name: run[name] for name in names} for run in find_checkpoints(study)]


def runs_to_compare(wildcards):
    """The runs that are analysed, and the other sparsities and seeds of the same allocations in the sweep."""
    analysed = list_analysed(wildcards.study)
    if wildcards.study in CHECKPOINTS:
        return analysed
    names = {run["allocation"] for run in analysed}
    swept = [
        run for run in list_runs("kl", "mean_residual") if run["allocation"] in names
    ]
    return analysed + [run for run in swept if run not in analysed]


def biases_to_compare(wildcards):
    """The biases of these runs."""
    pattern = rules.train_spon.output.biases
    return [
        pattern.format(study=wildcards.study, **run)
        for run in runs_to_compare(wildcards)
    ]


def model_of_layers(wildcards):
    """The model that tells how many layers there are, if the study has one."""
    path = rules.fetch_model.output.model
    return (
        {}
        if wildcards.study in CHECKPOINTS
        else {"model": path.format(study=wildcards.study)}
    )


def layers_of_checkpoints(wildcards):
    """How many layers the model of a study of checkpoints has; none where the model tells."""
    return study(wildcards).get("layers")


def analysis_of_runs(rule, study):
    """The files of one analysis, run by run."""
    return [
        path.format(study=study, **run)
        for path in rule.output
        for run in list_analysed(study)
    ]


def list_analyses(study):
    """The files of every analysis that a study can have; without a model, those of biases alone."""
    by_run = [rules.describe_bias_statistics] if study in CHECKPOINTS else BY_RUN
    paths = [path for rule in by_run for path in analysis_of_runs(rule, study)]
    return paths + [
        path.format(study=study) for rule in BY_STUDY for path in rule.output
    ]


def settings_of_outcomes(wildcards):
    """What tells a study's evaluations apart, and how they are put side by side."""
    swept = {config["allocations"][name]["scope"] for name in SWEEP["allocations"]}
    return {
        "evaluations": [names for names, _ in list_evaluations(wildcards.study)],
        "allocations": list_allocations(),
        "scopes": {
            name: maps for name, maps in config["scopes"].items() if name in swept
        },
        "statistics": config["statistics"],
    }


def settings_of_evidence(wildcards):
    """The settings of a study's evaluations; a study of biases alone has none."""
    return {} if wildcards.study in CHECKPOINTS else settings_of_outcomes(wildcards)


def outcomes(wildcards):
    """All evaluations of a study, and what they were made with."""
    return {
        "model": rules.fetch_model.output.model,
        "protocol": rules.tokenize_text.output.protocol.replace("{part}", "evaluation"),
        "sites": [
            rules.allocate_biases.output.sites.replace(
                "{allocation}", names["allocation"]
            )
            for names in list_allocations()
        ],
        "nll": [path for _, path in list_evaluations(wildcards.study)],
    }


def evidence(wildcards):
    """What a study offers to decide claims by: its evaluations, if it has any, and its analyses."""
    study, alone = wildcards.study, wildcards.study in CHECKPOINTS
    by_run = [rules.describe_bias_statistics] if alone else BY_RUN
    analyses = {
        name: analysis_of_runs(rule, study)
        for rule in by_run
        for name in rule.output.keys()
    }
    analyses |= {
        name: path.format(study=study)
        for rule in BY_STUDY
        for name, path in rule.output.items()
    }
    return analyses | ({} if alone else outcomes(wildcards))


def places_of_thresholds(wildcards):
    """Scope and sparsity of every thresholds file of a study."""
    if wildcards.study in CHECKPOINTS:
        return []
    return [
        {name: names[name] for name in ("scope", "sparsity")}
        for names, _ in list_evaluations(wildcards.study)
        if names["allocation"] == "BASELINE-TEAL"
    ]


def tables_of(rule, study):
    """The tables that a rule writes, as CSV."""
    return {
        Path(path).stem: path.format(study=study)
        for path in rule.output
        if path.endswith(".csv")
    }


def findings(wildcards):
    """Everything that is reported: tables, analyses, and what they rest on."""
    found = evidence(wildcards)
    if wildcards.study in CHECKPOINTS:
        return found | {"checkpoints": rules.list_checkpoints.output.checkpoints}
    thresholds = [
        rules.choose_thresholds.output.thresholds.format(study=wildcards.study, **place)
        for place in places_of_thresholds(wildcards)
    ]
    tables = tables_of(rules.tabulate, wildcards.study)
    controls = tables_of(rules.tabulate_controls, wildcards.study)
    reported = {name: found[name] for name in ("model", "protocol")}
    analyses = {
        name: paths for name, paths in found.items() if name not in outcomes(wildcards)
    }
    return reported | tables | controls | analyses | {"thresholds": thresholds}


def settings_of_findings(wildcards):
    """What the report says about how the study was made."""
    chosen = {"study": study(wildcards), "analyses": config["analyses"]}
    if wildcards.study in CHECKPOINTS:
        return chosen
    made = {
        key: config[key] for key in ("calibrate", "train", "controls", "statistics")
    }
    swept = {name: config["allocations"][name] for name in SWEEP["allocations"]}
    return chosen | made | {"allocations": swept}


def figures_of_findings(wildcards):
    """The figures that a study has, as pictures."""
    drawn = OF_BIASES if wildcards.study in CHECKPOINTS else FIGURES
    return [rule.output.png.format(study=wildcards.study) for rule in drawn]


def benchmarks_so_far(wildcards):
    """The benchmark files that a study's jobs have left so far, by path, with the digest of their contents."""
    found = sorted(glob(f"benchmarks/{wildcards.study}/**/*.tsv", recursive=True))
    return {
        path: sha256(Path(path).read_bytes()).hexdigest()[:16]
        for path in found
        if hasattr(rules, Path(path).stem)
    }


def benchmarks(wildcards):
    """These files of a study that has some."""
    kept = benchmarks_so_far(wildcards)
    if not kept:
        raise WorkflowError(
            f"cost: benchmarks/{wildcards.study} holds no benchmark file: only a study that was run here has a cost"
        )
    return kept
