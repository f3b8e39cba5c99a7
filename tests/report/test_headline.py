import re
from pathlib import Path

import pandas as pd
import pytest

from docs.update_readme import insert
from spon.report import headline

ROOT = Path(__file__).parents[2]

PERPLEXITY = pd.DataFrame(
    [
        ("DENSE", None, None, None, 0, 0.0, 10.0, 0.0),
        ("BASELINE-TEAL", "down_proj", 0.5, None, 0, 0.14, 12.0, 20.0),
        ("SMALL", "down_proj", 0.5, 0, 5, 0.14, 11.9, 19.0),
        ("LARGE", "down_proj", 0.5, 0, 10, 0.14, 11.5, 15.0),
        ("LARGE", "down_proj", 0.5, 1, 10, 0.14, 11.6, 16.0),
    ],
    columns=[
        "allocation",
        "scope",
        "sparsity",
        "seed",
        "bias_parameters",
        "model_sparsity",
        "perplexity",
        "over_dense_percent",
    ],
)
RECOVERY = pd.DataFrame(
    [
        ("LARGE", "down_proj", 0.5, 0, "kl", 30.0, 28.0, 32.0),
        ("LARGE", "down_proj", 0.5, 0, "nll", 25.0, None, None),
        ("LARGE", "down_proj", 0.5, 1, "kl", 1.0, 0.0, 2.0),
    ],
    columns=[
        "allocation",
        "scope",
        "sparsity",
        "seed",
        "measure",
        "recovery_percent",
        "low",
        "high",
    ],
)


def test_a_scope_is_shown_by_its_first_run_with_the_most_biases_and_says_what_is_not_applicable():
    lines = headline.write_headline(PERPLEXITY, RECOVERY).splitlines()
    assert lines[0] == "Perplexity of the dense model on held-out text: 10.000."
    row = ["down_proj (LARGE)", "50 %", "14.0 %", "+20.00 %", "+15.00 %"]
    assert lines[-1] == f"| {' | '.join(row)} | 30.0 % [28.0, 32.0] | n/a |"
    assert len(lines) == 5


def test_the_readme_shows_the_rows_of_the_default_study():
    headline_of_study = ROOT / "results/pydoc/headline.md"
    if not headline_of_study.exists():
        pytest.skip("the default study has not been run here")
    readme = (ROOT / "README.md").read_text()
    # Another processor may round the last digit otherwise, so numbers are not compared.
    inserted = insert(readme, "headline", headline_of_study.read_text())
    expected, actual = (re.sub(r"[-+]?\d+\.\d+", "N", text) for text in (inserted, readme))
    assert expected == actual, "run: make readme"
