import re
from pathlib import Path

import pandas as pd
import pytest

from docs.update_readme import RESULTS, insert, read_conclusions
from spon.report import headline

ROOT = Path(__file__).parents[2]

PLACE = {"scope": "down_proj", "sparsity": 0.5, "model_sparsity": 0.14}
DENSE = {"allocation": "DENSE", "scope": "", "sparsity": 0.0, "perplexity": 10.0}
TEAL = PLACE | {"allocation": "BASELINE-TEAL", "over_dense_percent": 20.0}
LARGE = PLACE | {"allocation": "LARGE", "bias_parameters": 10}
OWN = "recovery_own_temperature_percent"
ALLOCATIONS = {"LARGE": {"learn": "kl"}, "MEAN": {"learn": "mean_residual"}}
PERPLEXITY = pd.DataFrame(
    [
        DENSE,
        TEAL,
        PLACE | {"allocation": "MEAN", "seed": 0, "bias_parameters": 10, OWN: 2.0},
        PLACE | {"allocation": "SMALL", "seed": 0, "bias_parameters": 5, OWN: 1.0},
        LARGE | {"seed": 0, "over_dense_percent": 15.0, OWN: 8.0},
        LARGE | {"seed": 1, "over_dense_percent": 16.0, OWN: 10.0},
    ]
)
RECOVERY = pd.DataFrame(
    [
        ("LARGE", "down_proj", 0.5, 0, 1, "kl", 30.0, 28.0, 32.0),
        ("LARGE", "down_proj", 0.5, None, 2, "kl", 29.0, 27.0, 31.0),
        ("LARGE", "down_proj", 0.5, None, 2, "nll", 25.0, None, None),
    ],
    columns=[
        "allocation",
        "scope",
        "sparsity",
        "seed",
        "seeds",
        "measure",
        "recovery_percent",
        "low",
        "high",
    ],
)


def test_a_scope_is_shown_by_its_trained_allocation_with_the_most_biases_over_all_trainings():
    lines = headline.write_headline(PERPLEXITY, RECOVERY, ALLOCATIONS).splitlines()
    assert lines[0] == "Perplexity of the dense model on held-out text: 10.000."
    row = ["down_proj (LARGE)", "50 %", "14.0 %", "29.0 % [27.0, 31.0]", "n/a", "9.0 %"]
    assert lines[-1] == f"| {' | '.join(row)} | +20.00 % | +15.50 % |"
    assert len(lines) == 5


@pytest.mark.parametrize(
    ("block", "path", "read"),
    [
        ("headline", f"{RESULTS}/headline.md", str),
        ("conclusions", f"{RESULTS}/findings.md", read_conclusions),
        ("small", "results/pydoc/headline.md", str),
    ],
)
def test_the_readme_shows_what_the_studies_found(block, path, read):
    if not (ROOT / path).exists():
        pytest.skip("this study is not here: `make pull` fetches it")
    readme = (ROOT / "README.md").read_text()
    # Another processor may round the last digit otherwise, so numbers are not compared.
    inserted = insert(readme, block, read((ROOT / path).read_text()))
    expected, actual = (re.sub(r"[-+]?\d+\.\d+", "N", text) for text in (inserted, readme))
    assert expected == actual, "run: make readme"
