"""What a study cost. Never part of the default target: benchmark files are missing on a clone.

They are no inputs either, else counting them would first rerun whatever is out of date.
"""

from glob import glob
from hashlib import sha256


def benchmarks_so_far(wildcards):
    """The benchmark files that a study's jobs have left so far, by path, with the digest of their contents."""
    files = sorted(glob(f"benchmarks/{wildcards.study}/**/*.tsv", recursive=True))
    return {
        path: sha256(Path(path).read_bytes()).hexdigest()[:16]
        for path in files
        if hasattr(rules, Path(path).stem)
    }


def benchmarks(wildcards):
    """These files of a study that has some."""
    files = benchmarks_so_far(wildcards)
    if not files:
        raise WorkflowError(
            f"cost: benchmarks/{wildcards.study} holds no benchmark file: only a study that was run here has a cost"
        )
    return files


rule count_cost:
    """Count what a study cost, rule by rule, from the benchmark files that its jobs left."""
    output:
        cost="results/{study}/cost.json",
    log:
        "logs/{study}/count_cost.log",
    conda:
        "../../envs/tables.yaml"
    params:
        spec=spec("count_cost.py", benchmarks=benchmarks),
    script:
        "../scripts/count_cost.py"


rule plot_cost:
    """Plot what a study cost."""
    input:
        cost=rules.count_cost.output.cost,
    output:
        png=report(
            "figures/{study}/cost.png",
            caption="../report/cost.rst",
            category="{study}",
            subcategory="cost",
            labels={"file": "what the study cost"},
        ),
        pdf="figures/{study}/cost.pdf",
    log:
        "logs/{study}/plot_cost.log",
    conda:
        "../../envs/tables.yaml"
    params:
        spec=spec("plot_cost.py"),
    script:
        "../scripts/plot_cost.py"


rule cost:
    """Count and draw what the studies of the sweep cost (not part of the default)."""
    input:
        expand(rules.plot_cost.output, study=[one.name for one in SWEPT]),
