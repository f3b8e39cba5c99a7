"""What jobs read, where that depends on the config."""

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
    files = text.get("data_files", [])
    return [
        file
        for file in ([files] if isinstance(files, str) else files)
        if "://" not in file
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
    evaluations = [({"allocation": "DENSE"} | unset, rules.evaluate_dense.output.nll)]
    for scope in dict.fromkeys(
        config["allocations"][name]["scope"] for name in SWEEP["allocations"]
    ):
        for sparsity in SWEEP["sparsities"]:
            teal = {
                "allocation": "BASELINE-TEAL",
                "scope": scope,
                "sparsity": sparsity,
                "seed": None,
            }
            evaluations.append((teal, rules.evaluate_teal.output.nll))
    for name, sparsity, seed in settings.list_runs(SWEEP):
        scope = config["allocations"][name]["scope"]
        run = {"allocation": name, "scope": scope, "sparsity": sparsity, "seed": seed}
        evaluations.append((run, rules.evaluate_spon.output.nll))
    return [(names, path.format(study=study, **names)) for names, path in evaluations]


def versions(wildcards):
    """The installed versions of the packages whose docstrings are read."""
    return corpus_versions(config["pydoc"]["packages"])
