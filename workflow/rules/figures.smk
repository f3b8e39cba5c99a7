"""From tables to figures."""


rule draw_perplexity:
    """Draw figure 1: perplexity of the dense model, TEAL and every run."""
    input:
        perplexity=rules.tabulate.output.perplexity[0],
        contrasts=rules.tabulate.output.contrasts[0],
    output:
        png="figures/{study}/fig1_perplexity.png",
        pdf="figures/{study}/fig1_perplexity.pdf",
    log:
        "logs/{study}/fig1_perplexity.log",
    benchmark:
        "benchmarks/{study}/fig1_perplexity.tsv"
    conda:
        "../../envs/tables.yaml"
    params:
        spec=spec("draw_figure.py", figure=lambda wildcards: "draw_perplexity"),
    script:
        "../scripts/draw_figure.py"


use rule draw_perplexity as draw_damage_recovery with:
    input:
        damage_recovery=rules.tabulate.output.damage_recovery[0],
    output:
        png="figures/{study}/fig2_damage_recovery.png",
        pdf="figures/{study}/fig2_damage_recovery.pdf",
    log:
        "logs/{study}/fig2_damage_recovery.log",
    benchmark:
        "benchmarks/{study}/fig2_damage_recovery.tsv"
    params:
        spec=spec("draw_figure.py", figure=lambda wildcards: "draw_damage_recovery"),


use rule draw_perplexity as draw_pareto with:
    input:
        pareto=rules.tabulate.output.pareto[0],
    output:
        png="figures/{study}/fig3_pareto.png",
        pdf="figures/{study}/fig3_pareto.pdf",
    log:
        "logs/{study}/fig3_pareto.log",
    benchmark:
        "benchmarks/{study}/fig3_pareto.tsv"
    params:
        spec=spec("draw_figure.py", figure=lambda wildcards: "draw_pareto"),


describe(
    "draw_damage_recovery",
    "Draw figure 2: the share of TEAL's damage that every run wins back.",
)
describe(
    "draw_pareto",
    "Draw figure 3: what is worth its cost, per scope and sparsity, and over all scopes.",
)

FIGURES = [rules.draw_perplexity, rules.draw_damage_recovery, rules.draw_pareto]


rule figures:
    """Draw every figure of the sweep."""
    input:
        [expand(figure.output, study=SWEEP["studies"]) for figure in FIGURES],
