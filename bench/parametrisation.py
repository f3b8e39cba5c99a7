"""Compare two parametrisations: b behind a site, and alpha before it with b = W alpha.

    python -m bench.parametrisation      needs `make study` or `make pull`

It trains both on the default study for equally many steps, and writes results/parametrisation.csv
and .png. They differ although they can express the same biases: Adam scales the step of every
coordinate by itself, so the same gradient moves b elsewhere when alpha takes the step.
"""

import sys
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import matplotlib
import pandas as pd
import torch
import yaml
from matplotlib.figure import Figure
from torch import nn
from tqdm import tqdm

from bench.shapes import ROOT
from spon import evaluate, models, sparsify, stats, train
from spon.inputs.tokens import read_tokens
from spon.schedule import Recipe

STUDY = ROOT / "results/pydoc"
RESULTS = Path(__file__).parent / "results"
ALLOCATIONS = {"UNIF-ALL": "down_proj", "TOP-50": "down_proj", "ATTN-ONLY": "o_proj"}
SPARSITIES = (0.5, 0.8)
RATES = (0.003, 0.01, 0.03)
# A fixed length: 96 steps.
FIXED = {
    "blocks": 384,
    "epochs": 1,
    "schedule": "cosine",
    "measure_every": 96,
}
LOOKS = {
    "bias": {"marker": "o", "color": "#1a1a1a", "ls": "-", "label": "bias, behind the site"},
    "alpha": {"marker": "s", "color": "#0069a8", "ls": "--", "label": "alpha, before the site"},
}


def compare(network: nn.Module, config: dict) -> Iterator[dict]:
    """Train and evaluate; yield a row per allocation, sparsity, rate and parametrisation."""
    calibration, evaluation = (
        read_tokens(STUDY / f"tokens/{part}.safetensors", network.config.vocab_size)
        for part in ("calibration", "evaluation")
    )
    dense_states = models.keep_final_states(
        network, evaluation, config["evaluate"]["batch_tokens"]
    )
    settings = list(product(ALLOCATIONS.items(), SPARSITIES, RATES))
    for (allocation, scope), sparsity, rate in tqdm(settings):
        folder = STUDY / scope / f"s{sparsity}"
        thresholds = sparsify.read_thresholds(folder / "thresholds.csv")
        masks = sparsify.make_sparsifiers(network, thresholds, "threshold", sparsity, 0.0)
        sites = pd.read_csv(STUDY / allocation / "sites.csv")["site"].tolist()
        evaluations = {}
        for parametrisation in LOOKS:
            changes = {"learning_rate": rate, "parametrisation": parametrisation}
            recipe = Recipe(**config["train"] | FIXED | changes)
            biases, _ = train.learn_biases(network, calibration, masks, sites, recipe, seed=0)
            blocks = evaluate.evaluate(
                network,
                evaluation,
                masks,
                biases,
                batch_tokens=config["evaluate"]["batch_tokens"],
                chunk_tokens=config["evaluate"]["chunk_tokens"],
                keep=lambda key, make: dense_states,  # the same for all, so computed once
            )
            norm = torch.stack([bias.norm() for bias in biases.values()]).mean().item()
            evaluations[parametrisation] = blocks.assign(norm=norm)
        teal = pd.read_parquet(folder / "teal/nll.parquet")
        names = {"allocation": allocation, "sparsity": sparsity, "learning_rate": rate}
        yield from describe(evaluations, teal, names)


def describe(
    evaluations: dict[str, pd.DataFrame], teal: pd.DataFrame, names: dict
) -> Iterator[dict]:
    """Yield the rows of both parametrisations.

    Each has its recoveries, and the paired difference of the two in KL: alpha less bias.

    Args:
        evaluations: By parametrisation, a row per block, with the mean `norm` of the biases.
        teal: A row per block of TEAL at this sparsity.
        names: The columns that name the setting.
    """
    dense = pd.read_parquet(STUDY / "dense/nll.parquet")
    difference = evaluations["alpha"]["kl_nats"] - evaluations["bias"]["kl_nats"]
    interval = stats.mean_interval((difference / teal["predictions"]).to_numpy())
    better = "alpha" if interval.value < 0 else "bias"
    if interval.holds_zero:
        better = "tie"
    of_teal = teal.sum()
    damage = of_teal["nll_nats"] - dense["nll_nats"].sum()
    for parametrisation, blocks in evaluations.items():
        total = blocks.sum()
        kl_recovery = 100 * (1 - total["kl_nats"] / of_teal["kl_nats"])
        nll_recovery = 100 * (of_teal["nll_nats"] - total["nll_nats"]) / damage
        yield names | {
            "parametrisation": parametrisation,
            "kl_recovery_percent": round(kl_recovery, 2),
            "nll_recovery_percent": round(nll_recovery, 2),
            "mean_norm": round(blocks["norm"].iloc[0], 4),
            "alpha_minus_bias_kl_nats_per_token": interval.value,
            "low": interval.low,
            "high": interval.high,
            "better": better,
        }


def plot(table: pd.DataFrame) -> Figure:
    """Plot the KL damage recovered against the learning rate, a row of panels per sparsity."""
    figure = Figure(figsize=(7.2, 4.2), layout="constrained")
    axes = figure.subplots(len(SPARSITIES), len(ALLOCATIONS), sharex=True, squeeze=False)
    for ax, (sparsity, allocation) in zip(
        axes.flat, product(SPARSITIES, ALLOCATIONS), strict=True
    ):
        runs = table[(table["allocation"] == allocation) & (table["sparsity"] == sparsity)]
        for parametrisation, look in LOOKS.items():
            line = runs[runs["parametrisation"] == parametrisation]
            ax.plot(line["learning_rate"], line["kl_recovery_percent"], lw=1.2, ms=5, **look)
        ax.axhline(0, color="#8a8a8a", lw=0.8)
        ax.set_xscale("log")
        ax.set_xticks(RATES, [f"{rate:g}" for rate in RATES])
        ax.minorticks_off()
        ax.set_title(f"{allocation}, {sparsity:.0%} sparsity", loc="left", fontsize=9)
    figure.supylabel("KL damage recovered (%)", fontsize=9)
    figure.supxlabel("learning rate of AdamW", fontsize=9)
    legend = axes[0, 0].get_legend_handles_labels()
    figure.legend(*legend, loc="outside upper center", ncols=2, frameon=False)
    return figure


def main() -> None:
    """Compare the parametrisations; print and write the table, and write the figure."""
    if not (STUDY / "down_proj/s0.5/teal/nll.parquet").exists():
        folder = STUDY.relative_to(ROOT)
        sys.exit(f"{folder} holds no finished study: call `make study` or `make pull` first")
    torch.set_num_threads(1)
    config = yaml.safe_load((ROOT / "config/config.yaml").read_text())
    del config["train"]["allow_worse"]  # is no part of a recipe
    network = models.load(STUDY / "model.json", "cpu", "float32")
    table = pd.DataFrame(list(compare(network, config)))
    RESULTS.mkdir(exist_ok=True)
    table.to_csv(RESULTS / "parametrisation.csv", index=False)
    sys.stdout.write(table.to_string(index=False) + "\n")
    look = {"font.size": 8, "axes.spines.top": False, "axes.spines.right": False}
    with matplotlib.rc_context(look):
        plot(table).savefig(RESULTS / "parametrisation.png", dpi=200)


if __name__ == "__main__":
    main()
