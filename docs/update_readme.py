"""Put what the studies found into the README, and copies of their figures beside it.

The block of the published biases is left as it is where results/checkpoints is missing, since they are not shipped.
"""

import re
import shutil
from pathlib import Path

ROOT = Path(__file__).parents[1]
FIGURES = {
    "pydoc/fig1_perplexity.png": "fig1_perplexity.png",
    "pydoc/fig2_damage_recovery.png": "fig2_damage_recovery.png",
    "checkpoints/fig7_bias_statistics.png": "llama_fig7_bias_statistics.png",
}


def insert(readme: str, name: str, text: str) -> str:
    """The README with another text between the two marks of this name."""
    block = re.compile(rf"(<!-- {name}:.*?-->\n).*?(<!-- end of {name} -->)", re.S)
    return block.sub(lambda match: f"{match[1]}{text}{match[2]}", readme)


def read_summary(findings: str) -> str:
    """The summary of a report."""
    return findings.split("## Summary\n")[1].split("\n## ")[0].strip() + "\n"


if __name__ == "__main__":
    path = ROOT / "README.md"
    readme = insert(path.read_text(), "headline", (ROOT / "results/pydoc/headline.md").read_text())
    findings = ROOT / "results/checkpoints/findings.md"
    if findings.exists():
        readme = insert(readme, "checkpoints", read_summary(findings.read_text()))
    path.write_text(readme)
    for figure, copy in FIGURES.items():
        if (ROOT / "figures" / figure).exists():
            shutil.copy(ROOT / "figures" / figure, ROOT / "docs" / copy)
