"""The ledger in one table, and what is counted of it."""

from spon.report.sections import claims

RECORD = {
    "id": "1-a",
    "claim": 1,
    "statement": "Early layers gain more.",
    "test": "ratio",
    "at": "s0.5",
    "verdict": "supported",
    "effect": 1.5,
    "low": 1.25,
    "high": 1.75,
    "unit": "points",
    "extension": False,
    "published": 1.4,
    "reason": "At 50 % sparsity, the ratio is 1.5: above 1, as stated (p < 0.001).",
    "retracted": "The author took it back.",
    "note": None,
}
OTHER = RECORD | {"at": "s0.6", "effect": 1.25, "low": None, "high": None, "published": None}
AT_80 = RECORD | {"at": "s0.8", "published": None, "extension": True}
OURS = RECORD | {"id": "1-b", "published": "not measured", "extension": True, "retracted": None}
AWAY = RECORD | {"id": "2", "claim": 2, "verdict": "not applicable", "reason": "No model was run."}
AGAINST = RECORD | {"id": "1-c", "verdict": "contradicted", "note": "The published text rounds."}


def row(*records):
    """The cells of the only clause."""
    (line,) = claims.describe_claims(records).splitlines()[4:]
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_a_clause_is_one_row_with_what_was_published_and_every_place():
    assert row(RECORD, OTHER) == [
        "1a",
        "Early layers gain more.",
        "1.4 (50 %) points",
        "50 %: 1.5 [1.25, 1.75]; 60 %: 1.25 points",
        "**supported**",
    ]


def test_differences_in_nats_are_written_in_thousandths():
    small = {"unit": "nats per token", "effect": 0.0025, "low": None, "published": 0.001}
    assert row(RECORD | small)[2:4] == [
        "1 (50 %) thousandths of a nat",
        "50 %: 2.5 thousandths of a nat",
    ]


def test_a_clause_whose_places_disagree_is_mixed_and_says_where():
    assert row(RECORD, OTHER | {"verdict": "contradicted"})[-1] == (
        "**mixed**: supported at 50 %; contradicted at 60 %"
    )


def test_a_place_of_ours_is_named_only_where_it_differs():
    assert row(RECORD, AT_80)[3:] == ["50 %: 1.5 [1.25, 1.75] points", "**supported**"]
    assert row(RECORD, AT_80 | {"verdict": "contradicted"})[-1] == (
        "**supported**; 80 % *(ours)* contradicted"
    )


def test_a_clause_that_the_published_study_did_not_measure_is_marked():
    assert row(OURS)[1:3] == ["Early layers gain more. *(ours)*", "not measured"]


def test_many_places_are_a_range():
    places = [RECORD | {"at": f"s0.5 layer {size}", "effect": size} for size in (1.0, 2.0, 3.0)]
    assert row(*places)[3] == "1 to 3 points (3 places)"


def test_a_contradicted_clause_has_its_note_or_else_its_reason():
    text = claims.describe_reasons([AGAINST, RECORD])
    assert "- **1a** The published text rounds." in text
    assert "**1b**" not in text
    assert "**Later retracted** (claim 1). The author took it back." in text
    assert "- **1a** At 50 % sparsity" in claims.describe_reasons([AGAINST | {"note": None}])


def test_a_clause_that_cannot_be_decided_says_why_and_stands_in_no_table():
    assert "- 2a: No model was run." in claims.describe_reasons([RECORD, AWAY])
    assert "| 2a |" not in claims.describe_claims([RECORD, AWAY])
    many = [AWAY | {"id": reason, "reason": reason} for reason in ("One.", "Two.", "Three.")]
    assert claims.describe_reasons(many).endswith("Not applicable here: 2a, 2b and 2c.")


def test_clauses_are_counted_by_verdict_and_ours_apart():
    assert claims.count_verdicts([RECORD, AGAINST, OURS, AWAY]) == (
        "Of 3 published clauses, 1 is *supported*, 1 *contradicted* and 1 *not applicable*. Of 1 "
        "clauses of ours, 1 is *supported*."
    )
    assert claims.count_verdicts([AWAY]).startswith("None of the 1 clauses")
    assert claims.list_labels([RECORD, OURS], "supported") == "1a"
