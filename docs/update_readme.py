"""Put what the studies found into the README, and copies of their figures beside it.

The block of the published biases is left as it is where results/checkpoints is missing, since they are not shipped.
"""

import json
import re
import shutil
from hashlib import sha256
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


def is_made_up(checkpoints: Path) -> bool:
    """Whether a study is of the checkpoints that are shipped for trying it out, which have nothing to tell."""
    shipped = {sha256(path.read_bytes()).hexdigest() for path in (ROOT / "resources/checkpoints").glob("*s0.5*")}
    return any(run["sha256"] in shipped for run in json.loads(checkpoints.read_text()))


if __name__ == "__main__":
    path = ROOT / "README.md"
    readme = insert(path.read_text(), "headline", (ROOT / "results/pydoc/headline.md").read_text())
    findings = ROOT / "results/checkpoints/findings.md"
    if findings.exists() and not is_made_up(ROOT / "results/checkpoints/checkpoints.json"):
        readme = insert(readme, "checkpoints", read_summary(findings.read_text()))
    else:
        del FIGURES["checkpoints/fig7_bias_statistics.png"]
    path.write_text(readme)
    for figure, copy in FIGURES.items():
        if (ROOT / "figures" / figure).exists():
            shutil.copy(ROOT / "figures" / figure, ROOT / "docs" / copy)
