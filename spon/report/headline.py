"""The study in a handful of rows, as markdown: what a README shows first."""

import pandas as pd

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
    """A markdown table: for every scope and sparsity, TEAL and the run with the most biases.

    Args:
        perplexity: The table of that name.
        damage_recovery: The table of that name.

    Returns:
        The table, with the dense model's perplexity in the line above it.
    """
    dense = perplexity.loc[perplexity["allocation"] == "DENSE", "perplexity"].item()
    runs = perplexity.dropna(subset=["seed"])
    largest = runs.sort_values(["bias_parameters", "seed"], ascending=[False, True], kind="stable")
    largest = largest.drop_duplicates(["scope", "sparsity"]).sort_index()
    rows = [describe_run(run, perplexity, damage_recovery) for run in largest.itertuples()]
    lines = [COLUMNS, ["---", *["---:"] * (len(COLUMNS) - 1)], *rows]
    table = "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
    return f"Perplexity of the dense model on held-out text: {dense:.3f}.\n\n{table}\n"


def describe_run(run, perplexity: pd.DataFrame, damage_recovery: pd.DataFrame) -> list[str]:
    """The cells of one row."""
    here = (perplexity["scope"] == run.scope) & (perplexity["sparsity"] == run.sparsity)
    teal = perplexity.loc[
        here & (perplexity["allocation"] == "BASELINE-TEAL"), "over_dense_percent"
    ].item()
    same = ["allocation", "scope", "sparsity", "seed"]
    recovered = damage_recovery.merge(
        pd.DataFrame([{name: getattr(run, name) for name in same}]), on=same
    )
    shares = recovered.set_index("measure")
    return [
        f"{run.scope} ({run.allocation})",
        f"{100 * run.sparsity:g} %",
        f"{100 * run.model_sparsity:.1f} %",
        f"{teal:+.2f} %",
        f"{run.over_dense_percent:+.2f} %",
        *(describe_share(shares.loc[measure]) for measure in ("kl", "nll")),
    ]


def describe_share(share: pd.Series) -> str:
    """A share with its interval, or that there is none."""
    if pd.isna(share["low"]):
        return "n/a"
    return f"{share['recovery_percent']:.1f} % [{share['low']:.1f}, {share['high']:.1f}]"
