"""A card says what a run is, that it is half of a method, and what it gains."""

import dataclasses

import yaml
from export.small_run import make_model, make_run

from spon.export.card import find_licence, write_card


def write(tmp_path, licence=None, comparison="", **parts):
    run = dataclasses.replace(make_run(make_model(tmp_path / "model")), **parts)
    write_card(run, tmp_path / "README.md", licence, comparison)
    _, front, text = (tmp_path / "README.md").read_text().split("---\n", 2)
    return yaml.safe_load(front), text


def test_numbers_are_those_that_the_study_measured(tmp_path):
    measured = {
        "dense": {"perplexity": 3.0, "kl_nats_per_token": 0.0},
        "run on dense": {"perplexity": 3.2, "kl_nats_per_token": 0.0123},
    }
    _, text = write(tmp_path, measured=measured)
    assert "| dense | 3.000 | 0.00 |\n| dense, with these biases | 3.200 | 12.30 |" in text
    assert "TEAL)" not in text


def test_it_warns_of_biases_without_sparsity(tmp_path):
    _, text = write(tmp_path, comparison="equal")
    assert "**Biases are half of the method.** This folder's weights have the biases" in text
    assert 'from_pretrained("DIR")' in text
    _, text = write(tmp_path)
    assert "**Biases are half of the method.** Added to the dense model alone, they" in text
    assert 'from_pretrained("THE BASE MODEL", dtype="float32")' in text


def test_a_licence_that_is_not_known_is_said_to_be_so(tmp_path):
    front, text = write(tmp_path, licence="mit")
    assert front["license"] == "mit"
    assert "Licence of the base model: mit." in text
    front, text = write(tmp_path)
    assert (front["license"], front["license_name"]) == ("other", "unknown")
    assert "look it up before you pass this on" in text


def test_a_licence_is_that_of_the_models_card_else_of_the_catalogue(tmp_path):
    catalogue = tmp_path / "shapes.yaml"
    catalogue.write_text("a/b: {license: mit}\nc==1: {}\n")
    assert find_licence({"repository": "a/b"}, tmp_path, catalogue) == "mit"
    assert find_licence({"package": "c==1"}, tmp_path, catalogue) is None
    assert find_licence({"repository": "a/b"}, tmp_path, tmp_path / "none.yaml") is None
    (tmp_path / "README.md").write_text("---\nlicense: apache-2.0\n---\n# A model\n")
    assert find_licence({"repository": "a/b"}, tmp_path, catalogue) == "apache-2.0"


def test_the_gain_is_the_measured_one(tmp_path):
    measured = {
        kind: {"perplexity": 3.0, "kl_nats_per_token": kl}
        for kind, kl in (("TEAL", 0.04), ("run", 0.05))
    }
    _, text = write(tmp_path, measured=measured)
    assert "They win back -25.0 % of the KL divergence" in text
    _, text = write(tmp_path)
    assert "win back" not in text


def test_a_card_names_no_place_of_this_machine(tmp_path):
    _, text = write(tmp_path)
    assert "Base model: path model;" in text
    assert str(tmp_path) not in text


def test_a_card_of_the_base_model_that_cannot_be_read_knows_no_licence(tmp_path):
    (tmp_path / "shapes.yaml").write_text("{}")
    (tmp_path / "README.md").write_text("---\nlicense: [\n---\n")
    assert find_licence({"path": "x"}, tmp_path, tmp_path / "shapes.yaml") is None
