import platform
from importlib import metadata

from spon.report import environment


def test_the_environment_names_versions_and_what_is_not_installed():
    record = environment.describe_environment("cpu", 2, ["numpy", "no-such-package"])
    assert record["packages"] == {"numpy": metadata.version("numpy"), "no-such-package": None}
    assert (record["device"], record["threads"]) == ("cpu", 2)


def test_the_processor_is_the_first_that_linux_lists(tmp_path):
    (tmp_path / "cpuinfo").write_text(
        "processor\t: 0\nmodel name\t: Abacus 3000\nmodel name\t: other\n"
    )
    assert environment.read_processor(tmp_path / "cpuinfo") == "Abacus 3000"
    assert environment.read_processor(tmp_path / "missing") == platform.processor()
