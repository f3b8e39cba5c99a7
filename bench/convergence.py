"""How the training recipe was found, and what more steps or more text would still win.

    python -m bench.convergence      writes results/convergence.csv and convergence.png

Two places of the default study: biases at all down_proj, and at all o_proj, at 50 %. Everything is
measured in KL on the same calibration blocks, which no training here sees; evaluation text is not
read. By `what`:

* `recipe`: that of config/config.yaml, at several learning rates and numbers of cuts;
* `blocks`: it on fewer and on more calibration blocks;
* `long`: a fixed length of 1,024 steps at a rate that falls to zero, over almost all of the text.

The inputs are the default study's calibration tokens and thresholds, in results/pydoc.
"""

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
import torch
import yaml

from bench.shapes import ROOT
from spon import divergence, models, sparsify, train
from spon.figures import style
from spon.head import Head
from spon.inputs.tokens import pick_blocks, read_tokens
from spon.schedule import CONVERGED, Recipe

RESULTS = Path(__file__).parent / "results"
STUDY = ROOT / "results/pydoc"
PLACES = [("down_proj", 0.5), ("o_proj", 0.5)]
RECIPES = ((0.01, 1), (0.01, 2), (0.03, 2))  # learning rate and cuts
SIZES = (192, 1536)
LONG_RATE, LONG_STEPS = 0.01, 1024
# Blocks that measure everything here, from all over the calibration text.
JUDGES = 256
COLUMNS = ["what", "scope", "sparsity", "blocks", "learning_rate", "cuts", "step", "won_percent"]


def read_recipe() -> Recipe:
    """Read the recipe of the default study."""
    train = yaml.safe_load((ROOT / "config/config.yaml").read_text())["train"]
    del train["allow_worse"]  # is no part of a recipe
    return Recipe(**train)


def list_trainings(recipe: Recipe) -> Iterator[tuple[str, Recipe]]:
    """List the trainings of a place: what each is for, and its recipe."""
    for rate, cuts in RECIPES:
        plateau = {**recipe.plateau, "cuts": cuts}
        yield "recipe", replace(recipe, learning_rate=rate, plateau=plateau)
    for size in SIZES:
        epochs = -(-recipe.epochs * recipe.blocks // size)
        yield "blocks", replace(recipe, blocks=size, epochs=epochs)
    blocks = 1024
    yield (
        "long",
        replace(
            recipe,
            blocks=blocks,
            epochs=LONG_STEPS * recipe.batch_blocks // blocks,
            learning_rate=LONG_RATE,
            schedule="cosine",
            measure_every=128,
        ),
    )


class Place:
    """A scope at a sparsity, in the reference model."""

    def __init__(self, scope: str, sparsity: float):
        self.names = {"scope": scope, "sparsity": sparsity}
        folder = ROOT / "resources/models/pydoc"
        network = models.read_network(folder, torch.float32)
        self.network = network.requires_grad_(False).eval()
        tokens = read_tokens(STUDY / "tokens/calibration.safetensors", network.config.vocab_size)
        judging = torch.zeros(len(tokens), dtype=torch.bool)
        judging[pick_blocks(len(tokens), JUDGES, "even")] = True
        self.tokens, self.judges = tokens[~judging], tokens[judging]
        self.sparsifiers = sparsify.read_sparsifiers(
            self.network,
            STUDY / scope / f"s{sparsity}/thresholds.csv",
            {"method": "threshold", "dense_share": 0.0},
            sparsity,
        )
        self.without = self.measure({})

    @torch.no_grad()
    def measure(self, biases: dict[str, torch.Tensor]) -> float:
        """Return the KL on the blocks that judge, nats per token."""
        head, total = Head(self.network), 0.0
        for batch in self.judges.split(8):
            dense = models.final_states(self.network, batch)
            with (
                sparsify.sparsified(self.network, self.sparsifiers),
                sparsify.biased(self.network, biases),
            ):
                sparse = models.final_states(self.network, batch)
            total += len(batch) * divergence.kl_to_dense(sparse, dense, head, 512).item()
        return total / JUDGES

    def train(self, what: str, recipe: Recipe) -> list[dict]:
        """Train once; return its measurements, the last of them by the blocks that judge."""
        sites = list(self.sparsifiers)
        biases, curve = train.learn_biases(
            self.network, self.tokens, self.sparsifiers, sites, recipe, seed=0
        )
        names = {
            "what": what,
            **self.names,
            "blocks": recipe.blocks,
            "learning_rate": recipe.learning_rate,
            "cuts": recipe.plateau["cuts"] if recipe.schedule == "plateau" else None,
        }
        start = curve[0]["held_out_kl"]
        rows = [
            {**names, "step": point["step"], "won_percent": 100 * (1 - kl / start)}
            for point in curve
            if (kl := point["held_out_kl"]) is not None
        ]
        judged = 100 * (1 - self.measure(biases) / self.without)
        last = {"judged_percent": judged, "converged": CONVERGED in curve[-1]["event"]}
        return [*rows[:-1], rows[-1] | last]


def draw(table: pd.DataFrame) -> None:
    """Draw what is won along the trainings, by rate and by length, and by the amount of text."""
    with style.printed():
        figure, axes = plt.subplots(2, 2, figsize=(5.5, 4), layout="constrained")
        for column, (scope, sparsity) in enumerate(PLACES):
            here = table[(table["scope"] == scope) & (table["sparsity"] == sparsity)]
            axes[0, column].set_title(f"{scope}, {100 * sparsity:g} %")
            draw_curves(axes[0, column], here)
            draw_sizes(axes[1, column], here.dropna(subset="judged_percent"))
        for ax in axes[:, 0]:
            ax.set_ylabel("KL won back (%)")
        axes[0, 0].legend(title="learning rate")
        figure.savefig(RESULTS / "convergence.png", dpi=200)
        plt.close(figure)


def draw_curves(ax: plt.Axes, table: pd.DataFrame) -> None:
    """Draw the trainings at every rate, and the long one."""
    recipes = table[(table["what"] == "recipe") & (table["cuts"] == 2)]
    for rate, curve in recipes.groupby("learning_rate"):
        ax.plot(curve["step"], curve["won_percent"], label=f"{rate:g}")
    long = table[table["what"] == "long"]
    ax.plot(long["step"], long["won_percent"], "k--", label=f"{LONG_STEPS:,} steps, falling")
    ax.set_xscale("symlog", linthresh=32)
    ax.set(xlabel="step", ylim=(0, None), xticks=[0, 32, 192, LONG_STEPS])
    ax.set_xticklabels(["0", "32", "192", f"{LONG_STEPS:,}"])
    ax.minorticks_off()


def draw_sizes(ax: plt.Axes, ends: pd.DataFrame) -> None:
    """Draw what the recipe wins on less and on more text, beside the long training."""
    recipe = read_recipe()
    ours = (
        (ends["what"] == "recipe")
        & (ends["learning_rate"] == recipe.learning_rate)
        & (ends["cuts"] == recipe.plateau["cuts"])
    )
    sizes = ends[(ends["what"] == "blocks") | ours].sort_values("blocks")
    ax.plot(sizes["blocks"], sizes["judged_percent"], "o-")
    ax.axhline(ends[ends["what"] == "long"]["judged_percent"].item(), color="k", ls="--")
    ax.set_xscale("log")
    ax.set(xlabel="calibration blocks", ylim=(0, None))
    ax.set_xticks(sizes["blocks"], [str(size) for size in sizes["blocks"]], rotation=45)
    ax.minorticks_off()


def main() -> None:
    """Train everywhere, print and write the table, and draw it."""
    torch.set_num_threads(1)
    recipe, rows = read_recipe(), []
    for scope, sparsity in PLACES:
        place = Place(scope, sparsity)
        for what, changed in list_trainings(recipe):
            rows += place.train(what, changed)
            table = pd.DataFrame(rows, columns=[*COLUMNS, "judged_percent", "converged"])
            table.to_csv(RESULTS / "convergence.csv", index=False)
            sys.stdout.write(f"{table.tail(1).to_string(index=False, header=False)}\n")
            sys.stdout.flush()
    draw(table)


if __name__ == "__main__":
    main()
