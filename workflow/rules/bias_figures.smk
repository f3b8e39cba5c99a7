"""From analyses to figures."""


rule draw_pca_alignment:
    """Draw figure 4: whether biases point where the outputs of their sites vary, beside chance."""
    input:
        pca_alignment=lambda wildcards: files_of_analysis(
            rules.align_with_components, study(wildcards)
        )["pca_alignment"],
    output:
        png=report(
            "figures/{study}/fig4_pca_alignment.png",
            caption="../report/fig4_pca_alignment.rst",
            category="{study}",
            subcategory="figures",
            labels={"figure": "4 PCA alignment"},
        ),
        pdf="figures/{study}/fig4_pca_alignment.pdf",
    log:
        "logs/{study}/draw_pca_alignment.log",
    benchmark:
        "benchmarks/{study}/draw_pca_alignment.tsv"
    conda:
        "../../envs/tables.yaml"
    params:
        spec=spec("draw_state_figure.py", figure="draw_pca_alignment"),
    script:
        "../scripts/draw_state_figure.py"


use rule draw_pca_alignment as draw_hidden_state_shift with:
    input:
        hidden_state_shift=lambda wildcards: files_of_analysis(
            rules.measure_shifts, study(wildcards)
        )["hidden_state_shift"],
    output:
        png=report(
            "figures/{study}/fig5_hidden_state_shift.png",
            caption="../report/fig5_hidden_state_shift.rst",
            category="{study}",
            subcategory="figures",
            labels={"figure": "5 hidden-state shift"},
        ),
        pdf="figures/{study}/fig5_hidden_state_shift.pdf",
    log:
        "logs/{study}/draw_hidden_state_shift.log",
    benchmark:
        "benchmarks/{study}/draw_hidden_state_shift.tsv"
    params:
        spec=spec("draw_state_figure.py", figure="draw_hidden_state_shift"),


rule draw_cross_configuration:
    """Draw figure 6: whether biases of different runs agree, between chance and another seed."""
    input:
        cross_configuration=rules.compare_configurations.output.cross_configuration,
    output:
        png=report(
            "figures/{study}/fig6_cross_configuration.png",
            caption="../report/fig6_cross_configuration.rst",
            category="{study}",
            subcategory="figures",
            labels={"figure": "6 cross-configuration"},
        ),
        pdf="figures/{study}/fig6_cross_configuration.pdf",
    log:
        "logs/{study}/draw_cross_configuration.log",
    benchmark:
        "benchmarks/{study}/draw_cross_configuration.tsv"
    conda:
        "../../envs/tables.yaml"
    params:
        spec=spec("draw_bias_figure.py", figure="draw_cross_configuration"),
    script:
        "../scripts/draw_bias_figure.py"


use rule draw_cross_configuration as draw_bias_statistics with:
    input:
        bias_statistics=lambda wildcards: files_of_analysis(
            rules.describe_bias_statistics, study(wildcards)
        )["bias_statistics"],
        norm_ranking=rules.rank_norms.output.norm_ranking,
    output:
        png=report(
            "figures/{study}/fig7_bias_statistics.png",
            caption="../report/fig7_bias_statistics.rst",
            category="{study}",
            subcategory="figures",
            labels={"figure": "7 bias statistics"},
        ),
        pdf="figures/{study}/fig7_bias_statistics.pdf",
    log:
        "logs/{study}/draw_bias_statistics.log",
    benchmark:
        "benchmarks/{study}/draw_bias_statistics.tsv"
    params:
        spec=spec("draw_bias_figure.py", figure="draw_bias_statistics"),


describe(
    "draw_hidden_state_shift",
    "Draw figure 5: how far TEAL and SPON move hidden states, and what is predicted.",
)
describe(
    "draw_bias_statistics",
    "Draw figure 7: norms with depth, kurtosis beside that of normal numbers, signs, outliers.",
)

OF_BIASES = [rules.draw_cross_configuration, rules.draw_bias_statistics]
FIGURES = OF_TABLES + [
    rules.draw_pca_alignment,
    rules.draw_hidden_state_shift,
    *OF_BIASES,
]


rule figures:
    """Draw every figure of the sweep."""
    input:
        [expand(figure.output, study=WITH_MODEL) for figure in FIGURES],
        [expand(figure.output, study=BIASES_ALONE) for figure in OF_BIASES],
