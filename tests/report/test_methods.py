import pandas as pd
from small_study import DENSE, TEAL, UNIF_ALL, gather, score

from spon.report import methods
from spon.tables.methods import tabulate_methods


def test_a_row_has_a_method_without_biases_and_then_with_them():
    better = score("BASELINE-TEAL", "down_proj", 0.5, pd.NA, 2.4, 0.3)
    compared = {
        "threshold": gather(DENSE, TEAL, UNIF_ALL),
        "wina": gather(DENSE, better, UNIF_ALL),
    }
    text = methods.write_methods(tabulate_methods(compared))
    rows = [line for line in text.splitlines() if line.startswith(("| threshold", "| wina"))]
    assert "## down_proj, 50 %" in text
    assert rows == [
        # exp(2.5) and exp(2.4); a tenth of a nat is a hundred thousandths.
        "| threshold | none | 37.5 % | 12.182 | 0.4000 | n/a | n/a | n/a | n/a |",
        "| wina | none | 37.5 % | 11.023 | 0.3000 | -100.00 [-100.00, -100.00] | < 0.001 "
        "| -100.00 [-100.00, -100.00] | < 0.001 |",
        "| threshold | UNIF-ALL | 37.5 % | 11.023 | 0.3000 | n/a | n/a | n/a | n/a |",
        "| wina | UNIF-ALL | 37.5 % | 11.023 | 0.3000 | 0.00 [0.00, 0.00] | 1 "
        "| 0.00 [0.00, 0.00] | 1 |",
    ]
