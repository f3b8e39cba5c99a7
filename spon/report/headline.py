"""Write the headline table: a study in a few rows of markdown, for the README."""

import pandas as pd

from spon.report.markdown import NOTHING, write_table
from spon.tables.outcomes import DENSE, TEAL

COLUMNS = [
    "sites sparsified",
    "sparsity",
    "of the model",
    "TEAL over dense",
    "SPON over dense",
    "KL damage recovered [95 %]",
    "log-likelihood damage recovered [95 %]",
]


def write_headline(perplexity: pd.DataFrame, damage_recovery: pd.DataFrame) -> str:
    """Write a markdown table: for every scope and sparsity, TEAL and the run with the most biases.

    Args:
        perplexity: The table of that name.
        damage_recovery: The table of that name.

    Returns:
        The table, with the dense model's perplexity in the line above it.
    """
    dense = perplexity.loc[perplexity["allocation"] == DENSE, "perplexity"].item()
    runs = perplexity.dropna(subset=["seed"])
    largest = runs.sort_values(["bias_parameters", "seed"], ascending=[False, True], kind="stable")
    largest = largest.drop_duplicates(["scope", "sparsity"]).sort_index()
    rows = [describe_run(run, perplexity, damage_recovery) for run in largest.itertuples()]
    table = write_table(COLUMNS, rows)
    return f"Perplexity of the dense model on held-out text: {dense:.3f}.\n\n{table}\n"


def describe_run(run, perplexity: pd.DataFrame, damage_recovery: pd.DataFrame) -> list[str]:
    """Return the cells of one run's row."""
    here = (perplexity["scope"] == run.scope) & (perplexity["sparsity"] == run.sparsity)
    baseline = here & (perplexity["allocation"] == TEAL)
    teal = perplexity.loc[baseline, "over_dense_percent"].item()
    key = ["allocation", "scope", "sparsity", "seed"]
    values = tuple(getattr(run, name) for name in key)
    shares = damage_recovery.set_index(key).loc[[values]].set_index("measure")
    return [
        f"{run.scope} ({run.allocation})",
        f"{100 * run.sparsity:g} %",
        f"{100 * run.model_sparsity:.1f} %",
        f"{teal:+.2f} %",
        f"{run.over_dense_percent:+.2f} %",
        *(describe_share(shares.loc[measure]) for measure in ("kl", "nll")),
    ]


def describe_share(share: pd.Series) -> str:
    """Write a share of damage with its interval; without an interval it is not applicable."""
    if pd.isna(share["low"]):
        return NOTHING
    return f"{share['recovery_percent']:.1f} % [{share['low']:.1f}, {share['high']:.1f}]"
