"""What is learned better: b behind a site, or alpha before it with b = W alpha? On the default study, at equal steps.

    python -m bench.parametrisation      writes results/parametrisation.csv and .png; needs `make study` or `make pull`

Adam scales every coordinate's step by itself, so the same gradient moves b elsewhere when it is taken by alpha.
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
from spon import data, evaluate, models, sparsify, stats, train

STUDY = ROOT / "results/pydoc"
RESULTS = Path(__file__).parent / "results"
ALLOCATIONS = {"UNIF-ALL": "down_proj", "TOP-50": "down_proj", "ATTN-ONLY": "o_proj"}
SPARSITIES = (0.5, 0.8)
RATES = (0.003, 0.01, 0.03)
LOOKS = {
    "bias": {"marker": "o", "color": "#1a1a1a", "ls": "-", "label": "bias, behind the site"},
    "alpha": {"marker": "s", "color": "#0069a8", "ls": "--", "label": "alpha, before the site"},
}


def compare(network: nn.Module, config: dict) -> Iterator[dict]:
    """A row per allocation, sparsity, rate and parametrisation."""
    tokens = {
        part: data.read_tokens(STUDY / f"tokens/{part}.safetensors")
        for part in ("calibration", "evaluation")
    }
    kept = models.keep_final_states(
        network, tokens["evaluation"], config["evaluate"]["batch_tokens"]
    )
    for (allocation, scope), sparsity, rate in tqdm(
        list(product(ALLOCATIONS.items(), SPARSITIES, RATES))
    ):
        place = STUDY / scope / f"s{sparsity}"
        masks = sparsify.make_sparsifiers(
            network, sparsify.read_thresholds(place / "thresholds.csv"), "threshold", sparsity, 0.0
        )
        sites = pd.read_csv(STUDY / allocation / "sites.csv")["site"].tolist()
        found = {}
        for way in LOOKS:
            recipe = train.Recipe(
                **config["train"] | {"learning_rate": rate, "parametrisation": way}
            )
            biases, _ = train.learn_biases(
                network, tokens["calibration"], masks, sites, recipe, seed=0
            )
            found[way] = evaluate.evaluate(
                network,
                tokens["evaluation"],
                masks,
                biases,
                **config["evaluate"],
                keep=lambda key, make: kept,
            ).assign(norm=torch.stack([bias.norm() for bias in biases.values()]).mean().item())
        teal = pd.read_parquet(place / "teal/nll.parquet")
        yield from describe(
            found, teal, {"allocation": allocation, "sparsity": sparsity, "learning_rate": rate}
        )


def describe(found: dict[str, pd.DataFrame], teal: pd.DataFrame, names: dict) -> Iterator[dict]:
    """The rows of both parametrisations: recoveries, and their paired difference in KL, alpha less bias."""
    dense = pd.read_parquet(STUDY / "dense/nll.parquet")
    apart = (found["alpha"]["kl_nats"] - found["bias"]["kl_nats"]) / teal["predictions"]
    interval = stats.mean_interval(apart.to_numpy())
    better = "alpha" if interval.value < 0 else "bias"
    for way, blocks in found.items():
        total, start = blocks.sum(), teal.sum()
        damage = start["nll_nats"] - dense["nll_nats"].sum()
        yield names | {
            "parametrisation": way,
            "kl_recovery_percent": round(100 * (1 - total["kl_nats"] / start["kl_nats"]), 2),
            "nll_recovery_percent": round(
                100 * (start["nll_nats"] - total["nll_nats"]) / damage, 2
            ),
            "mean_norm": round(blocks["norm"].iloc[0], 4),
            "alpha_minus_bias_kl_nats_per_token": interval.value,
            "low": interval.low,
            "high": interval.high,
            "better": "tie" if interval.holds_zero else better,
        }


def draw(table: pd.DataFrame) -> Figure:
    """KL damage recovered against the learning rate."""
    figure = Figure(figsize=(7.2, 4.2), layout="constrained")
    axes = figure.subplots(len(SPARSITIES), len(ALLOCATIONS), sharex=True, squeeze=False)
    for (row, sparsity), (column, allocation) in product(
        enumerate(SPARSITIES), enumerate(ALLOCATIONS)
    ):
        ax = axes[row, column]
        chosen = table[(table["allocation"] == allocation) & (table["sparsity"] == sparsity)]
        for way, look in LOOKS.items():
            line = chosen[chosen["parametrisation"] == way]
            ax.plot(line["learning_rate"], line["kl_recovery_percent"], lw=1.2, ms=5, **look)
        ax.axhline(0, color="#8a8a8a", lw=0.8)
        ax.set_xscale("log")
        ax.set_xticks(RATES, [f"{rate:g}" for rate in RATES])
        ax.minorticks_off()
        ax.set_title(f"{allocation}, {sparsity:.0%} sparsity", loc="left", fontsize=9)
    figure.supylabel("KL damage recovered (%)", fontsize=9)
    figure.supxlabel("learning rate of AdamW", fontsize=9)
    figure.legend(
        *axes[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=2, frameon=False
    )
    return figure


def main() -> None:
    """Train, evaluate, print, write and draw."""
    if not (STUDY / "down_proj/s0.5/teal/nll.parquet").exists():
        sys.exit(
            f"{STUDY.relative_to(ROOT)} holds no finished study: call `make study` or `make pull` first"
        )
    torch.set_num_threads(1)
    config = yaml.safe_load((ROOT / "config/config.yaml").read_text())
    network = models.load(STUDY / "model.json", "cpu", "float32")
    table = pd.DataFrame(list(compare(network, config)))
    RESULTS.mkdir(exist_ok=True)
    table.to_csv(RESULTS / "parametrisation.csv", index=False)
    sys.stdout.write(table.to_string(index=False) + "\n")
    with matplotlib.rc_context(
        {"font.size": 8, "axes.spines.top": False, "axes.spines.right": False}
    ):
        draw(table).savefig(RESULTS / "parametrisation.png", dpi=200)


if __name__ == "__main__":
    main()
