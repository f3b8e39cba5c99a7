"""Write the findings of a study as the text of a short paper.

Every number comes from a table, and the numbers decide which sentence is written.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import pandas as pd

from spon.report.markdown import join_blocks
from spon.report.sections.biases import describe_agreement, describe_norms, describe_statistics
from spon.report.sections.claims import describe_claims
from spon.report.sections.controls import describe_controls
from spon.report.sections.layers import describe_layers
from spon.report.sections.results import describe_baselines, describe_results
from spon.report.sections.setup import (
    describe_checkpoints,
    describe_environment,
    describe_limits,
    describe_setup,
)
from spon.report.sections.states import describe_alignment, describe_categories, describe_shifts
from spon.report.sections.summary import summarise

ANALYSES = (
    "What do the biases encode? Each analysis gives the published definition, so that numbers "
    "can be compared, beside a sound one with its null. P-values here are of each analysis by "
    "itself; the verdicts above adjust them over all tests."
)


@dataclass(frozen=True)
class Section:
    """One section of the findings.

    Attributes:
        title: Its heading, with the number signs of its level.
        write: Returns its text, from what it needs and uses as keyword arguments; a section whose
            text is empty is left out.
        needs: Names of the tables and facts without which the section is left out.
        uses: Names of tables and facts that it shows too; one that is missing is passed as None.
    """

    title: str
    write: Callable[..., str]
    needs: tuple[str, ...]
    uses: tuple[str, ...] = ()


OF_BIASES = ("bias_statistics", "norm_ranking", "cross_configuration")
SECTIONS = [
    Section(
        "## Summary",
        summarise,
        (),
        ("perplexity", "damage_recovery", "controls", "claims", "settings", *OF_BIASES),
    ),
    Section("## Checkpoints", describe_checkpoints, ("checkpoints",)),
    Section(
        "## Setup and protocol",
        describe_setup,
        ("model", "protocol", "settings"),
        ("thresholds", "perplexity"),
    ),
    Section("## Baselines", describe_baselines, ("perplexity", "contrasts")),
    Section(
        "## Results at each sparsity",
        describe_results,
        ("perplexity", "contrasts", "damage_recovery", "settings", "figures"),
    ),
    Section(
        "### Which layers, and at what cost",
        describe_layers,
        ("layer_position", "marginal_gain", "pareto", "figures"),
    ),
    Section("## Key findings: the published claims", describe_claims, ("claims",)),
    Section("## Analyses", lambda **_: ANALYSES, ("bias_statistics",)),
    Section("### PCA alignment", describe_alignment, ("pca_alignment", "figures")),
    Section("### Category shift", describe_categories, ("category_shift",)),
    Section("### Bias statistics", describe_statistics, ("bias_statistics", "figures")),
    Section("### Hidden-state shift", describe_shifts, ("hidden_state_shift", "figures")),
    Section("### Norm ranking", describe_norms, ("norm_ranking",)),
    Section("### Cross-configuration", describe_agreement, ("cross_configuration", "figures")),
    Section("## What the controls say", describe_controls, ("controls",)),
    Section(
        "## Limits", describe_limits, ("settings",), ("model", "perplexity", "bias_statistics")
    ),
    Section("## Environment", describe_environment, ("environment",)),
]


def write_findings(
    study: str,
    tables: Mapping[str, pd.DataFrame],
    facts: Mapping[str, object],
    figures: Mapping[str, str],
) -> str:
    """Write the findings of a study as markdown.

    Args:
        study: Its name.
        tables: The study's tables by name; those of several runs are concatenated.
        facts: `model, protocol, claims, environment, checkpoints, settings`, as far as the study
            has them.
        figures: Paths of figures by name, relative to the folder of the findings.

    Returns:
        The text. A section whose tables or facts are missing is left out; the same input gives
        the same text.
    """
    evidence = {**tables, **facts, "figures": figures}
    sections = [write_section(section, evidence) for section in SECTIONS]
    return join_blocks(f"# Findings of the study `{study}`", *sections) + "\n"


def write_section(section: Section, evidence: Mapping[str, object]) -> str:
    """Write a section with its heading, or nothing if what it needs is missing."""
    if any(evidence.get(name) is None for name in section.needs):
        return ""
    names = (*section.needs, *section.uses)
    text = section.write(**{name: evidence.get(name) for name in names})
    return join_blocks(section.title, text) if text else ""
