from spon.report.sections.claims import count_verdicts, describe_claims, list_statements

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
    "null": 1.0,
    "p_value": 0.001,
    "p_holm": 0.01,
    "published": 1.4,
    "reason": (
        "At 50 % sparsity, the ratio is 1.5: above 1, as stated; conditional on this training "
        "(one seed)."
    ),
    "retracted": "The author took it back.",
    "note": None,
}
OTHER = {
    **RECORD,
    "at": "s0.6 seed1",
    "effect": 1.25,
    "low": None,
    "high": None,
    "published": None,
}
OPEN = {
    "id": "1-b",
    "statement": "The same holds by KL divergence.",
    "verdict": "indistinguishable",
    "retracted": None,
}
AWAY = {
    "id": "2",
    "claim": 2,
    "verdict": "not applicable",
    "reason": "No model was run.",
    "retracted": None,
}


def test_a_clause_stands_with_its_label_its_published_value_and_its_verdict():
    text = describe_claims([RECORD, OTHER])
    assert "| 1a | Early layers gain more. | 1.4 points at 50 % | **supported** |" in text
    assert "- **1a** supported. At 50 % sparsity, the ratio is 1.5: above 1, as stated." in text
    assert "Likewise: 1.25 points at 60 %, seed 1." in text
    assert "**Later retracted** (claim 1). The author took it back." in text


def test_a_clause_whose_places_disagree_is_mixed_and_says_where():
    text = describe_claims([RECORD, OTHER | {"verdict": "contradicted"}])
    assert "**mixed**: supported: 50 %; contradicted: 60 %, seed 1 |" in text
    assert "- **1a** contradicted." in text


def test_a_clause_that_cannot_be_decided_says_why_and_stands_in_no_table():
    text = describe_claims([RECORD, RECORD | AWAY])
    reason = "- No model was run.\n  - 2a. Early layers gain more."
    assert f"### Not applicable here\n\n{reason}" in text
    assert "| 2a |" not in text
    assert "### Why" not in describe_claims([RECORD | AWAY])


def test_clauses_are_counted_by_verdict():
    assert count_verdicts([RECORD, RECORD | OPEN, RECORD | AWAY]) == (
        "Of 3 clauses of the published claims, 2 can be tested here: 1 supported wherever "
        "tested and 1 open (neither can be told)."
    )
    assert count_verdicts([RECORD | AWAY]).startswith("None of the 1 clauses")


def test_a_clause_that_goes_on_from_another_takes_over_its_words():
    assert list_statements([RECORD, RECORD | OPEN], "indistinguishable") == [
        "(1b) Early layers gain more, by KL divergence."
    ]
