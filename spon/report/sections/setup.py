"""Describe what a study rests on: its model, text, method, machine, and its limits."""

from collections.abc import Mapping, Sequence
from math import factorial
from pathlib import PurePath

import pandas as pd

from spon.allocate import MEAN_RESIDUAL, RANDOM, TRAINED
from spon.report.markdown import (
    join_blocks,
    join_words,
    say_fixed,
    say_p_value,
    say_percent,
    say_range,
    write_table,
)
from spon.report.sections.results import keep_trained

RUN = ["allocation", "sparsity", "seed"]
# Published biases are of models with more parameters than this.
SMALL = 1e8
# Up to so many layers, even a perfect trend may have a p-value that is too large once adjusted.
FEW_LAYERS = 6
METHODS = {
    "threshold": (
        "an input entry is set to zero if its magnitude is at most a threshold, one per site, "
        "which is the quantile of the magnitudes on calibration text (TEAL)"
    ),
    "topk": "every token keeps the same number of input entries of each site, the largest ones",
}
LEARNED = {
    TRAINED: "trained",
    MEAN_RESIDUAL: "control: mean residual",
    RANDOM: "control: random directions",
}


def describe_setup(
    model: Mapping,
    protocol: Mapping,
    settings: Mapping,
    thresholds: pd.DataFrame | None = None,
    perplexity: pd.DataFrame | None = None,
) -> str:
    """Describe the method, model, text, training and scopes, and the sparsity on held-out text."""
    rows = [*describe_model(model), *describe_text(protocol), *describe_training(settings)]
    blocks = [
        describe_method(settings),
        write_table(["", ""], rows, words=2),
        describe_allocations(settings, perplexity),
    ]
    if perplexity is not None and thresholds is not None:
        blocks.append(tabulate_scopes(perplexity, thresholds))
    return join_blocks(*blocks)


def describe_method(settings: Mapping) -> str:
    """Describe what is done to a model, in a paragraph."""
    method = METHODS[settings["study"]["method"]]
    return (
        "A *site* is one linear map `W` of one decoder layer. Its input `x` is sparsified and a "
        "learned constant `b`, the bias, is added: `W x` becomes `W S(x) + b`. For `S`, "
        f"{method}. The baseline has the same sites sparsified and no bias; below it is called "
        "TEAL, the model with biases SPON. Biases start at zero and are trained on the KL "
        "divergence of the sparse model's next-token distributions from the dense one's, all "
        "weights frozen."
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
    return [["model", words], ["weights, SHA-256", digests or "not recorded"]]


def name_source(source: Mapping) -> str:
    """Name the repository or the path that a model or a text comes from.

    Of an absolute path only the last part is named, since the rest is of one machine.
    """
    if "repository" in source:
        revision = f" at {source['revision']}" if "revision" in source else ""
        return f"{source['repository']}{revision}"
    path = PurePath(source["path"])
    return path.name if path.is_absolute() else str(path)


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
    epochs = f"{train['epochs']} epoch{'s' * (train['epochs'] > 1)}"
    recipe = (
        f"{train['blocks']:,} blocks, {epochs}, AdamW at {train['learning_rate']:g}, "
        f"{train['batch_blocks']} blocks a step, {train['schedule']} schedule"
    )
    return [["training", recipe]]


def describe_allocations(settings: Mapping, perplexity: pd.DataFrame | None) -> str:
    """Write a table of the allocations: their scope, their layers, and how biases are learned.

    Args:
        settings: Have the allocations.
        perplexity: If it is given, an allocation that it lacks is left out.
    """
    header = ["allocation", "sites sparsified", "layers with a bias", "biases"]
    rows = []
    for name, allocation in settings.get("allocations", {}).items():
        if perplexity is None or name in set(perplexity["allocation"]):
            learned = LEARNED[allocation["learn"]]
            rows.append([name, allocation["scope"], say_layers(allocation["layers"]), learned])
    return write_table(header, rows, words=4) if rows else ""


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
    bias_statistics: pd.DataFrame | None = None,
) -> str:
    """List what the findings do not say; a limit that this study does not have is left out."""
    if perplexity is None:
        limits = [
            "No model was run: nothing is said of perplexity, of damage or of hidden states."
        ]
    else:
        trained = keep_trained(perplexity, settings)
        limits = [*limit_to_trainings(trained), *limit_to_model(model), *limit_to_text()]
    if bias_statistics is not None:
        limits += limit_to_analysed_runs(bias_statistics, alone=perplexity is None)
    return "\n".join(f"- {limit}" for limit in limits)


def limit_to_trainings(perplexity: pd.DataFrame) -> list[str]:
    """Say that an interval over blocks does not cover another training, and how many there are."""
    runs = perplexity.dropna(subset=["seed"])
    seeds = runs.groupby(["allocation", "sparsity"], sort=False)["seed"].nunique()
    repeated = []
    for (allocation, sparsity), count in seeds.items():
        if count > 1:
            repeated.append(f"{allocation} at {say_percent(sparsity)}")
    if seeds.min() != 1:
        trainings = "Every run was trained with several seeds."
    elif repeated:
        trainings = f"All but {join_words(repeated)} were trained once."
    else:
        trainings = "Every run was trained once."
    return [
        "An interval over blocks says how sure a number is of the model that was trained, not "
        f"what another training would have given. {trainings}"
    ]


def limit_to_model(model: Mapping | None) -> list[str]:
    """Say that a small model may not stand for large ones; of a large model, say nothing."""
    if model is None or model["shape"]["parameters"] >= SMALL:
        return []
    return [
        f"The model is small ({model['shape']['parameters'] / 1e6:.1f} million parameters): what "
        "holds for it need not hold for one a thousand times larger. The published values are "
        "of Llama-3.2-1B, on other text."
    ]


def limit_to_text() -> list[str]:
    """Say what every study that runs a model leaves open: other text, tasks, speed, and scopes."""
    return [
        "Held-out text is of one kind, and likelihood and KL divergence are all that is "
        "measured on it: no task, no speed.",
        "Each scope is sparsified by itself. Equal site sparsity is not equal model sparsity "
        "(see the setup), so scopes are compared by shares of their own damage.",
    ]


def limit_to_analysed_runs(bias_statistics: pd.DataFrame, alone: bool) -> list[str]:
    """Say which runs are analysed, and what so few seeds or layers cannot show.

    Args:
        bias_statistics: A row per run and site.
        alone: Whether the study is of biases alone, without a model.
    """
    runs = bias_statistics.drop_duplicates(RUN)
    names = [
        f"{run.allocation} at {say_percent(run.sparsity)}, seed {run.seed}"
        for run in runs.itertuples()
    ]
    limits = [f"Run by run, analyses are of {'; '.join(names)}; other runs may differ."]
    most_seeds = runs.groupby(["allocation", "sparsity"])["seed"].nunique().max()
    if most_seeds == 1 and alone:
        limits.append("Each allocation has one seed here: another training may give other biases.")
    fewest = bias_statistics.groupby(RUN).size().min()
    if fewest <= FEW_LAYERS:
        # Of all orders of the layers, two are monotonic: one rises, one falls.
        least = say_p_value(2 / factorial(int(fewest)))
        limits.append(
            f"A trend over {fewest} layers cannot have a p-value below {least}, before any "
            "adjustment."
        )
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


def tabulate_scopes(perplexity: pd.DataFrame, thresholds: pd.DataFrame) -> str:
    """Write a table of sparsities: of sites, of the whole model, and measured on held-out text."""
    introduction = (
        "Sparsity is a share of the entries that enter a site; that of the model is the share "
        "of the decoder's linear weights that meet a zero. Both are what is asked for. What "
        "held-out text really has (mean over sites, and range) is in the last two columns: with "
        "the dense model's inputs, and with those of the sparsified model."
    )
    header = [
        "sites sparsified",
        "sparsity",
        "of the model",
        "sites",
        "reached, dense pass",
        "reached, sparse pass",
    ]
    key = ["scope", "sparsity"]
    model_sparsity = perplexity.drop_duplicates(key).set_index(key)["model_sparsity"]
    rows = []
    for (scope, sparsity), sites in thresholds.groupby(key, sort=False):
        rows.append(
            [
                scope,
                say_percent(sparsity),
                say_percent(model_sparsity[scope, sparsity], 1),
                str(len(sites)),
                say_reached(sites["sparsity_dense_pass"]),
                say_reached(sites["sparsity_sparse_pass"]),
            ]
        )
    return join_blocks(introduction, write_table(header, rows))


def say_reached(sparsities: pd.Series) -> str:
    """Write the mean and the range of the sparsities that sites reach."""
    return f"{say_fixed(100 * sparsities.mean(), 1)} % ({say_range(100 * sparsities, 1)})"
