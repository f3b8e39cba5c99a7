"""Which families of language models a study can be about: a tiny random model of each.

Every model that transformers knows is made small, written to disk, admitted as `fetch_model`
admits it, and compared with transformers' own log-probabilities. Written: results/families.csv.

    python -m bench.families
"""

import logging
import tempfile
from importlib.metadata import version
from pathlib import Path

import pandas as pd
import torch
import transformers

from bench.shapes import ROOT
from spon import agreement, models
from spon.head import Head
from spon.inputs import source
from tests import model_zoo


def try_family(family: str, folder: Path) -> dict:
    """Describe what becomes of a family: `equal` with the largest difference, or the refusal."""
    model_zoo.make(family, folder)
    try:
        described = source.describe({"path": str(folder)})
        network = models.load_described(described, "cpu", "float32")
        maps = agreement.check_network(network, described["shape"])["maps"]
    except ValueError as refusal:
        sentence = str(refusal).replace(str(folder), "FOLDER")
        return {"outcome": "refused", "sentence": sentence}
    blocks = model_zoo.blocks()
    with torch.inference_mode():
        states = models.final_states(network, blocks)
        ours = Head(network).log_probabilities(states.flatten(0, 1)).view(*blocks.shape, -1)
    theirs = torch.log_softmax(model_zoo.reference(folder, blocks), dim=-1)
    difference = (ours - theirs).abs().max().item()
    outcome = "equal" if difference < agreement.TOLERANCE else "different"
    return {"outcome": outcome, "difference_nats": difference, "maps": " ".join(maps)}


def main() -> None:
    """Try every family and write the table."""
    transformers.utils.logging.disable_progress_bar()
    logging.getLogger("transformers").setLevel(logging.ERROR)
    rows = []
    for family in model_zoo.FAMILIES:
        with tempfile.TemporaryDirectory() as folder:
            rows.append({"family": family, **try_family(family, Path(folder))})
    rows += [
        {"family": family, "outcome": "not tried", "sentence": reason}
        for family, reason in model_zoo.LEFT_OUT.items()
    ]
    columns = ["family", "outcome", "difference_nats", "maps", "sentence"]
    table = pd.DataFrame(rows, columns=columns).assign(transformers=version("transformers"))
    table.to_csv(ROOT / "bench/results/families.csv", index=False)


if __name__ == "__main__":
    main()
