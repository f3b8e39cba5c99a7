"""From tables and analyses to figures: 1 to 3, 8 and 9 of outcomes, 4 and 5 of states, 6 and 7 of biases.

A figure is plotted by the function of the rule's name.
"""


def pictures(name, label):
    """A figure's files: as PNG, which goes into the report, and as PDF."""
    shown = report(
        f"figures/{{study}}/{name}.png",
        caption=f"../report/{name}.rst",
        category="{study}",
        subcategory="figures",
        labels={"figure": label},
    )
    return {"png": shown, "pdf": f"figures/{{study}}/{name}.pdf"}


def analysis(maker):
    """The files of an analysis, by its name, of the study at hand."""
    return lambda wildcards: files_of_analysis(maker, study(wildcards))


rule plot_perplexity:
    """Plot figure 1: how far TEAL and every run are from the dense model, by KL and perplexity."""
    input:
        perplexity=rules.tabulate.output.perplexity[0],
        contrasts=rules.tabulate.output.contrasts[0],
    output:
        **pictures("fig1_perplexity", "1 perplexity"),
    log:
        "logs/{study}/plot_perplexity.log",
    benchmark:
        "benchmarks/{study}/plot_perplexity.tsv"
    conda:
        "../../envs/tables.yaml"
    params:
        spec=spec("plot_figure.py"),
    script:
        "../scripts/plot_figure.py"


use rule plot_perplexity as plot_damage_recovery with:
    input:
        damage_recovery=rules.tabulate.output.damage_recovery[0],
    output:
        **pictures("fig2_damage_recovery", "2 damage recovery"),
    log:
        "logs/{study}/plot_damage_recovery.log",
    benchmark:
        "benchmarks/{study}/plot_damage_recovery.tsv"


use rule plot_perplexity as plot_pareto with:
    input:
        pareto=rules.tabulate.output.pareto[0],
        contrasts=rules.tabulate.output.contrasts[0],
    output:
        **pictures("fig3_pareto", "3 Pareto frontiers"),
    log:
        "logs/{study}/plot_pareto.log",
    benchmark:
        "benchmarks/{study}/plot_pareto.tsv"


use rule plot_perplexity as plot_pca_alignment with:
    input:
        unpack(analysis(rules.pca_alignment)),
    output:
        **pictures("fig4_pca_alignment", "4 PCA alignment"),
    log:
        "logs/{study}/plot_pca_alignment.log",
    benchmark:
        "benchmarks/{study}/plot_pca_alignment.tsv"


use rule plot_perplexity as plot_hidden_state_shift with:
    input:
        unpack(analysis(rules.hidden_state_shift)),
    output:
        **pictures("fig5_hidden_state_shift", "5 hidden-state shift"),
    log:
        "logs/{study}/plot_hidden_state_shift.log",
    benchmark:
        "benchmarks/{study}/plot_hidden_state_shift.tsv"


use rule plot_perplexity as plot_cross_configuration with:
    input:
        unpack(analysis(rules.cross_configuration)),
    output:
        **pictures("fig6_cross_configuration", "6 cross-configuration"),
    log:
        "logs/{study}/plot_cross_configuration.log",
    benchmark:
        "benchmarks/{study}/plot_cross_configuration.tsv"


use rule plot_perplexity as plot_bias_statistics with:
    input:
        unpack(analysis(rules.bias_statistics)),
        unpack(analysis(rules.norm_ranking)),
    output:
        **pictures("fig7_bias_statistics", "7 bias statistics"),
    log:
        "logs/{study}/plot_bias_statistics.log",
    benchmark:
        "benchmarks/{study}/plot_bias_statistics.tsv"


use rule plot_perplexity as plot_confidence with:
    input:
        perplexity=rules.tabulate.output.perplexity[0],
        controls=rules.tabulate_controls.output.controls[0],
    output:
        **pictures("fig8_confidence", "8 confidence"),
    log:
        "logs/{study}/plot_confidence.log",
    benchmark:
        "benchmarks/{study}/plot_confidence.tsv"


use rule plot_perplexity as plot_other_text with:
    input:
        texts=rules.compare_texts.output.texts[0],
    output:
        **pictures("fig9_other_text", "9 other text"),
    log:
        "logs/{study}/plot_other_text.log",
    benchmark:
        "benchmarks/{study}/plot_other_text.tsv"


describe(
    plot_damage_recovery="Plot figure 2: the share of TEAL's damage that every run wins back.",
    plot_pareto="Plot figure 3: what is worth its cost, per scope and sparsity, and over all scopes.",
    plot_pca_alignment="Plot figure 4: whether biases point where the outputs of their sites vary, beside chance.",
    plot_hidden_state_shift="Plot figure 5: how far TEAL and SPON move hidden states, and what is predicted.",
    plot_cross_configuration="Plot figure 6: whether biases of different runs agree, between chance and another seed.",
    plot_bias_statistics="Plot figure 7: norms with depth, kurtosis beside that of normal numbers, signs, outliers, neighbours.",
    plot_confidence="Plot figure 8: what one temperature wins back of TEAL's loss, and what biases do.",
    plot_other_text="Plot figure 9: what runs win back on the first text, and on each further one.",
)

OF_BIASES = [rules.plot_cross_configuration, rules.plot_bias_statistics]
FIGURES = [
    rules.plot_perplexity,
    rules.plot_damage_recovery,
    rules.plot_pareto,
    rules.plot_pca_alignment,
    rules.plot_hidden_state_shift,
    *OF_BIASES,
    rules.plot_confidence,
]


def list_figures(study):
    """The rules of the figures that a study has."""
    if not study.has_model:
        return OF_BIASES
    return FIGURES + [rules.plot_other_text] * bool(study.further_texts)


rule figures:
    """Plot every figure of the sweep."""
    input:
        [
            expand(figure.output, study=one.name)
            for one in SWEPT
            for figure in list_figures(one)
        ],
