"""Put the findings of both studies into the README, and copies of their figures beside it.

The studies are published: `make pull` fetches them.
"""

import re
import shutil
from pathlib import Path

ROOT = Path(__file__).parents[1]
LLAMA = "llama-3.2-1b-biases"
FINDINGS = f"studies/{LLAMA}/results/{LLAMA}/findings.md"
LLAMA_FIGURES = f"studies/{LLAMA}/figures/{LLAMA}"
FIGURES = {
    "figures/pydoc/fig1_perplexity.png": "fig1_perplexity.png",
    "figures/pydoc/fig2_damage_recovery.png": "fig2_damage_recovery.png",
    f"{LLAMA_FIGURES}/fig7_bias_statistics.png": "llama_fig7_bias_statistics.png",
}


def insert(readme: str, name: str, text: str) -> str:
    """Return the README with the text between the two marks of this name replaced."""
    block = re.compile(rf"(<!-- {name}:.*?-->\n).*?(<!-- end of {name} -->)", re.S)
    return block.sub(lambda match: f"{match[1]}{text}{match[2]}", readme)


def read_summary(findings: str) -> str:
    """Return the summary of a report."""
    return findings.split("## Summary\n")[1].split("\n## ")[0].strip() + "\n"


if __name__ == "__main__":
    path = ROOT / "README.md"
    readme = insert(path.read_text(), "headline", (ROOT / "results/pydoc/headline.md").read_text())
    path.write_text(insert(readme, "checkpoints", read_summary((ROOT / FINDINGS).read_text())))
    for figure, copy in FIGURES.items():
        shutil.copy(ROOT / figure, ROOT / "docs" / copy)
