"""Collect the metrics of a study: about ten headline numbers, for `dvc metrics`."""

from collections.abc import Mapping

import pandas as pd

from spon.report.sections.results import MEASURES, keep_largest
from spon.report.seeds import PLACE, keep_counting
from spon.sites import DENSE


def collect_metrics(
    perplexity: pd.DataFrame, damage_recovery: pd.DataFrame, allocations: Mapping[str, Mapping]
) -> dict:
    """Collect what the headline table says of a study, as numbers.

    Args:
        perplexity: The table of that name.
        damage_recovery: The table of that name.
        allocations: Say how each allocation learns its biases: `learn`.

    Returns:
        The dense model's perplexity, and by allocation and sparsity (`s0.5`) the shares of TEAL's
        damage that are won back, `kl_recovered_percent` and `nll_recovered_percent`, as means over
        trainings. Of every scope, the trained allocation with the most biases is there; a share
        that is not known is None.
    """
    dense = perplexity.loc[perplexity["allocation"] == DENSE, "perplexity"].item()
    counting = keep_counting(damage_recovery, [*PLACE, "measure"])
    shares = counting.set_index([*PLACE, "measure"])["recovery_percent"]
    metrics = {"dense_perplexity": dense}
    for run in keep_largest(perplexity, {"allocations": allocations}).itertuples():
        place = tuple(getattr(run, name) for name in PLACE)
        metrics.setdefault(run.allocation, {})[f"s{run.sparsity}"] = {
            f"{measure}_recovered_percent": name_number(shares.loc[(*place, measure)])
            for measure in MEASURES
        }
    return metrics


def name_number(value: float) -> float | None:
    """Return a number as JSON can say it: None if it is not known."""
    return None if pd.isna(value) else float(value)
