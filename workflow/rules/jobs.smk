"""Which jobs a study consists of, and what decides their size: what its plan is made of."""

import json

from spon import shapes, source


def shape(wildcards):
    """The shape of a study's model, without its weights where they are not here."""
    name, model = wildcards.study, study(wildcards)["model"]
    if "path" in model:
        return source.read_shape(Path(model["path"]))
    pinned = rules.fetch_model.output.model.format(study=name)
    described = json.loads(Path(pinned).read_text()) if Path(pinned).exists() else {}
    if described.get("source") == model:
        return described["shape"]
    try:
        return shapes.look_up(model["repository"], settings.SHAPES)
    except ValueError as unknown:
        # Told by the job: Snakemake tells what fails here with a traceback.
        return {"unknown": f"plan: {unknown}: run `snakemake {pinned}` first"}


def list_jobs(wildcards):
    """All jobs of a study, by rule, with what decides their size."""
    chosen, name = study(wildcards), wildcards.study
    trained = list_learned(name)
    places = list_places(wildcards, trained)
    scopes = list(dict.fromkeys(place["scope"] for place in places))
    allocations = [names["allocation"] for names in list_allocations()]
    allocations += [run["allocation"] for run in trained]
    collected = any(text["path"] == "pydoc" for text in chosen["text"].values())
    counts = {
        "fetch_model": [{}],
        "collect_docstrings": [{}] * collected,
        "tokenize_text": [{"part": part} for part in chosen["text"]],
        "tokenize_prompts": [{}],
        "read_quantiles": [
            {"scope": scope} for scope in scopes if chosen["method"] == "threshold"
        ],
        "choose_thresholds": places,
        "allocate_biases": [
            {"allocation": allocation} for allocation in dict.fromkeys(allocations)
        ],
        "train_spon": [run for run in trained if learns(run) == "kl"],
        "average_residual": [run for run in trained if learns(run) == "mean_residual"],
        **group_evaluations(name),
        "evaluate_on_dense": list_adaptations(),
        "evaluate_draws": list_runs("random"),
        **{rule.rule.name: list_analysed(name) for rule in BY_RUN},
        **{rule.rule.name: [{}] for rule in BY_STUDY + list_last() + FIGURES},
    }
    return [{"rule": rule, **job} for rule, jobs in counts.items() for job in jobs]


def list_last():
    """The rules that turn likelihoods and analyses into tables and a report; figures apart."""
    return [
        rules.tabulate,
        rules.tabulate_controls,
        rules.write_headline,
        rules.decide_claims,
        rules.describe_environment,
        rules.write_findings,
        rules.render_page,
    ]


def learns(run):
    """How the biases of a run are found."""
    return config["allocations"][run["allocation"]].get("learn", "kl")


def list_learned(study):
    """The runs with biases of their own: of the sweep, those that are analysed, and those that others imitate."""
    imitated = [
        run | {"allocation": config["allocations"][run["allocation"]]["norms_of"]}
        for run in list_runs("random")
    ]
    runs = list_runs("kl", "mean_residual") + list_analysed(study) + imitated
    return [run for place, run in enumerate(runs) if run not in runs[:place]]


def list_places(wildcards, runs):
    """Every scope and sparsity that thresholds are chosen for: those of the sweep and of these runs."""
    places = places_of_thresholds(wildcards) + [
        {
            "scope": config["allocations"][run["allocation"]]["scope"],
            "sparsity": run["sparsity"],
        }
        for run in runs
    ]
    return [one for place, one in enumerate(places) if one not in places[:place]]


def group_evaluations(study):
    """The evaluations of the sweep's tables, by rule."""
    named = {"DENSE": "evaluate_dense", "BASELINE-TEAL": "evaluate_teal"}
    found = {"evaluate_dense": [], "evaluate_teal": [], "evaluate_spon": []}
    for names, _ in list_evaluations(study):
        found[named.get(names["allocation"], "evaluate_spon")].append(names)
    return found


def settings_of_rate(wildcards):
    """What decides how fast a study's model runs."""
    chosen = study(wildcards)
    collected = any(text["path"] == "pydoc" for text in chosen["text"].values())
    return {
        "dtype": chosen["dtype"],
        "method": chosen["method"],
        "block_length": chosen["protocol"]["block_length"],
        "teraflops": config["plan"]["teraflops"],
        "memory_gib": config["memory_gib"],
        "train": config["train"],
        "evaluate": config["evaluate"],
        "pydoc": config["pydoc"] if collected else None,
    }


def settings_of_plan(wildcards):
    """What decides how much a study computes."""
    sections = ("calibrate", "train", "evaluate", "controls", "analyses")
    catalogues = ("scopes", "allocations", "memory_gib")
    asked = {key: config[key] for key in (*sections, *catalogues)}
    return study(wildcards) | asked


def machine(wildcards):
    """How many jobs run at one time, and whether models run on a GPU."""
    teraflops = config["plan"]["teraflops"]
    return {
        "gpu": bool(GPU or teraflops),
        "teraflops": teraflops,
        "cores": min(workflow.cores, CPUS),
        "side_by_side": max(
            1, min(workflow.cores // MODEL_CORES, CPUS // TORCH_THREADS)
        ),
    }


def plans(wildcards):
    """The plan of every study that has a model."""
    if not STUDIES:
        raise WorkflowError(
            "plan: the sweep's studies have checkpoints alone and run no model, so there is nothing to plan"
        )
    return expand(rules.write_plan.output, study=STUDIES)
