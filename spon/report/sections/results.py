"""What sparsity costs and what biases win back: baselines, and every run at every sparsity."""

from collections.abc import Mapping
from numbers import Real

import pandas as pd

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

SAME_RUN = ["allocation", "scope", "sparsity", "seed"]
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
    """The dense model, and what TEAL costs at each scope and sparsity."""
    dense = perplexity.loc[perplexity["allocation"] == DENSE].iloc[0]
    damage = contrasts[(contrasts["contrast"] == "teal_dense") & (contrasts["measure"] == "nll")]
    rows = []
    for teal in perplexity[perplexity["allocation"] == TEAL].itertuples():
        found = damage[
            (damage["scope"] == teal.scope) & (damage["sparsity"] == teal.sparsity)
        ].iloc[0]
        cost = say_bounds(
            found["difference_nats_per_token"], found["low"], found["high"], 1, scale=MILLI
        )
        level = [say_fixed(teal.perplexity, 3), say_change(teal.over_dense_percent)]
        rows.append(
            [
                teal.scope,
                say_percent(teal.sparsity),
                *level,
                cost,
                say_fixed(MILLI * teal.kl_nats_per_token, 1),
            ]
        )
    header = [
        "sites sparsified",
        "sparsity",
        "TEAL's perplexity",
        "over dense",
        "TEAL less dense [95 %]",
        "KL",
    ]
    level = say_bounds(dense["perplexity"], dense["perplexity_low"], dense["perplexity_high"], 3)
    told = (
        f"The dense model has a perplexity of {level} on held-out text. That interval is wide "
        "since texts differ; it says nothing about differences between models, which are paired "
        "by block and far more certain. The last two columns are in thousandths of a nat per "
        "token: negative log-likelihood above dense, and KL divergence from it."
    )
    return join_blocks(told, write_table(header, rows))


def describe_results(
    perplexity: pd.DataFrame,
    contrasts: pd.DataFrame,
    damage_recovery: pd.DataFrame,
    settings: Mapping,
    figures: Mapping[str, str],
) -> str:
    """Every trained run at every sparsity, what differs from TEAL, and what from one another."""
    trained = keep_trained(perplexity.dropna(subset=["seed"]), settings)
    blocks = [
        describe_sparsity(sparsity, runs, contrasts, damage_recovery)
        for sparsity, runs in trained.groupby("sparsity", sort=True)
    ]
    bars = embed_figure(
        figures,
        "fig1_perplexity",
        "Perplexity above the dense model",
        "Perplexity above the dense model (left edge), by sites sparsified and sparsity; "
        "further left is better. A run whose bar reaches the dashed line cannot be told from "
        "TEAL. Grey points are controls.",
    )
    shares = embed_figure(
        figures,
        "fig2_damage_recovery",
        "Share of TEAL's damage that is won back",
        "The share of TEAL's damage that biases win back, by perplexity and by KL divergence, "
        "with 95 % intervals; 0 % is TEAL, 100 % the dense model. Grey points are controls.",
    )
    return join_blocks(HOW_TO_READ, *blocks, bars, shares)


def keep_trained(rows: pd.DataFrame, settings: Mapping) -> pd.DataFrame:
    """The rows of runs whose biases were trained; controls have a section of their own."""
    ways = {
        name: chosen.get("learn", "kl") for name, chosen in settings.get("allocations", {}).items()
    }
    controls = [name for name, way in ways.items() if way != "kl"]
    return rows[~rows["allocation"].isin(controls)]


def describe_sparsity(
    sparsity: float, runs: pd.DataFrame, contrasts: pd.DataFrame, recovery: pd.DataFrame
) -> str:
    """One sparsity: a row per run, and in a sentence or two what differs."""
    here = contrasts[(contrasts["sparsity"] == sparsity) & (contrasts["measure"] == "nll")]
    from_teal = runs[SAME_RUN].merge(here[here["contrast"] == "run_teal"], on=SAME_RUN)
    shares = recovery.set_index(SAME_RUN)
    rows = [describe_run(run, runs, shares) for run in from_teal.itertuples()]
    header = [
        "run",
        "sites",
        "biases",
        "perplexity",
        "SPON less TEAL [95 %]",
        "p (Holm)",
        "against TEAL",
    ]
    table = write_table([*header, "KL recovered [95 %]", "log-likelihood recovered [95 %]"], rows)
    return join_blocks(f"### {say_percent(sparsity)} sparsity", table, say_pairs(runs, here))


def describe_run(found, runs: pd.DataFrame, shares: pd.DataFrame) -> list[str]:
    """The cells of one run."""
    run = runs[
        (runs["allocation"] == found.allocation)
        & (runs["seed"] == found.seed)
        & (runs["scope"] == found.scope)
    ]
    won = shares.loc[tuple(getattr(found, name) for name in SAME_RUN)].set_index("measure")
    return [
        name_run(found.allocation, found.seed, runs),
        found.scope,
        f"{run['bias_parameters'].item():,}",
        say_fixed(run["perplexity"].item(), 3),
        say_bounds(found.difference_nats_per_token, found.low, found.high, 2, scale=MILLI),
        say_p_value(found.p_holm),
        judge_difference(found),
        *(
            say_bounds(*won.loc[measure, ["recovery_percent", "low", "high"]], 1, "%")
            for measure in ("kl", "nll")
        ),
    ]


def name_run(allocation: str, seed: Real, runs: pd.DataFrame) -> str:
    """A run's allocation, with its seed if the table has several."""
    return f"{allocation}, seed {seed:g}" if runs["seed"].nunique() > 1 else allocation


def judge_difference(found) -> str:
    """A difference in negative log-likelihood as a word."""
    if not found.p_holm < ALPHA:
        return "not distinguishable"
    return "better" if found.difference_nats_per_token < 0 else "worse"


def say_pairs(runs: pd.DataFrame, contrasts: pd.DataFrame) -> str:
    """Which runs differ from one another, and which do not."""
    known = set(runs["allocation"])
    pairs = contrasts[contrasts["contrast"] == "run_run"]
    pairs = pairs[pairs["allocation"].isin(known) & pairs["reference"].isin(known)]
    if pairs.empty:
        return ""
    differ, tied = [], []
    for pair in pairs.itertuples():
        names = [
            name_run(pair.allocation, pair.seed, runs),
            name_run(pair.reference, pair.reference_seed, runs),
        ]
        verdict = judge_difference(pair)
        if verdict == "not distinguishable":
            tied.append(" and ".join(names))
        else:
            differ.append(" than ".join(names if verdict == "better" else names[::-1]))
    better = (
        f"Of the runs of one scope and seed, better by log-likelihood: {'; '.join(differ)}."
        if differ
        else ""
    )
    ties = (
        f"Not to be told apart: {'; '.join(tied)}."
        if differ
        else "By log-likelihood no two runs of one scope and seed can be told apart."
    )
    return " ".join(filter(None, [better, ties if tied else ""]))
