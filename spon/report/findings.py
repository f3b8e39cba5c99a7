"""Write the findings of a study as the text of a short paper.

Every number comes from a table, and the numbers decide which sentence is written.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import pandas as pd

from spon.report.markdown import join_blocks
from spon.report.sections.biases import describe_agreement, describe_norms, describe_statistics
from spon.report.sections.claims import describe_claims, describe_reasons
from spon.report.sections.confidence import describe_confidence
from spon.report.sections.controls import describe_controls
from spon.report.sections.layers import describe_layers
from spon.report.sections.published import describe_as_published
from spon.report.sections.results import (
    describe_baselines,
    describe_results,
    describe_whole_model,
)
from spon.report.sections.setup import (
    describe_checkpoints,
    describe_environment,
    describe_limits,
    describe_setup,
)
from spon.report.sections.states import describe_alignment, describe_categories, describe_shifts
from spon.report.sections.summary import summarise
from spon.report.sections.tasks import describe_tasks
from spon.report.sections.texts import describe_other_text
from spon.report.sections.trainings import describe_trainings

ANALYSES = "What do the biases encode? P-values here are of each analysis by itself."
# The line across the page behind which sections are details: a page folds them.
DETAILS = "---"


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
OUTCOMES = ("perplexity", "contrasts", "damage_recovery", "settings")
FIRST_PAGE = [
    Section(
        "## Summary",
        summarise,
        ("figures",),
        (
            "perplexity",
            "damage_recovery",
            "controls",
            "texts",
            "claims",
            "settings",
            "trainings",
            "model",
            "protocol",
            "tasks",
            *OF_BIASES,
        ),
    ),
    Section("## The published claims", describe_claims, ("claims",)),
]
BEHIND_IT = [
    Section("## Checkpoints", describe_checkpoints, ("checkpoints",)),
    Section("## Setup", describe_setup, ("model", "protocol", "settings"), ("perplexity",)),
    Section(
        "## Baselines", describe_baselines, ("perplexity", "contrasts", "model"), ("thresholds",)
    ),
    Section("## Trainings", describe_trainings, ("trainings",)),
    Section("## Results", describe_results, (*OUTCOMES, "figures")),
    Section("## The whole model sparsified", describe_whole_model, OUTCOMES),
    Section(
        "## Layers and cost",
        describe_layers,
        ("layer_position", "marginal_gain", "pareto", "figures"),
    ),
    Section("## Controls", describe_controls, ("controls",)),
    Section(
        "## Repair or confidence?",
        describe_confidence,
        ("perplexity", "damage_recovery", "settings"),
        ("controls", "figures"),
    ),
    Section("## On another text", describe_other_text, ("texts", "settings"), ("figures",)),
    Section("## Tasks", describe_tasks, ("tasks",), ("figures",)),
    Section("## Analyses of the biases", lambda **_: ANALYSES, ("bias_statistics",)),
    Section("### Hidden-state shift", describe_shifts, ("hidden_state_shift", "figures")),
    Section("### Alignment", describe_alignment, ("pca_alignment", "figures")),
    Section("### Category of the prompt", describe_categories, ("category_shift",)),
    Section("### Agreement of runs", describe_agreement, ("cross_configuration", "figures")),
    Section("### Norms", describe_norms, ("norm_ranking",)),
    Section("### Entries", describe_statistics, ("bias_statistics", "figures")),
    Section(
        "## As published",
        describe_as_published,
        ("settings",),
        (
            "perplexity",
            "pca_alignment",
            "hidden_state_shift",
            "category_shift",
            "bias_statistics",
            "cross_configuration",
        ),
    ),
    Section("## Reasons of the verdicts", describe_reasons, ("claims",)),
    Section(
        "## Limits",
        describe_limits,
        ("settings",),
        ("model", "perplexity", "trainings", "texts", "tasks", "bias_statistics"),
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
    first_page = [write_section(section, evidence) for section in FIRST_PAGE]
    behind_it = [write_section(section, evidence) for section in BEHIND_IT]
    line = DETAILS if any(behind_it) else ""
    title = f"# Findings of the study `{study}`"
    return join_blocks(title, *first_page, line, *behind_it) + "\n"


def write_section(section: Section, evidence: Mapping[str, object]) -> str:
    """Write a section with its heading, or nothing if what it needs is missing."""
    if any(evidence.get(name) is None for name in section.needs):
        return ""
    names = (*section.needs, *section.uses)
    text = section.write(**{name: evidence.get(name) for name in names})
    return join_blocks(section.title, text) if text else ""
