"""What biases encode: six analyses, three of them on hidden states and three on the biases alone."""


def sparsified_states(wildcards):
    """How a study's model is sparsified where its states are read, in float32."""
    return {
        name: value
        for name, value in sparsification(wildcards).items()
        if name != "dtype"
    }


def biases_to_compare(wildcards):
    """The biases of the runs that are compared."""
    pattern = rules.train_spon.output.biases
    return [
        pattern.format(study=wildcards.study, **run)
        for run in study(wildcards).compared
    ]


def model_of_layers(wildcards):
    """The model that tells how many layers there are, if the study has one."""
    model = rules.fetch_model.output.model.format(study=wildcards.study)
    return {"model": model} if study(wildcards).has_model else {}


rule align_with_components:
    """Analyse a run: do its biases point where the outputs of their sites vary?"""
    input:
        model=rules.fetch_model.output.model,
        tokens=EVALUATION,
        prompts=rules.tokenize_prompts.output.prompts,
        biases=rules.train_spon.output.biases,
    output:
        pca_alignment="results/{study}/{allocation}/s{sparsity}/seed{seed}/analyses/pca_alignment.csv",
    log:
        "logs/{study}/{allocation}/s{sparsity}/seed{seed}/analyses/align_with_components.log",
    benchmark:
        "benchmarks/{study}/{allocation}/s{sparsity}/seed{seed}/analyses/align_with_components.tsv"
    conda:
        "../../envs/model.yaml"
    threads: MODEL_CORES
    resources:
        **MODEL,
    params:
        spec=spec(
            "align_with_components.py",
            "analyses.blocks",
            "analyses.batch_tokens",
            "analyses.draws",
            "analyses.seed",
            "analyses.components",
        ),
    script:
        "../scripts/align_with_components.py"


rule compare_categories:
    """Analyse a run: does what it changes depend on the kind of text?"""
    input:
        model=rules.fetch_model.output.model,
        tokens=EVALUATION,
        prompts=rules.tokenize_prompts.output.prompts,
        thresholds=thresholds,
        biases=rules.train_spon.output.biases,
    output:
        category_shift="results/{study}/{allocation}/s{sparsity}/seed{seed}/analyses/category_shift.csv",
    log:
        "logs/{study}/{allocation}/s{sparsity}/seed{seed}/analyses/compare_categories.log",
    benchmark:
        "benchmarks/{study}/{allocation}/s{sparsity}/seed{seed}/analyses/compare_categories.tsv"
    conda:
        "../../envs/model.yaml"
    threads: MODEL_CORES
    resources:
        **MODEL,
    params:
        spec=spec(
            "compare_categories.py",
            "analyses.blocks",
            "analyses.batch_tokens",
            "analyses.draws",
            "analyses.seed",
            sparsification=sparsified_states,
        ),
    script:
        "../scripts/compare_categories.py"


rule measure_shifts:
    """Analyse a run: do its biases bring hidden states back to the dense model's?"""
    input:
        model=rules.fetch_model.output.model,
        tokens=EVALUATION,
        prompts=rules.tokenize_prompts.output.prompts,
        thresholds=thresholds,
        biases=rules.train_spon.output.biases,
    output:
        hidden_state_shift="results/{study}/{allocation}/s{sparsity}/seed{seed}/analyses/hidden_state_shift.csv",
    log:
        "logs/{study}/{allocation}/s{sparsity}/seed{seed}/analyses/measure_shifts.log",
    benchmark:
        "benchmarks/{study}/{allocation}/s{sparsity}/seed{seed}/analyses/measure_shifts.tsv"
    conda:
        "../../envs/model.yaml"
    threads: MODEL_CORES
    resources:
        **MODEL,
    params:
        spec=spec(
            "measure_shifts.py",
            "analyses.blocks",
            "analyses.batch_tokens",
            "analyses.draws",
            "analyses.seed",
            sparsification=sparsified_states,
        ),
    script:
        "../scripts/measure_shifts.py"


rule describe_bias_statistics:
    """Analyse a run: what kind of numbers are its biases made of?"""
    input:
        biases=rules.train_spon.output.biases,
    output:
        bias_statistics="results/{study}/{allocation}/s{sparsity}/seed{seed}/analyses/bias_statistics.csv",
    log:
        "logs/{study}/{allocation}/s{sparsity}/seed{seed}/analyses/describe_bias_statistics.log",
    benchmark:
        "benchmarks/{study}/{allocation}/s{sparsity}/seed{seed}/analyses/describe_bias_statistics.tsv"
    conda:
        "../../envs/tables.yaml"
    params:
        spec=spec("describe_bias_statistics.py"),
    script:
        "../scripts/describe_bias_statistics.py"


rule rank_norms:
    """Analyse a study: do the norms of biases grow with depth?"""
    input:
        unpack(model_of_layers),
        biases=biases_to_compare,
    output:
        norm_ranking="results/{study}/analyses/norm_ranking.csv",
    log:
        "logs/{study}/analyses/rank_norms.log",
    benchmark:
        "benchmarks/{study}/analyses/rank_norms.tsv"
    conda:
        "../../envs/tables.yaml"
    params:
        spec=spec(
            "rank_norms.py",
            layers=lambda wildcards: study(wildcards).settings.get("layers"),
        ),
    script:
        "../scripts/rank_norms.py"


rule compare_configurations:
    """Analyse a study: do the biases of different runs agree at the sites that they share?"""
    input:
        biases=biases_to_compare,
    output:
        cross_configuration="results/{study}/analyses/cross_configuration.csv",
    log:
        "logs/{study}/analyses/compare_configurations.log",
    benchmark:
        "benchmarks/{study}/analyses/compare_configurations.tsv"
    conda:
        "../../envs/tables.yaml"
    params:
        spec=spec("compare_configurations.py"),
    script:
        "../scripts/compare_configurations.py"


OF_STATES = [
    rules.align_with_components,
    rules.compare_categories,
    rules.measure_shifts,
]
BY_RUN = [*OF_STATES, rules.describe_bias_statistics]
BY_STUDY = [rules.rank_norms, rules.compare_configurations]


def files_of_analysis(rule, study):
    """The files of an analysis by its name: one for each run that is analysed, or one for the study."""
    runs = study.analysed if rule in BY_RUN else [{}]
    return {
        name: [path.format(study=study.name, **run) for run in runs]
        for name, path in rule.output.items()
    }


def files_of_analyses(study):
    """The files of every analysis that a study can have, by its name; without a model, those of biases alone."""
    files = {}
    for rule in BY_RUN + BY_STUDY:
        if study.has_model or rule not in OF_STATES:
            files |= files_of_analysis(rule, study)
    return files


rule analyses:
    """Make every analysis of the runs that the config names."""
    input:
        [list(files_of_analyses(one).values()) for one in SWEPT],
