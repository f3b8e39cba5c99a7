"""Write the entry that says of an edited file that it changes no number (`spon.lineage.equal`).

python -m bench.equal_code spon/sparsify.py HEAD~1 "thresholds.csv and nll.parquet of … compared"

The commit is the one that the results were made with. Compare the bytes first.
"""

import argparse
import ast
import subprocess
import sys
from pathlib import Path

from spon.lineage import digest
from spon.lineage.equal import Equal, find_earlier

ROOT = Path(__file__).parents[1]


def describe_edit(file: str, commit: str, shown: str, root: Path = ROOT) -> Equal:
    """Describe a file in the working tree beside its state in a commit.

    If that state has an entry itself, the new one goes back as far.
    """
    show = ["git", "-C", str(root), "show", f"{commit}:{file}"]
    before = subprocess.run(show, capture_output=True, check=True).stdout.decode()
    after = (root / file).read_text(encoding="utf-8")
    now, was = (digest.describe_tree(ast.parse(text)) for text in (after, before))
    return Equal(file=file, now=now, was=find_earlier(was), shown=shown)


def main() -> None:
    """Write an entry to standard output."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", help="relative to the repository")
    parser.add_argument("commit")
    parser.add_argument("shown", help="what was compared")
    sys.stdout.write(f"{describe_edit(**vars(parser.parse_args()))},\n")


if __name__ == "__main__":
    main()
