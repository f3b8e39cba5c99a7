"""What a study's findings rest on: its model, text, method and machine, and where they end."""

from collections.abc import Mapping, Sequence
from math import factorial
from pathlib import PurePath

import pandas as pd

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

# A model of fewer parameters than any that such biases were published for.
SMALL = 1e8
# Of more layers than these, the extreme orders have a p-value that adjustment leaves room for.
FEW_LAYERS = 6
METHODS = {
    "threshold": "an input entry is set to zero if its magnitude is at most a threshold, one per site, which is the "
    "quantile of the magnitudes on calibration text (TEAL)",
    "topk": "every token keeps the same number of input entries of each site, the largest ones",
}


def describe_setup(
    model: Mapping,
    protocol: Mapping,
    settings: Mapping,
    thresholds: pd.DataFrame | None = None,
    perplexity: pd.DataFrame | None = None,
) -> str:
    """Model, text, method, training, scopes, and the sparsity that was really reached."""
    return join_blocks(
        describe_method(settings),
        write_table(
            ["", ""],
            [*describe_model(model), *describe_text(protocol), *describe_training(settings)],
            words=2,
        ),
        describe_allocations(settings, perplexity),
        ""
        if perplexity is None or thresholds is None
        else tabulate_scopes(perplexity, thresholds),
    )


def describe_method(settings: Mapping) -> str:
    """What is done to a model, in two sentences."""
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
    """The model's shape, and the digest of its weights."""
    shape, files = model["shape"], model["files"]
    name = name_source(model["source"])
    digests = ", ".join(
        f"`{digest[:16]}…`" for file, digest in files.items() if file.endswith(".safetensors")
    )
    return [
        [
            "model",
            f"`{name}`: {shape['parameters']:,} parameters, {shape['layers']} layers of width "
            f"{shape['width']}",
        ],
        ["weights, SHA-256", digests or "not recorded"],
    ]


def name_source(source: Mapping) -> str:
    """Where a model or a text comes from; of a path the last part, since the rest is one machine's."""
    if "repository" in source:
        return (
            f"{source['repository']} at {source['revision']}"
            if "revision" in source
            else source["repository"]
        )
    path = PurePath(source["path"])
    return path.name if path.is_absolute() else str(path)


def describe_text(protocol: Mapping) -> list[list[str]]:
    """The held-out text, how it is cut, and the hash of all that."""
    text, cut = protocol["settings"]["text"], protocol["settings"]["protocol"]
    beginning = "with" if cut["bos"] else "without"
    dense = (
        f"; first {say_percent(cut['dense_share'])} of each left dense"
        if cut["dense_share"]
        else ""
    )
    return [
        [
            "held-out text",
            f"`{name_source(text)}`, split `{text['split']}`: {protocol['blocks']:,} blocks",
        ],
        [
            "blocks",
            f"{cut['block_length']} tokens, joined by `{cut['join']!r}`, {beginning} BOS{dense}",
        ],
        ["protocol", f"`{protocol['protocol']}` (numbers under another hash are not comparable)"],
    ]


def describe_training(settings: Mapping) -> list[list[str]]:
    """The recipe by which biases are learned, as far as the settings tell it."""
    if "train" not in settings:
        return []
    train = settings["train"]
    recipe = (
        f"{train['blocks']:,} blocks, {train['epochs']} epoch{'s' * (train['epochs'] > 1)}, AdamW"
    )
    rest = f"{recipe} at {train['learning_rate']:g}, {train['batch_blocks']} blocks a step, {train['schedule']} schedule"
    return [["training", rest]]


def describe_allocations(settings: Mapping, perplexity: pd.DataFrame | None) -> str:
    """Which layers each allocation gives a bias, and how that is found."""
    chosen = settings.get("allocations", {})
    names = [
        name for name in chosen if perplexity is None or name in set(perplexity["allocation"])
    ]
    rows = [
        [name, chosen[name]["scope"], say_layers(chosen[name]["layers"]), say_way(chosen[name])]
        for name in names
    ]
    header = ["allocation", "sites sparsified", "layers with a bias", "biases"]
    return write_table(header, rows, words=4) if rows else ""


def say_layers(layers: str | list | Mapping) -> str:
    """Layers as the settings choose them."""
    if isinstance(layers, Mapping):
        (end, share), *_ = layers.items()
        return f"{end} {say_percent(share)}, nearest the {'input' if end == 'first' else 'output'}"
    return layers if isinstance(layers, str) else ", ".join(str(layer) for layer in layers)


def say_way(allocation: Mapping) -> str:
    """How an allocation's biases are found."""
    return {
        "kl": "trained",
        "mean_residual": "control: mean residual",
        "random": "control: random directions",
    }[allocation.get("learn", "kl")]


def describe_checkpoints(checkpoints: Sequence[Mapping]) -> str:
    """The files that a study of biases alone consists of."""
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
    told = (
        "This study has learned biases and no model: each file below is a run, a constant per "
        "site that is added to a sparsified linear map's output. What needs biases alone is "
        "analysed; nothing is run on text."
    )
    return join_blocks(told, write_table(header, rows, words=6))


def describe_limits(
    settings: Mapping,
    model: Mapping | None = None,
    perplexity: pd.DataFrame | None = None,
    bias_statistics: pd.DataFrame | None = None,
) -> str:
    """What the findings do not say, as far as it is true of this study."""
    limits = []
    if perplexity is None:
        limits.append(
            "No model was run: nothing is said of perplexity, of damage or of hidden states."
        )
    else:
        trained = keep_trained(perplexity, settings)
        limits += [*limit_to_trainings(trained), *limit_to_model(model), *limit_to_text()]
    if bias_statistics is not None:
        runs = bias_statistics.drop_duplicates(["allocation", "sparsity", "seed"])
        named = "; ".join(
            f"{run.allocation} at {say_percent(run.sparsity)}, seed {run.seed}"
            for run in runs.itertuples()
        )
        limits.append(f"Run by run, analyses are of {named}; other runs may differ.")
        if (
            bias_statistics.groupby(["allocation", "sparsity"])["seed"].nunique().max() == 1
            and perplexity is None
        ):
            limits.append(
                "Each allocation has one seed here: another training may give other biases."
            )
        fewest = bias_statistics.groupby(["allocation", "sparsity", "seed"]).size().min()
        if fewest <= FEW_LAYERS:
            least = say_p_value(2 / factorial(int(fewest)))
            limits.append(
                f"A trend over {fewest} layers cannot have a p-value below {least}, before any "
                "adjustment."
            )
    return "\n".join(f"- {limit}" for limit in limits)


def limit_to_trainings(perplexity: pd.DataFrame) -> list[str]:
    """What an interval over blocks leaves out, and how many trainings there are."""
    runs = (
        perplexity.dropna(subset=["seed"])
        .groupby(["allocation", "sparsity"], sort=False)["seed"]
        .nunique()
    )
    repeated = [
        f"{name} at {say_percent(sparsity)}"
        for (name, sparsity), seeds in runs.items()
        if seeds > 1
    ]
    which = (
        f"All but {join_words(repeated)} were trained once."
        if repeated
        else "Every run was trained once."
    )
    which = which if runs.min() == 1 else "Every run was trained with several seeds."
    return [
        "An interval over blocks says how sure a number is of the model that was trained, not "
        f"what another training would have given. {which}"
    ]


def limit_to_model(model: Mapping | None) -> list[str]:
    """That a small model is small."""
    if model is None or model["shape"]["parameters"] >= SMALL:
        return []
    return [
        f"The model is small ({model['shape']['parameters'] / 1e6:.1f} million parameters): what "
        "holds for it need not hold for one a thousand times larger. The published values are "
        "of Llama-3.2-1B, on other text."
    ]


def limit_to_text() -> list[str]:
    """What every study that runs a model leaves open."""
    return [
        "Held-out text is of one kind, and likelihood and KL divergence are all that is "
        "measured on it: no task, no speed.",
        "Each scope is sparsified by itself. Equal site sparsity is not equal model sparsity "
        "(see the setup), so scopes are compared by shares of their own damage.",
    ]


def describe_environment(environment: Mapping) -> str:
    """What the study ran on."""
    packages = ", ".join(f"{name} {version}" for name, version in environment["packages"].items())
    machine = ", ".join(
        str(environment[name]) for name in ("platform", "processor") if environment.get(name)
    )
    threads = f"{environment['threads']} thread{'s' * (environment['threads'] != 1)}"
    return f"Python {environment['python']} on {machine}; device {environment['device']}, {threads}. {packages}."


def tabulate_scopes(perplexity: pd.DataFrame, thresholds: pd.DataFrame) -> str:
    """The sparsity asked for, that of the whole model, and what held-out text really has."""
    cost = perplexity.drop_duplicates(["scope", "sparsity"]).set_index(["scope", "sparsity"])[
        "model_sparsity"
    ]
    rows = []
    for (scope, sparsity), sites in thresholds.groupby(["scope", "sparsity"], sort=False):
        reached = [
            say_reached(sites[column])
            for column in ("sparsity_dense_pass", "sparsity_sparse_pass")
        ]
        rows.append(
            [
                scope,
                say_percent(sparsity),
                say_percent(cost[scope, sparsity], 1),
                str(len(sites)),
                *reached,
            ]
        )
    header = [
        "sites sparsified",
        "sparsity",
        "of the model",
        "sites",
        "reached, dense pass",
        "reached, sparse pass",
    ]
    told = (
        "Sparsity is a share of the entries that enter a site; that of the model is the share "
        "of the decoder's linear weights that meet a zero. Both are what is asked for. What "
        "held-out text really has (mean over sites, and range) is in the last two columns: with "
        "the dense model's inputs, and with those of the sparsified model."
    )
    return join_blocks(told, write_table(header, rows))


def say_reached(shares: pd.Series) -> str:
    """Mean and range of shares of zeros."""
    return f"{say_fixed(100 * shares.mean(), 1)} % ({say_range(100 * shares, 1)})"
