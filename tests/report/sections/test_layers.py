"""Which layers gain, on a study whose gains are known."""

import pandas as pd
from small_findings import row, write

from spon.report.sections import layers


def test_early_layers_are_compared_with_late_ones_and_with_all():
    text = write().split("## Layers and cost")[1].split("\n## ")[0]
    # TOP-50 gains 0.08 nats, BOTTOM-50 0.04, UNIF-ALL 0.1; by KL 0.08, 0.02 and 0.1.
    assert row(text, "TOP-50 over BOTTOM-50")[1:] == ["4.00 [4.00, 4.00] / 2.00 [2.00, 2.00]"]
    assert row(text, "BOTTOM-50")[1:] == ["20 % [20, 20] / 40 % [40, 40]"]
    assert "| UNIF-ALL |" not in text


def test_the_frontier_names_allocations_by_both_measures():
    text = write().split("## Layers and cost")[1].split("\n## ")[0]
    assert row(text, "o_proj")[1:] == ["ATTN-ONLY / ATTN-ONLY"]


def test_a_place_without_a_number_is_not_applicable():
    rows = pd.DataFrame(
        [
            {"name": "A", "sparsity": 0.5, "measure": "kl", "words": "1"},
            {"name": "A", "sparsity": 0.8, "measure": "nll", "words": "2"},
        ]
    )
    assert layers.tabulate_by_sparsity(rows).endswith("| A | 1 / n/a | n/a / 2 |")
