"""Which layers gain, on a study whose gains are known."""

import pandas as pd
from small_findings import row, write

from spon.report.sections import layers


def test_early_layers_are_compared_with_late_ones_and_with_all():
    text = write()
    # TOP-50 gains 0.08 nats, BOTTOM-50 0.04, UNIF-ALL 0.1; by KL 0.08, 0.02 and 0.1.
    assert row(text, "TOP-50 over BOTTOM-50")[2:] == [
        "2.00 [2.00, 2.00]",
        "4.00 [4.00, 4.00]",
        "above 1 / above 1",
    ]
    assert row(text, "TOP-50", "50 %", "0")[3:] == ["80 % [80, 80]", "80 % [80, 80]"]


def test_a_ratio_lies_around_one_if_its_interval_holds_one():
    ratio = pd.Series({"ratio": 1.2, "ratio_low": 1.1, "ratio_high": 1.3})
    assert layers.conclude_ratio(ratio) == "above 1"
    assert layers.conclude_ratio(ratio - 0.15) == "around 1"
    assert layers.conclude_ratio(ratio - 0.5) == "below 1"
    assert layers.conclude_ratio(ratio * float("nan")) == "not applicable"
