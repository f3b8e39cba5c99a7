from pathlib import Path

import yaml

from spon.export import card
from spon.methods import registry
from spon.methods.names import BY_RANK, GREEDY, SPARSIFIERS, THRESHOLD
from spon.report.sections import setup

ROOT = Path(__file__).parents[2]


def test_every_method_of_the_config_is_a_sparsifier_or_chooses_sparsities_for_one():
    schema = yaml.safe_load((ROOT / "workflow/schemas/config.schema.yaml").read_text())
    allowed = schema["$defs"]["model_study"]["properties"]["method"]["enum"]
    assert set(SPARSIFIERS) == {THRESHOLD, BY_RANK, *registry.METHODS}
    assert set(allowed) == {*SPARSIFIERS, GREEDY}
    assert set(setup.METHODS) == set(allowed)
    assert set(card.METHODS) == set(SPARSIFIERS)
