"""Measure tasks of lm-evaluation-harness on the sparse model itself, document by document.

The harness is given the network whose sites are sparsified and biased, and not a path from which
it would load the dense model.
"""

import hashlib
import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest import mock

import numpy as np
import pandas as pd
from jaxtyping import Float
from torch import Tensor, nn

from spon import sparsify
from spon.head import Float32Linear
from spon.tasks import catalogue
from spon.temperature import read_temperature

# Metrics of the harness whose value for a document is a log-likelihood, or one and so many units:
# what they are called here, in nats, where lower is better, and what the harness makes of nats.
LIKELIHOODS = {
    "perplexity": ("nll_nats", np.exp),
    "word_perplexity": ("nll_nats_per_word", np.exp),
    "byte_perplexity": ("nll_nats_per_byte", np.exp),
    "bits_per_byte": ("nll_nats_per_byte", lambda nats: nats / np.log(2)),
}
# How far a mean may be from the harness's own, as a share of it: it adds up in another order.
ROUNDING = 1e-6
# The negative log-likelihood of the right choice.
OF_CHOICE = "nll_nats"
GUESSED = ("acc", "acc_norm", "acc_bytes", "acc_mutual_info")
COLUMNS = ["task", "metric", "document", "value", "weight", "chance", "higher_is_better"]


def choose_temperature(fitted: str | Path | None, names: Mapping[str, object]) -> float:
    """Return the temperature that was fitted to the evaluation of these names, or else 1."""
    return 1.0 if fitted is None else read_temperature(fitted, names)


def measure_tasks(
    network: nn.Module,
    tokenizer: Any,
    local: Sequence[Mapping],
    hub: Sequence[str],
    sparsifiers: Mapping[str, sparsify.Sparsifier],
    biases: Mapping[str, Float[Tensor, "d_out"]],
    temperature: float,
    settings: Mapping,
) -> pd.DataFrame:
    """Run tasks through lm-eval on the sparsified and biased model.

    Args:
        network: The dense model.
        tokenizer: Its tokenizer.
        local: Configs of local tasks, as `local.read_task` returns them.
        hub: Names of tasks, groups or tags of lm-eval, whose documents are on the hub.
        sparsifiers: S by site; none for the dense model.
        biases: b by site; none for TEAL.
        temperature: What all logits are divided by.
        settings: `shots`, `limit`, `batch_requests` and `seed` of the config's `tasks`, and the
            protocol's `dense_share`.

    Returns:
        One row per task, metric and document: `COLUMNS`, then `temperature`, `harness` (its name
        and version) and `protocol`, a digest of what the model was asked; values with other ones
        are not comparable. A metric is the mean of `value`, or their sum over that of `weight`.
        `chance` is what guessing gives, NaN where that is not known.

    Raises:
        ValueError: lm-eval does not know a task or metric, or a task has no metric that is a mean
            over documents and is known to be better if higher or lower.
    """
    catalogue.require_known(hub)
    for task in local:
        catalogue.require_metrics(task["task"], task)
    with ExitStack() as stack:
        if not hub:
            stack.enter_context(offline())
        folder = stack.enter_context(TemporaryDirectory())
        stack.enter_context(sandboxed())
        stack.enter_context(hooked(network, sparsifiers, biases, temperature))
        asked = [cache_in(folder, task) for task in local]
        results = run_harness(network, tokenizer, [*asked, *hub], settings)
    harness = f"{catalogue.HARNESS} {catalogue.read_version()}"
    parts = [
        read_samples(
            name, samples, results["higher_is_better"].get(name, {}), results["results"][name]
        ).assign(protocol=digest_samples(harness, name, samples))
        for name, samples in results["samples"].items()
    ]
    table = pd.concat(parts, ignore_index=True)
    return table.assign(temperature=temperature, harness=harness)


@contextmanager
def offline() -> Iterator[None]:
    """Let no library ask the hub for anything."""
    import datasets
    import huggingface_hub

    with (
        mock.patch.object(huggingface_hub.constants, "HF_HUB_OFFLINE", True),
        mock.patch.object(datasets.config, "HF_HUB_OFFLINE", True),
    ):
        yield


@contextmanager
def sandboxed() -> Iterator[None]:
    """Fill in the templates of tasks in jinja's sandbox, since they could else run code."""
    from jinja2.sandbox import SandboxedEnvironment
    from lm_eval import utils

    environment = SandboxedEnvironment(
        loader=utils.env.loader, undefined=utils.env.undefined, keep_trailing_newline=True
    )
    environment.filters.update(utils.env.filters)
    with mock.patch.object(utils, "env", environment):
        yield


@contextmanager
def hooked(
    network: nn.Module,
    sparsifiers: Mapping[str, sparsify.Sparsifier],
    biases: Mapping[str, Float[Tensor, "d_out"]],
    temperature: float,
) -> Iterator[nn.Module]:
    """Sparsify and bias a model and divide its logits, for as long as the context lasts.

    No site that is to be sparsified may be passed by: then other numbers than those of the sparse
    model would be measured.
    """
    used = set()

    def watch(site: str) -> sparsify.Sparsifier:
        def apply(x: Tensor) -> Tensor:
            used.add(site)
            return sparsifiers[site](x)

        return apply

    def divide(_, __, output: Any) -> Any:
        output.logits = output.logits / temperature
        return output

    hook = network.register_forward_hook(divide)
    watched = {site: watch(site) for site in sparsifiers}
    try:
        with sparsify.sparsified(network, watched), sparsify.biased(network, biases):
            yield network
    finally:
        hook.remove()
    assert used == set(sparsifiers), f"not sparsified: {sorted(set(sparsifiers) - used)}"


def run_harness(
    network: nn.Module, tokenizer: Any, tasks: Sequence[str | Mapping], settings: Mapping
) -> Mapping:
    """Return what `lm_eval.simple_evaluate` does, with every document's outcome."""
    from lm_eval import evaluator
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager

    logging.getLogger("lm_eval").setLevel(logging.WARNING)
    # Documents of a batch are padded, so that what share of them is a start would be unclear.
    batch = 1 if settings["dense_share"] else settings["batch_requests"]
    model = HFLM(pretrained=network, tokenizer=tokenizer, batch_size=batch)
    # ASSUME: logits are computed in float32 here too, as in spon/head.py. Set after the harness
    # has tied the weights of a model anew.
    head = network.get_output_embeddings()
    network.set_output_embeddings(Float32Linear(head))
    seed = settings["seed"]
    # It would ask pip, git and the compiler what is installed, for longer than a small task takes.
    undescribed = mock.patch.object(evaluator, "add_env_info", lambda _: None)
    try:
        with undescribed:
            return evaluator.simple_evaluate(
                model=model,
                tasks=list(tasks),
                num_fewshot=settings["shots"],
                limit=settings["limit"],
                bootstrap_iters=0,
                log_samples=True,
                task_manager=TaskManager(include_defaults=any(isinstance(t, str) for t in tasks)),
                random_seed=seed,
                numpy_random_seed=seed,
                torch_random_seed=seed,
                fewshot_random_seed=seed,
            )
    finally:
        network.set_output_embeddings(head)


def cache_in(folder: str, task: Mapping) -> dict:
    """Return a local task whose documents are read afresh, and not from a cache."""
    return {**task, "dataset_kwargs": {**task["dataset_kwargs"], "cache_dir": folder}}


def read_samples(
    task: str,
    samples: Sequence[Mapping],
    directions: Mapping[str, bool | None],
    reported: Mapping[str, object],
) -> pd.DataFrame:
    """Return the values of a task by metric and document.

    Left out are metrics that no document has by itself, such as an F1, that are no mean of their
    documents, such as a median, or that may be better if higher or if lower.

    Args:
        task: Its name.
        samples: What the harness logs of each document.
        directions: By metric, whether higher is better; None or lacking if that is not known.
        reported: The harness's own number by metric and filter.

    Raises:
        ValueError: No metric is left.
    """
    values: dict[str, list[tuple]] = {}
    for sample in samples:
        for key, *value in read_values(sample, directions):
            values.setdefault(key, []).append((task, *value))
    tables = [pd.DataFrame(rows, columns=COLUMNS) for rows in values.values()]
    means = [
        table
        for key, table in zip(values, tables, strict=True)
        if key.split(",")[0] == OF_CHOICE or is_mean(table, key, reported[key])
    ]
    if not means:
        raise ValueError(
            f"the task '{task}' has no metric that is a mean over documents, as acc is, and is "
            f"known to be better if higher or if lower: leave it out of tasks"
        )
    table = pd.concat(means, ignore_index=True).drop_duplicates(["metric", "document"])
    return table.astype({"value": float, "weight": float, "chance": float})


def is_mean(documents: pd.DataFrame, key: str, reported: object) -> bool:
    """Whether the harness's number of a metric and filter is what values over weights come to."""
    mean = documents["value"].sum(skipna=False) / documents["weight"].sum()
    _, convert = LIKELIHOODS.get(key.split(",")[0], ("", lambda mean: mean))
    is_number = isinstance(reported, int | float | np.number)
    # A mean that is broken is kept, so that it is named where the table is read.
    return is_number and bool(np.isclose(convert(mean), reported, ROUNDING, 1e-12, equal_nan=True))


def read_values(
    sample: Mapping, directions: Mapping[str, bool | None]
) -> Iterator[tuple[str, str, int, float, float | int, float, bool]]:
    """Yield what `COLUMNS` has of a document and metric, behind the harness's name of it.

    Likelihoods of the right choice are ours alone: behind `OF_CHOICE`.
    """
    end, number = f",{sample['filter']}", sample["doc_id"]
    filtered = "" if end == ",none" else end
    choices = count_choices(sample)
    for metric in sample["metrics"]:
        value = sample[metric]
        if metric in LIKELIHOODS:
            name, _ = LIKELIHOODS[metric]
            nats, units = value if isinstance(value, tuple | list) else (value, 1)
            yield metric + end, name + filtered, number, -nats, units, float("nan"), False
        elif directions.get(metric) is not None and is_scalar(value):
            chance = 1 / choices if choices and metric in GUESSED else float("nan")
            higher = bool(directions[metric])
            yield metric + end, metric + filtered, number, float(value), 1, chance, higher
    if choices and isinstance(sample["target"], int) and 0 <= sample["target"] < choices:
        likelihood, _ = sample["filtered_resps"][sample["target"]]
        yield OF_CHOICE + end, OF_CHOICE + filtered, number, -likelihood, 1, float("nan"), False


def is_scalar(value: object) -> bool:
    """Whether a document's value is one number."""
    return isinstance(value, int | float) or getattr(value, "ndim", None) == 0


def count_choices(sample: Mapping) -> int:
    """Count the choices of a document; 0 if its task is not one of choices."""
    if not set(GUESSED) & set(sample["metrics"]) or len(sample["filtered_resps"]) < 2:
        return 0
    # Behind the choices stand the same without their context.
    halves = 2 if "acc_mutual_info" in sample["metrics"] else 1
    return len(sample["filtered_resps"]) // halves


def digest_samples(harness: str, task: str, samples: Sequence[Mapping]) -> str:
    """Return a digest of all that a model was asked in a task, and of who asked."""
    asked = [
        [sample["doc_hash"], sample["target_hash"], sample["arguments"]] for sample in samples
    ]
    content = json.dumps([harness, task, asked], default=str)
    return hashlib.sha256(content.encode()).hexdigest()[:12]
