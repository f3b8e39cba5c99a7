from dataclasses import replace

import pandas as pd
import pytest

from spon.report import comparison

PLACE = {"scope": "down_proj", "sparsity": 0.5}
TEAL = PLACE | {"allocation": "BASELINE-TEAL", "over_dense_percent": 4.0}
OWN = "recovery_own_temperature_percent"
RUN = PLACE | {"allocation": "UNIF-ALL", "seed": 0, "bias_parameters": 10}
PERPLEXITY = pd.DataFrame(
    [
        {"allocation": "DENSE", "scope": "", "sparsity": 0.0, "perplexity": 15.0},
        TEAL,
        RUN | {"recovery_percent": 60.0, OWN: 9.0},
    ]
)
RECOVERY = pd.DataFrame(
    [
        PLACE | {"allocation": "UNIF-ALL", "seeds": 1, "measure": measure} | shares
        for measure, shares in {
            "nll": {"recovery_percent": 58.0, "low": 50.0, "high": 66.0},
            "kl": {"recovery_percent": 7.0, "low": 6.0, "high": 8.0},
        }.items()
    ]
)
CONTROLS = pd.DataFrame(
    [
        PLACE
        | {"control": "temperature", "allocation": "UNIF-ALL", "seeds": 1, "measure": "nll"}
        | {"share_of_trained_percent": 80.0, "share_low": 70.0, "share_high": 90.0}
    ]
)
CLAUSE = {"id": "a", "claim": 1, "statement": "It helps.", "at": "s0.5", "unit": "points"}
CLAUSE |= {"published": 58.0, "extension": False, "retracted": None, "note": None}
CLAUSE |= {"verdict": "supported", "effect": 51.0, "low": 50.0, "high": 52.0, "reason": ""}
STUDY = comparison.Findings(
    name="Real",
    description="a real model",
    perplexity=PERPLEXITY,
    damage_recovery=RECOVERY,
    controls=CONTROLS,
    further={"prose": RECOVERY.assign(recovery_percent=1.0, low=0.0, high=2.0)},
    claims=[CLAUSE],
    allocations={"UNIF-ALL": {"learn": "kl"}},
)
PUBLISHED = {
    "model": "Llama",
    "parameters": 1e9,
    "dense": 20.0,
    "places": [PLACE | {"allocation": "UNIF-ALL", "teal": 22.0, "run": 21.5}],
}


def rows_of(page: str, first: str) -> list[list[str]]:
    lines = [line.strip("| ").split(" | ") for line in page.splitlines() if line.startswith("|")]
    return [cells for cells in lines if cells[0] == first]


def test_published_perplexities_become_damage_and_the_share_of_it_that_is_won_back():
    """2 of 20 are 10 %, of which 0.5 are a quarter."""
    (row,) = rows_of(comparison.write_comparison(PUBLISHED, [STUDY]), "Llama")
    assert row[3:] == ["+10.0 %", "25 %", "n/a", "n/a", "n/a"]


def test_a_study_stands_with_every_measure_with_the_scalar_and_with_its_other_text():
    page = comparison.write_comparison(PUBLISHED, [STUDY])
    recovered, scalar, prose = rows_of(page, "Real")
    shares = ["58.0 % [50.0, 66.0]", "9.0 %", "7.0 % [6.0, 8.0]"]
    assert recovered[2:] == ["50 %", "+4.0 %", "60 %", *shares]
    assert scalar[2:] == ["50 %", "80 % [70, 90]"]
    assert prose[1:] == ["prose", "down_proj (UNIF-ALL)", "50 %", *["1.0 % [0.0, 2.0]"] * 2]


def test_a_clause_stands_with_the_verdict_of_each_study_or_none_where_it_cannot_be_decided():
    silent = CLAUSE | {"verdict": "not applicable", "effect": None}
    other = replace(STUDY, name="Small", claims=[silent], further={})
    page = comparison.write_comparison(PUBLISHED, [STUDY, other])
    (row,) = rows_of(page, "1a")
    assert row[1:] == [
        "It helps.",
        "58 (50 %) points",
        "**supported**: 50 %: 51 [50, 52] points",
        "not applicable",
    ]


@pytest.mark.parametrize("further", [{}, STUDY.further])
def test_what_no_study_has_is_left_out(further):
    page = comparison.write_comparison(PUBLISHED, [replace(STUDY, further=further)])
    assert ("text of another kind" in page) == bool(further)
