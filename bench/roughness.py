"""How rough a sparse model's divergence is as a function of its biases.

    python -m bench.roughness [STUDY ...]      writes results/roughness.csv

A threshold is a step: where an input crosses one, the output jumps. So biases that differ by next
to nothing may give another KL. Here random biases of several sizes are added at every down_proj at
50 % sparsity, on calibration text, and each block's KL is compared with that without them. What a
block's KL moves by, divided by the root of the number of blocks, is what no rule of convergence
can tell from progress.
"""

import argparse
from pathlib import Path

import pandas as pd
import torch
import yaml

from bench.shapes import ROOT
from spon import calibrate, evaluate, models, sparsify
from spon.inputs import source
from spon.inputs.folder import list_files
from spon.inputs.text import read_documents
from spon.inputs.tokens import Protocol, pick_blocks, read_tokenizer, tokenize
from spon.sites import name_sites

RESULTS = Path(__file__).parent / "results"
CONFIGS = {"pydoc": "config/config.yaml", "smollm2-135m": "config/smollm2-135m.yaml"}
TEXT = ROOT / "results/pydoc/text/calibration.parquet"
SPARSITY, BLOCKS, BATCH, CHUNK = 0.5, 16, 512, 128
SIZES = [1e-7, 1e-6, 1e-5, 1e-4, 1e-3]


def measure(study: str) -> pd.DataFrame:
    """Measure a study's model; a row per size of the biases."""
    settings = yaml.safe_load((ROOT / CONFIGS[study]).read_text())["studies"][study]
    folder = source.locate(settings["model"])
    described = {"source": settings["model"], "files": list_files(folder)}
    protocol = Protocol(**settings["protocol"])
    text = settings["text"]["calibration"]
    documents = read_documents(text, [str(TEXT)]).texts
    tokens = tokenize(documents, read_tokenizer(described), protocol, 8 * BLOCKS, "even")
    network = models.read_network(folder, torch.float32)
    sites = name_sites(models.count_layers(network), ["mlp.down_proj"])
    quantiles = calibrate.read_quantiles(network, tokens, sites, BATCH, 0.0)
    thresholds = calibrate.choose_thresholds(sites, quantiles, SPARSITY)
    masks = sparsify.make_sparsifiers(network, thresholds, "threshold", SPARSITY, 0.0)
    blocks = tokens[pick_blocks(len(tokens), BLOCKS, "even")]

    def diverge(size: float) -> torch.Tensor:
        generator = torch.Generator().manual_seed(0)
        width = network.config.hidden_size
        biases = {site: size * torch.randn(width, generator=generator) for site in sites}
        table = evaluate.evaluate(network, blocks, masks, biases if size else {}, BATCH, CHUNK)
        return torch.tensor((table["kl_nats"] / table["predictions"]).to_numpy())

    without = diverge(0.0)
    rows = []
    for size in SIZES:
        change = 100 * (diverge(size) - without) / without.mean()
        rows.append(
            {
                "study": study,
                "blocks": BLOCKS,
                "kl_nats_per_token": round(without.mean().item(), 5),
                "bias_entries": size,
                "change_of_a_block_percent": round(change.square().mean().sqrt().item(), 2),
                "change_of_the_mean_percent": round(change.mean().item(), 2),
            }
        )
    return pd.DataFrame(rows)


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("studies", nargs="*", default=list(CONFIGS))
    table = pd.concat(measure(study) for study in parser.parse_args().studies)
    table.to_csv(RESULTS / "roughness.csv", index=False)


if __name__ == "__main__":
    main()
