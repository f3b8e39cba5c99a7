"""Lint the workflow by `snakemake --lint`, but for one of its rules.

It would have functions in files of their own. Here a function stands in the file of the rules that
use it, so that each file can be understood alone.
"""

import re
import subprocess
import sys

ALLOWED = "Mixed rules and functions in same snakefile."


def read_lints(output: str) -> list[str]:
    """The lints in what `snakemake --lint` says, each with what it is about; the allowed left out.

    >>> read_lints("Lints for rule a (line 3):\\n    * No log directive defined:\\n      Why.\\n")
    ['rule a (line 3): No log directive defined']
    """
    lints = []
    for section in re.split(r"^Lints for ", output, flags=re.M)[1:]:
        about = section.splitlines()[0].removesuffix(":")
        titles = re.findall(r"^    \* (.*):$", section, re.M)
        lints += [f"{about}: {title}" for title in titles if title != ALLOWED]
    return lints


def main() -> str | None:
    """Lint, and return what is wrong, if anything."""
    command = [sys.executable, "-m", "snakemake", "--lint"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    output = done.stdout + done.stderr
    if done.returncode and "Lints for " not in output:
        return output
    return "\n".join(read_lints(output)) or None


if __name__ == "__main__":
    sys.exit(main())
