"""Put what the default study found into the README: its headline table, and copies of two figures beside it."""

import re
import shutil
from pathlib import Path

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(r"(<!-- headline:.*?-->\n).*(<!-- end of headline -->)", re.S)
FIGURES = ["fig1_perplexity.png", "fig2_damage_recovery.png"]


def insert_headline(readme: str, headline: str) -> str:
    """The README with another headline between its two marks."""
    return BLOCK.sub(lambda match: f"{match[1]}{headline}{match[2]}", readme)


if __name__ == "__main__":
    path = ROOT / "README.md"
    path.write_text(insert_headline(path.read_text(), (ROOT / "results/pydoc/headline.md").read_text()))
    for figure in FIGURES:
        shutil.copy(ROOT / "figures/pydoc" / figure, ROOT / "docs" / figure)
