"""Put studies of several models side by side: what biases win back, and every published claim."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import pandas as pd

from spon.claims.verdicts import NOT_APPLICABLE
from spon.report.markdown import (
    NOTHING,
    join_blocks,
    join_words,
    say_bounds,
    say_change,
    say_percent,
    say_range,
    write_table,
)
from spon.report.sections.claims import (
    Clause,
    count_verdicts,
    group_clauses,
    say_effects,
    say_published,
    say_verdicts,
)
from spon.report.sections.results import LEVEL, keep_largest, say_recovery, say_scope
from spon.report.seeds import PLACE, keep_counting
from spon.sites import DENSE, TEAL

COLUMNS = ["model", "sites sparsified", "sparsity", "TEAL over dense", "recovered: perplexity"]
COLUMNS += ["log-likelihood [95 %]", "the same at own temperature", "KL divergence [95 %]"]
MEASURES = ("nll", "kl")
HOW_TO_READ = (
    "*Over dense* is in perplexity on held-out text. *Recovered* is the share of TEAL's damage "
    "that a bias at every site wins back, by three measures; *at own temperature*, every model "
    "has the one that suits it best. The published study measured perplexity alone."
)
SCALAR = (
    "How much of what biases win back in log-likelihood one scalar wins back too: the temperature "
    "that suits the sparse model best, without any bias."
)
CLAIMS = (
    "Every published clause, and those of ours, each decided from a study's own numbers "
    f"{LEVEL}. Numbers and words are those of `claims.json`."
)


@dataclass(frozen=True)
class Findings:
    """What a study found.

    Attributes:
        name: The model, as readers know it.
        description: What it is and what text it was measured on, a sentence.
        perplexity: The table of that name; so are `damage_recovery` and `controls`.
        further: Of every further evaluation text by name, its table of recovered damage.
        claims: As `claims.json` has them.
        allocations: Say how each allocation learns its biases: `learn`.
    """

    name: str
    description: str
    perplexity: pd.DataFrame
    damage_recovery: pd.DataFrame
    controls: pd.DataFrame
    further: Mapping[str, pd.DataFrame]
    claims: Sequence[Mapping]
    allocations: Mapping[str, Mapping]

    @cached_property
    def largest(self) -> pd.DataFrame:
        """The trained allocation with the most biases at every place."""
        return keep_largest(self.perplexity, {"allocations": self.allocations})


def write_comparison(published: Mapping, studies: Sequence[Findings]) -> str:
    """Write a page of markdown about the published study's model and those of other studies.

    Args:
        published: `model, parameters, dense` and `places`, each with `scope, sparsity, allocation`
            and the perplexities of `teal` and of the `run`.
        studies: In the order of the page; at least one, all with the same clauses.
    """
    return (
        join_blocks(
            f"# {published['model']} beside {join_words(one.name for one in studies)}",
            describe_models(published, studies),
            "## What sparsity costs, and what biases win back",
            HOW_TO_READ,
            tabulate_recovery(published, studies),
            describe_scalar(studies),
            describe_further_texts(studies),
            "## Claim by claim",
            CLAIMS,
            count_claims(studies),
            tabulate_claims(published, studies),
        )
        + "\n"
    )


def describe_models(published: Mapping, studies: Sequence[Findings]) -> str:
    """List the models."""
    lines = [
        f"- **{published['model']}**: {published['parameters'] / 1e6:,.0f} million parameters, as "
        f"published; dense perplexity {published['dense']:.2f}."
    ]
    for one in studies:
        dense = one.perplexity.loc[one.perplexity["allocation"] == DENSE, "perplexity"].item()
        lines.append(f"- **{one.name}**: {one.description}; dense perplexity {dense:.2f}.")
    return "\n".join(lines)


def tabulate_recovery(published: Mapping, studies: Sequence[Findings]) -> str:
    """Write a row for every place of every model."""
    rows = [describe_published(place, published) for place in published["places"]]
    for one in studies:
        rows += [describe_place(run, one) for run in one.largest.itertuples()]
    return write_table(COLUMNS, rows, words=2)


def describe_published(place: Mapping, published: Mapping) -> list[str]:
    """Return the cells of a place of the published study."""
    damage = place["teal"] - published["dense"]
    return [
        published["model"],
        f"{say_scope(place['scope'])} ({place['allocation']})",
        say_percent(place["sparsity"]),
        say_change(100 * damage / published["dense"], 1),
        say_range([100 * (place["teal"] - place["run"]) / damage], 0, "%"),
        *[NOTHING] * 3,
    ]


def describe_place(run, study: Findings) -> list[str]:
    """Return the cells of the run with most biases at a place of a study."""
    perplexity = study.perplexity
    here = (perplexity["scope"] == run.scope) & (perplexity["sparsity"] == run.sparsity)
    teal = perplexity.loc[here & (perplexity["allocation"] == TEAL), "over_dense_percent"].item()
    likelihood, kl = (find_recovery(run, study.damage_recovery, one) for one in MEASURES)
    return [
        study.name,
        *say_place(run),
        say_change(teal, 1),
        say_range([run.recovery_percent], 0, "%"),
        say_recovery(likelihood),
        say_range([run.recovery_own_temperature_percent], 1, "%"),
        say_recovery(kl),
    ]


def say_place(run) -> list[str]:
    """Return the cells that name the sites and the sparsity of a run."""
    return [f"{say_scope(run.scope)} ({run.allocation})", say_percent(run.sparsity)]


def find_recovery(run, damage_recovery: pd.DataFrame, measure: str) -> pd.Series:
    """Find the share that a run wins back by a measure, over most trainings."""
    shares = keep_counting(damage_recovery, [*PLACE, "measure"]).set_index([*PLACE, "measure"])
    return shares.loc[(*(getattr(run, name) for name in PLACE), measure)]


def describe_scalar(studies: Sequence[Findings]) -> str:
    """Write what a temperature wins back of what biases do; nothing without such a control."""
    rows = []
    for one in studies:
        chosen = one.controls["control"] == "temperature"
        controls = keep_counting(one.controls[chosen], [*PLACE, "measure"])
        shown = controls[controls["measure"] == "nll"].merge(one.largest[PLACE], on=PLACE)
        for row in shown.itertuples():
            share = (row.share_of_trained_percent, row.share_low, row.share_high)
            rows.append([one.name, *say_place(row), say_bounds(*share, 0, "%")])
    header = ["model", "sites sparsified", "sparsity", "share of the biases' gain [95 %]"]
    return join_blocks(SCALAR, write_table(header, rows, words=2)) if rows else ""


def describe_further_texts(studies: Sequence[Findings]) -> str:
    """Write what is left of the gains on other texts; nothing if no study has one."""
    rows = []
    for one in studies:
        for text, shares in one.further.items():
            rows += [describe_further(run, one, text, shares) for run in one.largest.itertuples()]
    header = ["model", "text", "sites sparsified", "sparsity", "log-likelihood [95 %]"]
    header += ["KL divergence [95 %]"]
    introduction = "What the same biases win back on text of another kind than they learned from."
    return join_blocks(introduction, write_table(header, rows, words=3)) if rows else ""


def describe_further(run, study: Findings, text: str, shares: pd.DataFrame) -> list[str]:
    """Return the cells of a place on a further text."""
    return [
        study.name,
        text,
        *say_place(run),
        *(say_recovery(find_recovery(run, shares, measure)) for measure in MEASURES),
    ]


def count_claims(studies: Sequence[Findings]) -> str:
    """Count the verdicts of every study."""
    return "\n".join(f"- **{one.name}**: {count_verdicts(one.claims)}" for one in studies)


def tabulate_claims(published: Mapping, studies: Sequence[Findings]) -> str:
    """Write a row for every clause that some study decides."""
    by_study = [{one.records[0]["id"]: one for one in group_clauses(s.claims)} for s in studies]
    rows = []
    for name, clause in by_study[0].items():
        clauses = [found.get(name) for found in by_study]
        if any(one and one.decided for one in clauses):
            cells = [say_clause(one) for one in clauses]
            rows.append([clause.label, clause.statement, say_published(clause), *cells])
    names = [f"{one.name} [95 %]" for one in studies]
    header = ["", "claim", f"{published['model']}, published", *names]
    return write_table(header, rows, words=len(header))


def say_clause(clause: Clause | None) -> str:
    """Write the verdict of a clause and its effects."""
    if clause is None or not clause.decided:
        return NOT_APPLICABLE
    return f"{say_verdicts(clause)}: {say_effects(clause)}"
