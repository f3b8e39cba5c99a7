import lineage_tree as tree
import pytest


@pytest.fixture
def study(tmp_path, monkeypatch):
    """A finished study of three jobs, where the test runs."""
    monkeypatch.chdir(tmp_path)
    tree.make_study()
    return tmp_path
