"""Describe what sparsity costs and what biases win back: the baselines, and every run."""

from collections.abc import Mapping
from numbers import Real

import pandas as pd

from spon.allocate import TRAINED
from spon.claims.verdicts import ALPHA
from spon.report.markdown import (
    embed_figure,
    join_blocks,
    say_bounds,
    say_change,
    say_fixed,
    say_p_value,
    say_percent,
    write_table,
)
from spon.tables.outcomes import DENSE, TEAL

RUN = ["allocation", "scope", "sparsity", "seed"]
# Differences in log-likelihood are written in thousandths of a nat.
MILLI = 1000.0
HOW_TO_READ = (
    "*SPON less TEAL* is the paired difference in negative log-likelihood per token, in "
    "thousandths of a nat, below zero where biases help. Recovered is the share of TEAL's "
    "damage that is won back, by KL divergence from the dense model, which is what is trained, "
    "and by log-likelihood. In brackets: 95 % intervals over blocks. A run is called better or "
    "worse than TEAL only if the p-value, Holm-adjusted over all contrasts of the study, is "
    f"below {ALPHA:g}; an interval alone may exclude zero and the verdict still be *not "
    "distinguishable*."
)


def describe_baselines(perplexity: pd.DataFrame, contrasts: pd.DataFrame) -> str:
    """Describe the dense model, and what TEAL costs at each scope and sparsity."""
    dense = perplexity.loc[perplexity["allocation"] == DENSE].iloc[0]
    level = say_bounds(dense["perplexity"], dense["perplexity_low"], dense["perplexity_high"], 3)
    introduction = (
        f"The dense model has a perplexity of {level} on held-out text. That interval is wide "
        "since texts differ; it says nothing about differences between models, which are paired "
        "by block and far more certain. The last two columns are in thousandths of a nat per "
        "token: negative log-likelihood above dense, and KL divergence from it."
    )
    header = [
        "sites sparsified",
        "sparsity",
        "TEAL's perplexity",
        "over dense",
        "TEAL less dense [95 %]",
        "KL",
    ]
    damages = contrasts[(contrasts["contrast"] == "teal_dense") & (contrasts["measure"] == "nll")]
    rows = []
    for teal in perplexity[perplexity["allocation"] == TEAL].itertuples():
        here = (damages["scope"] == teal.scope) & (damages["sparsity"] == teal.sparsity)
        damage = damages[here].iloc[0]
        rows.append(
            [
                teal.scope,
                say_percent(teal.sparsity),
                say_fixed(teal.perplexity, 3),
                say_change(teal.over_dense_percent),
                say_bounds(
                    damage["difference_nats_per_token"],
                    damage["low"],
                    damage["high"],
                    1,
                    scale=MILLI,
                ),
                say_fixed(MILLI * teal.kl_nats_per_token, 1),
            ]
        )
    return join_blocks(introduction, write_table(header, rows))


def describe_results(
    perplexity: pd.DataFrame,
    contrasts: pd.DataFrame,
    damage_recovery: pd.DataFrame,
    settings: Mapping,
    figures: Mapping[str, str],
) -> str:
    """Describe every trained run at every sparsity, against TEAL and against one another."""
    trained = keep_trained(perplexity.dropna(subset=["seed"]), settings)
    sparsities = [
        describe_sparsity(sparsity, runs, contrasts, damage_recovery)
        for sparsity, runs in trained.groupby("sparsity", sort=True)
    ]
    bars = embed_figure(
        figures,
        "fig1_perplexity",
        "Perplexity above the dense model",
        "Perplexity above the dense model (left edge), by sites sparsified and sparsity; further "
        "left is better. A run whose bar reaches the dashed line cannot be told from TEAL. Grey "
        "points are controls.",
    )
    shares = embed_figure(
        figures,
        "fig2_damage_recovery",
        "Share of TEAL's damage that is won back",
        "The share of TEAL's damage that biases win back, by perplexity and by KL divergence, "
        "with 95 % intervals; 0 % is TEAL, 100 % the dense model. Grey points are controls.",
    )
    return join_blocks(HOW_TO_READ, *sparsities, bars, shares)


def keep_trained(rows: pd.DataFrame, settings: Mapping) -> pd.DataFrame:
    """Keep the rows of trained runs, without those of controls.

    Args:
        rows: Have the column `allocation`.
        settings: Say under `allocations` how each allocation learns its biases; one that they do
            not name counts as trained.
    """
    allocations = settings.get("allocations", {})
    controls = [name for name, one in allocations.items() if one["learn"] != TRAINED]
    return rows[~rows["allocation"].isin(controls)]


def describe_sparsity(
    sparsity: float, runs: pd.DataFrame, contrasts: pd.DataFrame, recovery: pd.DataFrame
) -> str:
    """Write the table of the runs at one sparsity, and say which of them differ.

    Args:
        sparsity: Share of zeros.
        runs: Perplexities of the trained runs at this sparsity.
        contrasts: Differences of all runs, at all sparsities.
        recovery: Shares of damage won back by all runs, at all sparsities.
    """
    here = contrasts[(contrasts["sparsity"] == sparsity) & (contrasts["measure"] == "nll")]
    from_teal = runs[RUN].merge(here[here["contrast"] == "run_teal"], on=RUN)
    shares = recovery.set_index(RUN)
    rows = [describe_run(contrast, runs, shares) for contrast in from_teal.itertuples()]
    header = [
        "run",
        "sites",
        "biases",
        "perplexity",
        "SPON less TEAL [95 %]",
        "p (Holm)",
        "against TEAL",
        "KL recovered [95 %]",
        "log-likelihood recovered [95 %]",
    ]
    title = f"### {say_percent(sparsity)} sparsity"
    return join_blocks(title, write_table(header, rows), compare_runs(runs, here))


def describe_run(contrast, runs: pd.DataFrame, shares: pd.DataFrame) -> list[str]:
    """Return the cells of one run.

    Args:
        contrast: The run's difference from TEAL.
        runs: Perplexities of the runs at the same sparsity.
        shares: Shares of damage won back, by run.
    """
    same_seed = (runs["allocation"] == contrast.allocation) & (runs["seed"] == contrast.seed)
    run = runs[same_seed & (runs["scope"] == contrast.scope)]
    assert len(run) == 1, f"{contrast.allocation}, seed {contrast.seed}, has {len(run)} rows"
    by_measure = shares.loc[tuple(getattr(contrast, name) for name in RUN)].set_index("measure")
    return [
        name_run(contrast.allocation, contrast.seed, runs),
        contrast.scope,
        f"{run['bias_parameters'].item():,}",
        say_fixed(run["perplexity"].item(), 3),
        say_bounds(
            contrast.difference_nats_per_token, contrast.low, contrast.high, 2, scale=MILLI
        ),
        say_p_value(contrast.p_holm),
        judge_difference(contrast),
        say_recovery(by_measure.loc["kl"]),
        say_recovery(by_measure.loc["nll"]),
    ]


def say_recovery(share: pd.Series) -> str:
    """Write a share of damage with its interval."""
    return say_bounds(share["recovery_percent"], share["low"], share["high"], 1, "%")


def name_run(allocation: str, seed: Real, runs: pd.DataFrame) -> str:
    """Name a run by its allocation, and by its seed too if the table has several seeds."""
    return f"{allocation}, seed {seed:g}" if runs["seed"].nunique() > 1 else allocation


def judge_difference(contrast) -> str:
    """Judge a difference from its p-value: `better`, `worse` or `not distinguishable`.

    The difference is in negative log-likelihood, so a negative one is better.
    """
    # A p-value that is NaN decides nothing, and no comparison with it is true.
    if not contrast.p_holm < ALPHA:
        return "not distinguishable"
    return "better" if contrast.difference_nats_per_token < 0 else "worse"


def compare_runs(runs: pd.DataFrame, contrasts: pd.DataFrame) -> str:
    """Say which runs differ from one another, and which cannot be told apart."""
    allocations = set(runs["allocation"])
    pairs = contrasts[contrasts["contrast"] == "run_run"]
    pairs = pairs[pairs["allocation"].isin(allocations) & pairs["reference"].isin(allocations)]
    differing, tied = [], []
    for pair in pairs.itertuples():
        run = name_run(pair.allocation, pair.seed, runs)
        reference = name_run(pair.reference, pair.reference_seed, runs)
        verdict = judge_difference(pair)
        if verdict == "better":
            differing.append(f"{run} than {reference}")
        elif verdict == "worse":
            differing.append(f"{reference} than {run}")
        else:
            tied.append(f"{run} and {reference}")
    if tied and not differing:
        return "By log-likelihood no two runs of one scope and seed can be told apart."
    sentences = []
    if differing:
        better = "; ".join(differing)
        sentences.append(f"Of the runs of one scope and seed, better by log-likelihood: {better}.")
    if tied:
        sentences.append(f"Not to be told apart: {'; '.join(tied)}.")
    return " ".join(sentences)
