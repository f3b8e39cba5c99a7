"""Describe what a study rests on: its model, text, method, machine, and its limits."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePath

import pandas as pd

from spon.allocate import TRAINED
from spon.report.markdown import (
    join_blocks,
    join_words,
    say_percent,
    write_table,
)
from spon.report.sections.results import keep_trained
from spon.report.sections.trainings import has_rule, name_trainings
from spon.report.seeds import say_trainings

RUN = ["allocation", "sparsity", "seed"]
# Published biases are of models with more parameters than this.
SMALL = 1e8
# Of so many trainings the spread is known well enough.
MANY_TRAININGS = 5
# More parameters than this are written in millions.
MANY = 1e5
METHODS = {
    "threshold": (
        "an input entry is set to zero if its magnitude is at most a threshold, one per site, "
        "which is the quantile of the magnitudes on calibration text (TEAL)"
    ),
    "topk": "every token keeps the same number of input entries of each site, the largest ones",
    "wina": (
        "an input entry is set to zero if its magnitude times the norm of the weight's column "
        "that it meets is at most a threshold, one per site, which is the quantile of that score "
        "on calibration text (WINA)"
    ),
    "greedy": (
        "an input entry is set to zero if its magnitude is at most a threshold, one per site, "
        "which is a quantile of the magnitudes on calibration text, at sparsities that TEAL's "
        "greedy optimisation gave the maps of a block, whose weights together have the one named"
    ),
}


def describe_setup(
    model: Mapping,
    protocol: Mapping,
    settings: Mapping,
    perplexity: pd.DataFrame | None = None,
) -> str:
    """Describe the method, the model, the text, the training and the allocations."""
    rows = [*describe_model(model), *describe_text(protocol), *describe_training(settings)]
    return join_blocks(
        describe_method(settings),
        write_table(["", ""], rows, words=2),
        describe_allocations(settings, perplexity),
    )


def describe_method(settings: Mapping) -> str:
    """Describe what is done to a model, in a paragraph."""
    method = METHODS[settings["study"]["method"]]
    return (
        "A *site* is one linear map `W` of one decoder layer: `W x` becomes `W S(x) + b`, with a "
        f"learned constant `b`, the bias. For `S`, {method}. The same sites without biases are "
        "called TEAL, with biases SPON. Biases are trained to lower the KL divergence of the "
        "sparse model's next-token distributions from the dense one's, all weights frozen."
    )


def describe_model(model: Mapping) -> list[list[str]]:
    """Return the rows on the model: its shape, and the digests of its weights."""
    shape = model["shape"]
    weights = [digest for file, digest in model["files"].items() if file.endswith(".safetensors")]
    digests = ", ".join(f"`{digest[:16]}…`" for digest in weights)
    words = (
        f"`{name_source(model['source'])}`: {shape['parameters']:,} parameters, "
        f"{shape['layers']} layers of width {shape['width']}"
    )
    rows = [["model", words], ["weights, SHA-256", digests or "not recorded"]]
    if "gguf" in model:
        rows.insert(1, ["stored as", say_quantisation(model["gguf"])])
    return rows


def say_quantisation(gguf: Mapping) -> str:
    """Write in which types a GGUF file holds its tensors: `211 Q4_1, 61 F32`."""
    kinds = sorted(gguf["quantisation"].items(), key=lambda kind: -kind[1])
    return ", ".join(f"{count} tensors {name}" for name, count in kinds)


def name_source(source: Mapping) -> str:
    """Name the repository, package or path that a model or a text comes from.

    Of an absolute path only the last part is named, since the rest is of one machine.
    """
    if "repository" in source:
        revision = f" at {source['revision']}" if "revision" in source else ""
        return f"{source['repository']}{revision}"
    if "package" in source:
        return f"{source['file']} of {source['package']}"
    path = PurePath(source.get("gguf") or source["path"])
    return path.name if path.is_absolute() else str(path)


def say_size(model: Mapping) -> str:
    """Write the number of a model's parameters, in millions if they are many."""
    parameters = model["shape"]["parameters"]
    return f"{parameters / 1e6:,.1f} million" if parameters > MANY else f"{parameters:,}"


def describe_text(protocol: Mapping) -> list[list[str]]:
    """Return the rows on the held-out text: its source, its blocks, and the protocol's hash."""
    text, cut = protocol["settings"]["text"], protocol["settings"]["protocol"]
    bos = "with BOS" if cut["bos"] else "without BOS"
    dense = ""
    if cut["dense_share"]:
        dense = f"; first {say_percent(cut['dense_share'])} of each left dense"
    return [
        [
            "held-out text",
            f"`{name_source(text)}`, split `{text['split']}`: {protocol['blocks']:,} blocks",
        ],
        ["blocks", f"{cut['block_length']} tokens, joined by `{cut['join']!r}`, {bos}{dense}"],
        ["protocol", f"`{protocol['protocol']}` (numbers under another hash are not comparable)"],
    ]


def describe_training(settings: Mapping) -> list[list[str]]:
    """Return the row on the recipe that trains biases, or none if the settings have no recipe."""
    if "train" not in settings:
        return []
    train = settings["train"]
    recipe = (
        f"{train['blocks']:,} blocks, AdamW, {train['batch_blocks']} blocks a step, "
        f"{train['schedule']} schedule"
    )
    return [["training", recipe]]


def describe_allocations(settings: Mapping, perplexity: pd.DataFrame | None) -> str:
    """Write a table of the trained allocations: their scope, and their layers.

    Args:
        settings: Have the allocations.
        perplexity: If it is given, an allocation that it lacks is left out.
    """
    rows = [
        [name, allocation["scope"], say_biases(allocation)]
        for name, allocation in settings.get("allocations", {}).items()
        if allocation["learn"] == TRAINED
        and (perplexity is None or name in set(perplexity["allocation"]))
    ]
    header = ["allocation", "sites sparsified", "layers with a bias"]
    return write_table(header, rows, words=3) if rows else ""


def say_biases(allocation: Mapping) -> str:
    """Write the layers with a bias, and the maps too if not all that are sparsified have one."""
    layers = say_layers(allocation["layers"])
    if list(allocation["biases"]) == list(allocation["maps"]):
        return layers
    maps = join_words(kind.split(".")[-1] for kind in allocation["biases"])
    return f"{layers}, at {maps}"


def say_layers(layers: str | list | Mapping) -> str:
    """Write the layers of an allocation: `all`, `0, 3`, or `first 50 %, nearest the input`."""
    if isinstance(layers, Mapping):
        (end, share), *_ = layers.items()
        if end == "random":
            return f"{say_percent(share)} at random, seed {layers['seed']}"
        return f"{end} {say_percent(share)}, nearest the {'input' if end == 'first' else 'output'}"
    return layers if isinstance(layers, str) else ", ".join(str(layer) for layer in layers)


def describe_checkpoints(checkpoints: Sequence[Mapping]) -> str:
    """Write a table of the files that a study of biases alone consists of."""
    introduction = (
        "This study has learned biases and no model: each file below is a run, a constant per "
        "site that is added to a sparsified linear map's output. What needs biases alone is "
        "analysed; nothing is run on text."
    )
    header = ["run", "sparsity", "seed", "file", "sites", "SHA-256"]
    rows = [
        [
            run["allocation"],
            say_percent(run["sparsity"]),
            str(run["seed"]),
            f"`{PurePath(run['file']).name}`",
            str(run["sites"]),
            f"`{run['sha256']}`",
        ]
        for run in checkpoints
    ]
    return join_blocks(introduction, write_table(header, rows, words=6))


def describe_limits(
    settings: Mapping,
    model: Mapping | None = None,
    perplexity: pd.DataFrame | None = None,
    trainings: pd.DataFrame | None = None,
    texts: pd.DataFrame | None = None,
    tasks: pd.DataFrame | None = None,
    bias_statistics: pd.DataFrame | None = None,
) -> str:
    """List what the findings do not say; a limit that this study does not have is left out."""
    if perplexity is None:
        limits = [
            "No model was run: nothing is said of perplexity, of damage or of hidden states."
        ]
    else:
        trained = keep_trained(perplexity.dropna(subset=["seed"]), settings)
        limits = [*limit_to_trainings(trained), *limit_to_converged(trainings)]
        limits += [*limit_to_model(model), *limit_to_text(texts, tasks)]
    if bias_statistics is not None:
        limits += limit_to_analysed_runs(bias_statistics, alone=perplexity is None)
    return "\n".join(f"- {limit}" for limit in limits)


def limit_to_trainings(runs: pd.DataFrame) -> list[str]:
    """Say which allocations were trained once, so that nothing is known of another training."""
    seeds = runs.groupby(["allocation", "sparsity"], sort=False)["seed"].nunique()
    once = seeds[seeds == 1]
    if once.empty:
        rough = f"{say_trainings(seeds)} stand behind each row: few, so their spread is rough."
        return [rough] if seeds.min() < MANY_TRAININGS else []
    who = "Every allocation was"
    if len(once) < len(seeds):
        who = f"{name_places(once.index)} {'was' if len(once) == 1 else 'were'}"
    return [
        f"{who} trained once: these intervals are over blocks of text alone, and another training "
        "may differ."
    ]


def name_places(places: Iterable[tuple[str, float]]) -> str:
    """Name allocations with their sparsities: `ALL-DOWN at 50 % and 60 %`."""
    sparsities: dict[str, list[str]] = {}
    for allocation, sparsity in places:
        sparsities.setdefault(allocation, []).append(say_percent(sparsity))
    return join_words(f"{name} at {join_words(at)}" for name, at in sparsities.items())


def limit_to_converged(trainings: pd.DataFrame | None) -> list[str]:
    """Say which trainings may not be done; nothing if the rule ended all, or if there is none."""
    if trainings is None or trainings.empty:
        return []
    if has_rule(trainings):
        left = trainings[~trainings["converged"].astype(bool)]
        which = f"Not converged by the rule: {name_trainings(left)}"
    else:
        left = trainings
        which = "Trainings took a fixed number of steps, and no rule says whether they are done"
    if left.empty:
        return []
    won = left["last_tenth_percent"].max()
    still = f" (the last tenth still won up to {won:.2f} % of the fall in held-out KL)"
    return [f"{which}: more steps may change their gains{'' if pd.isna(won) else still}."]


def limit_to_model(model: Mapping | None) -> list[str]:
    """Say that a small model may not stand for large ones, nor quantised weights for others."""
    limits = []
    if model and "gguf" in model:
        limits.append(
            f"The weights were quantised ({say_quantisation(model['gguf'])}) before this study, "
            "and are used as they are after it: the dense model is the quantised one."
        )
    if model and model["shape"]["parameters"] < SMALL:
        limits.append(
            f"The model is small ({say_size(model)} parameters): what "
            "holds for it need not hold for one a thousand times larger."
        )
    return limits


def limit_to_text(texts: pd.DataFrame | None, tasks: pd.DataFrame | None = None) -> list[str]:
    """Say what every study that runs a model leaves open: other text, tasks, speed, and scopes."""
    left = "no task and no speed is" if tasks is None else "no speed is"
    return [
        f"Held-out text is of {say_kinds(texts)}; {left} measured.",
        "Equal sparsity of sites is not equal sparsity of the model, so scopes are compared by "
        "shares of their own damage.",
    ]


def say_kinds(texts: pd.DataFrame | None) -> str:
    """Write of how many kinds the text is that was evaluated on: `one kind`."""
    count = 1 if texts is None else texts["text"].nunique()
    return "one kind" if count == 1 else f"{count} kinds"


def limit_to_analysed_runs(bias_statistics: pd.DataFrame, alone: bool) -> list[str]:
    """Say which runs are analysed, and what one seed cannot show.

    Args:
        bias_statistics: A row per run and site.
        alone: Whether the study is of biases alone, without a model.
    """
    runs = bias_statistics.drop_duplicates(RUN)
    seeds = runs.groupby(["allocation", "sparsity"], sort=False)["seed"].nunique()
    once = ", one training each" if seeds.max() == 1 else ""
    limits = [f"Only {name_places(seeds.index)} are analysed by themselves{once}."]
    if once and alone:
        limits.append("Each allocation has one seed here: another training may give other biases.")
    return limits


def describe_environment(environment: Mapping) -> str:
    """Describe the machine and the packages that the study ran on."""
    packages = ", ".join(f"{name} {version}" for name, version in environment["packages"].items())
    machine = [environment.get("platform"), environment.get("processor")]
    threads = f"{environment['threads']} thread{'s' * (environment['threads'] != 1)}"
    return (
        f"Python {environment['python']} on {', '.join(filter(None, machine))}; "
        f"device {environment['device']}, {threads}. {packages}."
    )
