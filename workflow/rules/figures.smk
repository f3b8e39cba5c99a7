"""From tables to figures."""


rule draw_perplexity:
    """Draw figure 1: perplexity of the dense model, TEAL and every run."""
    input:
        perplexity=rules.tabulate.output.perplexity[0],
        contrasts=rules.tabulate.output.contrasts[0],
    output:
        png=report(
            "figures/{study}/fig1_perplexity.png",
            caption="../report/fig1_perplexity.rst",
            category="{study}",
            subcategory="figures",
            labels={"figure": "1 perplexity"},
        ),
        pdf="figures/{study}/fig1_perplexity.pdf",
    log:
        "logs/{study}/draw_perplexity.log",
    benchmark:
        "benchmarks/{study}/draw_perplexity.tsv"
    conda:
        "../../envs/tables.yaml"
    params:
        spec=spec("draw_figure.py", figure="draw_perplexity"),
    script:
        "../scripts/draw_figure.py"


use rule draw_perplexity as draw_damage_recovery with:
    input:
        damage_recovery=rules.tabulate.output.damage_recovery[0],
    output:
        png=report(
            "figures/{study}/fig2_damage_recovery.png",
            caption="../report/fig2_damage_recovery.rst",
            category="{study}",
            subcategory="figures",
            labels={"figure": "2 damage recovery"},
        ),
        pdf="figures/{study}/fig2_damage_recovery.pdf",
    log:
        "logs/{study}/draw_damage_recovery.log",
    benchmark:
        "benchmarks/{study}/draw_damage_recovery.tsv"
    params:
        spec=spec("draw_figure.py", figure="draw_damage_recovery"),


use rule draw_perplexity as draw_pareto with:
    input:
        pareto=rules.tabulate.output.pareto[0],
    output:
        png=report(
            "figures/{study}/fig3_pareto.png",
            caption="../report/fig3_pareto.rst",
            category="{study}",
            subcategory="figures",
            labels={"figure": "3 Pareto frontiers"},
        ),
        pdf="figures/{study}/fig3_pareto.pdf",
    log:
        "logs/{study}/draw_pareto.log",
    benchmark:
        "benchmarks/{study}/draw_pareto.tsv"
    params:
        spec=spec("draw_figure.py", figure="draw_pareto"),


describe(
    "draw_damage_recovery",
    "Draw figure 2: the share of TEAL's damage that every run wins back.",
)
describe(
    "draw_pareto",
    "Draw figure 3: what is worth its cost, per scope and sparsity, and over all scopes.",
)

OF_TABLES = [rules.draw_perplexity, rules.draw_damage_recovery, rules.draw_pareto]
