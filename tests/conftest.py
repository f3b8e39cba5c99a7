from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parents[1]
TINY = ROOT / "resources/models/tiny"


def asks_for_long(config: pytest.Config) -> bool:
    """Whether what takes minutes is to run too."""
    return "long" in config.getoption("markexpr")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what takes minutes, unless it is asked for."""
    if asks_for_long(config):
        return
    left_out = [item for item in items if item.get_closest_marker("long")]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


@pytest.fixture(scope="session")
def model_json(tmp_path_factory) -> Path:
    """The description of the tiny model, as `fetch_model` writes it."""
    import json

    from spon.inputs import source

    path = tmp_path_factory.mktemp("model") / "model.json"
    path.write_text(json.dumps(source.describe({"path": str(TINY)})))
    return path


@pytest.fixture
def network(model_json):
    from spon import models

    return models.load(model_json, "cpu", "float32")


@pytest.fixture
def tokens() -> torch.Tensor:
    """Six blocks of eight tokens."""
    return torch.randint(
        0, 2048, (6, 8), generator=torch.Generator().manual_seed(0), dtype=torch.int32
    )


@pytest.fixture(scope="session")
def tiny(tmp_path_factory, pytestconfig):
    """The tiny study, finished, in a copy of the repository."""
    from small_workflow import Study

    study = Study(tmp_path_factory.mktemp("tiny"))
    study.is_traced = asks_for_long(pytestconfig)
    study.run()
    study.is_traced = False  # what tests run later is their own
    return study
