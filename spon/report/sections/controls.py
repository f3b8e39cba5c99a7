"""Describe the controls: does training earn its cost, and is it the direction that counts?"""

import pandas as pd

from spon.claims.verdicts import ALPHA
from spon.report.markdown import (
    NOTHING,
    join_blocks,
    join_words,
    say_bounds,
    say_percent,
    say_range,
    write_table,
)
from spon.report.sections.results import LEVEL, MEASURES
from spon.report.seeds import PLACE, keep_counting

TEMPERATURE = "temperature"
# Marks of a share: the control cannot be told from training, or it is better.
TIED, BEATEN = "=", ">"
# Each control beside trained biases, by its column, with what it is.
CONTROLS = {
    "mean_residual": ("mean residual", "`b = E[W (x - S(x))]`, one forward pass"),
    "fisher": ("Fisher step", "one Newton step from zero in the metric of the logits"),
    "mode": ("mode centring", "the map's output at the mode of its inputs, as SCAP has it"),
    "random": ("random directions", "as long as the trained biases"),
    TEMPERATURE: (
        "one temperature",
        "TEAL with its logits divided by the number that suits the text best, whatever the KL",
    ),
}


def describe_controls(controls: pd.DataFrame) -> str:
    """Write what each control reaches of the trained gain, and conclude on it."""
    rows = keep_controls(controls)
    if rows.empty:
        return ""
    kinds = [kind for kind in CONTROLS if kind in set(rows["control"])]
    named = "; ".join(f"*{CONTROLS[kind][0]}*: {CONTROLS[kind][1]}" for kind in kinds)
    introduction = (
        "Share of the trained gain in percent that a control reaches, by KL / by log-likelihood; "
        f"{NOTHING} where the trained gain is not above zero. Training is better {LEVEL} "
        f"(Holm-adjusted over all controls by the same measure) except where marked: {TIED} not "
        f"told apart, {BEATEN} the control is better. {named}."
    )
    return join_blocks(introduction, tabulate_controls(rows, kinds))


def keep_controls(controls: pd.DataFrame) -> pd.DataFrame:
    """Keep the rows that count, of allocations that have an untrained bias beside them."""
    rows = controls[controls["control"].isin(CONTROLS) & controls["measure"].isin(MEASURES)]
    compared = rows.loc[rows["control"] != TEMPERATURE, "allocation"]
    rows = rows[rows["allocation"].isin(compared)]
    return keep_counting(rows, ["control", *PLACE, "measure"]) if len(rows) else rows


def tabulate_controls(rows: pd.DataFrame, kinds: list[str]) -> str:
    """Write a table with a row per trained allocation and sparsity, a column per control."""
    header = ["trained", "sparsity", *(CONTROLS[kind][0] for kind in kinds)]
    cells = rows.assign(words=[say_share(row) for _, row in rows.iterrows()])
    cells = cells.pivot(index=PLACE, columns=["control", "measure"], values="words").fillna(
        NOTHING
    )
    lines = []
    for place in rows[PLACE].drop_duplicates().itertuples(index=False, name=None):
        shares = (
            " / ".join(cells.loc[place].get((kind, measure), NOTHING) for measure in MEASURES)
            for kind in kinds
        )
        lines.append([place[0], say_percent(place[2]), *shares])
    return write_table(header, lines)


def say_share(row: pd.Series) -> str:
    """Write a control's share of the trained gain with its interval, marked if it is no worse."""
    share = say_bounds(row["share_of_trained_percent"], row["share_low"], row["share_high"], 0)
    return f"{share} {say_rank(row)}".strip()


def say_rank(row: pd.Series) -> str:
    """Mark a control that is not told apart from training, or gains more."""
    if not row["p_holm"] < ALPHA:
        return TIED
    return "" if row["difference_nats_per_token"] > 0 else BEATEN


def summarise_shares(controls: pd.DataFrame) -> str:
    """List what each control reaches of the trained gain, scope by scope, in one range each."""
    rows = keep_controls(controls)
    lines = []
    for kind, (name, _) in CONTROLS.items():
        of_kind = rows[rows["control"] == kind]
        if kind == TEMPERATURE:
            # It suits the text, not the dense model: by KL it is no rival.
            of_kind, name = of_kind[of_kind["measure"] == "nll"], f"{name} (no rival by KL)"
        scopes = of_kind.groupby("scope", sort=False)
        if kind == "random" or not len(scopes):
            continue
        shares = "; ".join(f"{scope} {say_ranges(shares)}" for scope, shares in scopes)
        lines.append(f"- {name}: {shares}")
    return "\n".join(lines)


def say_ranges(shares: pd.DataFrame) -> str:
    """Write the range of shares by KL divergence, and that by log-likelihood."""
    by_measure = shares.groupby("measure")["share_of_trained_percent"]
    ranges = {measure: say_range(values, 0, "%") for measure, values in by_measure}
    return " / ".join(ranges.get(measure, NOTHING) for measure in MEASURES)


def say_sparsities(rows: pd.DataFrame) -> str:
    """Write the sparsities of some rows: `at 50 % and 60 %`."""
    sparsities = dict.fromkeys(say_percent(sparsity) for sparsity in rows["sparsity"])
    return f"at {join_words(sparsities)}"


def say_runs(rows: pd.DataFrame) -> str:
    """Write the allocations and sparsities of some rows.

    For example, `with UNIF-ALL at 50 % and with ATTN-ONLY at 60 %`.
    """
    allocations = rows.groupby("allocation", sort=False)
    return join_words(f"with {name} {say_sparsities(runs)}" for name, runs in allocations)
