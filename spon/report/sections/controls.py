"""Describe the controls: does training earn its cost, and is it the direction that counts?"""

from collections.abc import Mapping

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

# Each control beside trained biases, by its column, with what it is.
CONTROLS = {
    "mean_residual": ("mean residual", "`b = E[W (x - S(x))]`, one forward pass"),
    "fisher": ("Fisher step", "one Newton step from zero in the metric of the logits"),
    "mode": ("mode centring", "the map's output at the mode of its inputs, as SCAP has it"),
    "random": ("random directions", "as long as the trained biases"),
    "temperature": ("one temperature", "TEAL with its logits divided by one number"),
}


def describe_controls(controls: pd.DataFrame) -> str:
    """Write what each control reaches of the trained gain, and conclude on it."""
    rows = keep_controls(controls)
    if rows.empty:
        return ""
    kinds = [kind for kind in CONTROLS if kind in set(rows["control"])]
    named = "; ".join(f"*{CONTROLS[kind][0]}*: {CONTROLS[kind][1]}" for kind in kinds)
    introduction = (
        "Share of the trained gain that a control reaches, by KL / by log-likelihood; "
        f"{NOTHING} where the trained gain may be zero. {named}."
    )
    conclusions = [conclude_control(kind, rows[rows["control"] == kind]) for kind in kinds]
    return join_blocks(introduction, tabulate_controls(rows, kinds), "\n".join(conclusions))


def keep_controls(controls: pd.DataFrame) -> pd.DataFrame:
    """Keep the rows that count of the controls that stand in for trained biases."""
    rows = controls[controls["control"].isin(CONTROLS) & controls["measure"].isin(MEASURES)]
    return keep_counting(rows, ["control", *PLACE, "measure"]) if len(rows) else rows


def tabulate_controls(rows: pd.DataFrame, kinds: list[str]) -> str:
    """Write a table with a row per trained allocation and sparsity, a column per control."""
    header = ["trained", "sparsity", *(CONTROLS[kind][0] for kind in kinds)]
    lines = []
    for place, controls in rows.groupby(PLACE, sort=False):
        cells = [place[0], say_percent(place[2])]
        for kind in kinds:
            by_measure = controls[controls["control"] == kind].set_index("measure")
            shares = [
                say_share(by_measure.loc[name]) for name in MEASURES if name in by_measure.index
            ]
            cells.append(" / ".join(shares))
        lines.append(cells)
    return write_table(header, lines)


def say_share(row: pd.Series) -> str:
    """Write a control's share of the trained gain with its interval."""
    return say_bounds(row["share_of_trained_percent"], row["share_low"], row["share_high"], 0, "%")


def conclude_control(kind: str, rows: pd.DataFrame) -> str:
    """Say by each measure where trained biases do better than a control, and where worse."""
    parts = [conclude_measure(rows[rows["measure"] == name], MEASURES[name]) for name in MEASURES]
    return f"- {CONTROLS[kind][0]}: {'; '.join(filter(None, parts))}."


def conclude_measure(rows: pd.DataFrame, measure: str) -> str:
    """Say by one measure where trained biases do better than a control, and where worse."""
    if rows.empty:
        return ""
    better, worse = pick_significant(rows, above=True), pick_significant(rows, above=False)
    undecided = rows.drop([*better.index, *worse.index])
    named = (("training better", better), ("the control better", worse))
    parts = [(words, picked) for words, picked in named if len(picked)]
    parts += [("not told apart", undecided)] if len(undecided) else []
    if len(parts) == 1:
        return f"by {measure} {parts[0][0]} everywhere"
    return f"by {measure} " + ", ".join(f"{words} {say_runs(picked)}" for words, picked in parts)


def summarise_shares(controls: pd.DataFrame) -> str:
    """List what each control reaches of the trained gain, scope by scope, in one range each."""
    rows = keep_controls(controls)
    lines = []
    for kind, (name, _) in CONTROLS.items():
        scopes = rows[rows["control"] == kind].groupby("scope", sort=False)
        if kind == "random" or not len(scopes):
            continue
        shares = "; ".join(f"{scope} {say_ranges(shares)}" for scope, shares in scopes)
        lines.append(f"- {name}: {shares}")
    return "\n".join(lines)


def say_ranges(shares: pd.DataFrame) -> str:
    """Write the range of shares by KL divergence, and that by log-likelihood."""
    by_measure = shares.groupby("measure")["share_of_trained_percent"]
    ranges = {measure: say_range(values, 0, "%") for measure, values in by_measure}
    return " / ".join(ranges[measure] for measure in MEASURES if measure in ranges)


def pick_significant(rows: pd.DataFrame, above: bool) -> pd.DataFrame:
    """Pick the rows whose difference is significant and above zero, or else below it."""
    significant = rows["p_holm"] < ALPHA
    return rows[significant & ((rows["difference_nats_per_token"] > 0) == above)]


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
