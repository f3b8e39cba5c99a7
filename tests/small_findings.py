"""The tables and facts of a small study, for tests of the findings."""

from functools import cache

import numpy as np
from small_study import ALL, BLOCKS, DOWN, SHAPE, gather, score

from spon.report.findings import write_findings
from spon.tables import controls, gains, pareto, perplexity

MEAN_DOWN = score("MEAN-DOWN", "down_proj", 0.5, 0, 2.45, 0.35, cooled=0.02)
LOUD = score("UNIF-ALL", "down_proj", 0.5, 0, 2.5, 0.4, noise=np.resize([0.3, -0.3], BLOCKS))
OF_DOWN = {"scope": "down_proj", "maps": [DOWN], "biases": [DOWN]}
ALLOCATIONS = {
    "UNIF-ALL": OF_DOWN | {"layers": "all", "learn": "kl"},
    "TOP-50": OF_DOWN | {"layers": {"first": 0.5}, "learn": "kl"},
    "MEAN-DOWN": OF_DOWN | {"layers": "all", "learn": "mean_residual"},
}
SETTINGS = {"study": {"method": "threshold"}, "allocations": ALLOCATIONS}
MODEL = {
    "source": {"path": "/home/someone/models/small"},
    "files": {"config.json": "00", "model.safetensors": "0123456789abcdef0123"},
    "shape": SHAPE | {"width": 2, "parameters": 64},
}
CUT = {"block_length": 11, "bos": False, "join": "\n", "strip": True, "dense_share": 0.0}
PROTOCOL = {
    "protocol": "a1b2",
    "blocks": BLOCKS,
    "settings": {"text": {"path": "pydoc", "split": "test"}, "protocol": CUT},
}
ENVIRONMENT = {
    "python": "3.11.7",
    "platform": "Linux",
    "device": "cpu",
    "threads": 1,
    "packages": {"numpy": "2.4.6"},
}
FACTS = {"model": MODEL, "protocol": PROTOCOL, "settings": SETTINGS, "environment": ENVIRONMENT}


@cache
def tabulate(loud=False):
    """Tabulate the small study; `loud` makes blocks of UNIF-ALL differ more than it gains."""
    evaluations = [*ALL, MEAN_DOWN]
    if loud:
        evaluations = [
            LOUD if evaluation["allocation"].iloc[0] == "UNIF-ALL" else evaluation
            for evaluation in evaluations
        ]
    outcomes = gather(*evaluations)
    return {
        "perplexity": perplexity.tabulate_perplexity(outcomes),
        "contrasts": perplexity.tabulate_contrasts(outcomes),
        "damage_recovery": perplexity.tabulate_damage_recovery(outcomes),
        "layer_position": gains.tabulate_layer_position(outcomes),
        "marginal_gain": gains.tabulate_marginal_gain(outcomes),
        "pareto": pareto.tabulate_pareto(outcomes),
        "controls": controls.tabulate_controls(outcomes, controls.NO_BLOCKS, controls.NO_BLOCKS),
    }


def write(loud=False, facts=FACTS, figures=None, without=()):
    """Write the findings of the small study, without the named tables."""
    tables = {name: table for name, table in tabulate(loud).items() if name not in without}
    return write_findings("small", tables, facts, figures or {})


def row(text, *beginning):
    """Return the cells of the only row of a table that begins with the given cells."""
    start = f"| {' | '.join(beginning)} |"
    (line,) = [line for line in text.splitlines() if line.startswith(start)]
    return [cell.strip() for cell in line.strip("|").split("|")]
