"""The first page says what the intervals show."""

import pandas as pd
from small_findings import write

from spon.report.sections import summary

SHARES = pd.DataFrame(
    {"recovery_percent": [20.0, 30.0], "low": [15.0, -1.0], "high": [25.0, 40.0]}
)


def test_a_gain_is_counted_only_where_its_interval_shows_it():
    assert summary.say_recovered(SHARES) == "20.0 to 30.0 % (intervals above zero in 1 of 2 rows)"
    assert summary.say_recovered(SHARES.iloc[:1]) == "20.0 % (intervals above zero in every row)"
    worse = SHARES.assign(low=-9.0, high=-1.0)
    assert "above zero in 0 of 2 rows, below zero in 2" in summary.say_recovered(worse)
    unknown = SHARES.assign(low=float("nan"))
    assert summary.say_recovered(unknown) == "n/a"


def test_the_first_page_leads_with_kl_and_names_controls_limits_and_sources():
    page = write().split("## Summary")[1].split("\n---\n")[0]
    assert page.index("By KL divergence") < page.index("By log-likelihood")
    assert "| down_proj (UNIF-ALL) | 50 % | 25.0 % [25.0, 25.0] | 20.0 % [20.0, 20.0] |" in page
    assert "- mean residual: down_proj 50 % / 50 %" in page
    assert "one model of 64 parameters" in page
    for source in ("arXiv:2512.12744", "SPON Extensions", "arXiv:2408.14690"):
        assert source in page
    assert len(page.split()) < 500


def test_the_first_screen_has_the_table_and_beside_it_the_first_figure():
    figures = {"fig1_perplexity": "fig1.png", "fig2_damage_recovery": "fig2.png"}
    page = write(figures=figures).split("\n---\n")[0]
    assert page.index("(UNIF-ALL)") < page.index("](fig1.png)") < page.index("By KL divergence")
    assert "fig2.png" not in page


def test_without_biases_or_model_there_is_nothing_to_sum_up():
    assert summary.summarise_biases(None, None, None) == ""
    assert summary.summarise() == ""
