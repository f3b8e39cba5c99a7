"""Write the card of a run that is handed on: what it is, what it is not, and what it gains."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from spon.export.run import Run

CARD, UNKNOWN = "README.md", "unknown"
# What names a place on the machine of the study.
LOCAL = {"path", "gguf"}
METHODS = {
    "threshold": "entries no larger in magnitude than the site's threshold are set to zero",
    "topk": "all of a token's entries but its largest are set to zero",
    "wina": "entries whose magnitude times the norm of the weight's column is no larger than the "
    "site's threshold are set to zero",
}
ROWS = {
    "dense": "dense",
    "TEAL": "sparsified (TEAL)",
    "run": "sparsified, with these biases",
    "run on dense": "dense, with these biases",
}


def write_card(run: Run, path: Path, licence: str | None, comparison: str = "") -> None:
    """Write a run's card, with the front matter that model hubs read.

    Args:
        licence: Of the base model, as the hub abbreviates it; None if it is not known.
        comparison: How the model beside the card was compared with the run; none without a model.
    """
    blocks = [
        f"# {say_base(run)} with activation sparsity and SPON biases",
        say_what(run),
        say_half(run, comparison),
        say_use(run.dtype, bool(comparison)),
        tabulate(run.measured),
        say_origin(run, licence, comparison),
    ]
    text = f"{write_front(run, licence)}\n" + "\n\n".join(filter(None, blocks)) + "\n"
    path.write_text(text, encoding="utf-8")


def write_front(run: Run, licence: str | None) -> str:
    """Write the front matter."""
    front: dict[str, Any] = {"library_name": "transformers"}
    front |= {"license": licence} if licence else {"license": "other", "license_name": UNKNOWN}
    if "repository" in run.model.get("source", {}):
        front["base_model"] = run.model["source"]["repository"]
    front["tags"] = ["activation-sparsity", "teal", "spon"]
    return f"---\n{yaml.safe_dump(front, sort_keys=False)}---"


def say_base(run: Run) -> str:
    """Name the model that a run belongs to."""
    source = run.model.get("source", {})
    for key in ("repository", "package", "path", "gguf"):
        if key in source:
            return Path(source[key]).name if key in LOCAL else source[key]
    return "A model"


def say_what(run: Run) -> str:
    """Say what is sparsified, and where the biases are."""
    share = f"{100 * run.sparsity:g} %"
    dense = ""
    if run.dense_share:
        dense = f" The first {100 * run.dense_share:g} % of a sequence are left as they are."
    return (
        f"The inputs of {', '.join(run.maps)} are sparsified in every layer: "
        f"{METHODS[run.method]}, {share} of them on calibration text.{dense} Constants that were "
        f"learned for that ({run.names['allocation']}, {len(run.biases)} of "
        f"{len(run.thresholds)} sites) are added to the outputs. {say_gain(run.measured)}"
    )


def say_gain(measured: Mapping[str, Mapping[str, float]]) -> str:
    """Say what share of the damage the biases win back, by KL; nothing if it was not measured."""
    if not {"TEAL", "run"} <= measured.keys():
        return ""
    teal, run = (measured[kind]["kl_nats_per_token"] for kind in ("TEAL", "run"))
    return (
        f"They win back {100 * (teal - run) / teal:.1f} % of the KL divergence from the dense "
        f"model that this costs."
    )


def say_half(run: Run, comparison: str) -> str:
    """Warn of biases without sparsity."""
    where = "This folder's weights have the biases in them. Loaded alone they"
    what = f"{where} are the dense model with an offset that nothing has made necessary"
    if not comparison:
        what = "Added to the dense model alone, they are an offset that nothing has made necessary"
    return (
        f"**Biases are half of the method.** {what}: no faster, and not what the biases were "
        f"learned for. "
        f"Thresholds and method stand in `spon.json`, and in the metadata of "
        f"`biases.safetensors`; any runtime that applies them before the linear maps will do."
    )


def say_use(dtype: str, is_model: bool) -> str:
    """Show the lines of code that load the model; a base model in the precision of the study."""
    origin = '"DIR"' if is_model else f'"THE BASE MODEL", dtype="{dtype}"'
    return (
        "With the package `spon` of the reference workflow (`pip install --no-deps -e .` in its "
        "clone), and `DIR` this folder:\n\n"
        "```python\n"
        "import spon\n"
        "from transformers import AutoModelForCausalLM\n\n"
        f"model = AutoModelForCausalLM.from_pretrained({origin})\n"
        'spon.attach(model, "DIR")\n'
        "```"
    )


def tabulate(measured: Mapping[str, Mapping[str, float]]) -> str:
    """Write a table of what the study measured; nothing if it did not."""
    if not measured:
        return ""
    rows = [
        f"| {words} | {measured[kind]['perplexity']:.3f} | "
        f"{1000 * measured[kind]['kl_nats_per_token']:.2f} |"
        for kind, words in ROWS.items()
        if kind in measured
    ]
    header = "| model | perplexity | KL from dense, thousandths of a nat per token |"
    lines = ["On held-out text of the study:", "", header, "| --- | ---: | ---: |", *rows]
    return "\n".join(lines)


def say_origin(run: Run, licence: str | None, comparison: str) -> str:
    """Say what made the biases, of which model they are, and under which licence it is."""
    lines = []
    if comparison:
        lines.append(f"- Compared when it was written: {comparison}.")
    if run.model:
        named = {**run.model["source"], **dict.fromkeys(LOCAL & run.model["source"].keys(), "")}
        source = ", ".join(f"{key} {value or say_base(run)}" for key, value in named.items())
        lines.append(f"- Base model: {source}; the SHA-256 of each file stands in `spon.json`.")
        known = licence or "not known to the study: look it up before you pass this on"
        lines.append(f"- Licence of the base model: {known}.")
    if run.lineage:
        names = ", ".join(f"{name} {value}" for name, value in run.names.items())
        lines.append(f"- Run: {names}; evaluated by job {run.lineage['job']}.")
    lines.append(
        "- Method: Xu, Gao, Weng, Ma, *Resting Neurons, Active Insights*, arXiv:2512.12744; "
        "sparsity: Liu et al., arXiv:2408.14690."
    )
    return "\n".join(lines)


def find_licence(model: Mapping[str, str], folder: Path, catalogue: Path) -> str | None:
    """Return a model's licence as its own card says it, or the catalogue; None if neither does.

    Args:
        model: A `model.json`'s source.
        folder: The model's files.
        catalogue: A YAML file of facts about repositories and packages, which the library that is
            installed alone has not.
    """
    if licence := read_front(folder / CARD).get("license"):
        return str(licence)
    if not catalogue.is_file():
        return None
    facts = yaml.safe_load(catalogue.read_text(encoding="utf-8"))
    known = facts.get(model.get("repository") or model.get("package"), {})
    return known.get("license")


def read_front(card: Path) -> dict:
    """Read the front matter of a card; empty without one."""
    if not card.is_file():
        return {}
    text = card.read_text(encoding="utf-8")
    if not text.startswith("---\n"):
        return {}
    try:
        front = yaml.safe_load(text.split("---\n", 2)[1])
    except yaml.YAMLError:
        return {}
    return front if isinstance(front, dict) else {}
