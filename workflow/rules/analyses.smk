"""What biases encode: six analyses, three of hidden states and three of the biases alone."""


def biases_to_compare(wildcards):
    """The biases of the runs that are compared."""
    pattern = rules.train_spon.output.biases
    return [
        fill(pattern, study=wildcards.study, **run) for run in study(wildcards).compared
    ]


def model_of_layers(wildcards):
    """The model that tells how many layers there are, if the study has one."""
    model = fill(rules.fetch_model.output.model, study=wildcards.study)
    return {"model": model} if study(wildcards).has_model else {}


rule pca_alignment:
    """Analyse a run: do its biases point where the outputs of their sites vary?"""
    input:
        model=rules.fetch_model.output.model,
        tokens=EVALUATION,
        prompts=rules.tokenize_prompts.output.prompts,
        sites=rules.allocate_biases.output.sites,
        biases=rules.train_spon.output.biases,
    output:
        pca_alignment="results/{study}/{allocation}/s{sparsity}/seed{seed}/analyses/pca_alignment.csv",
    log:
        "logs/{study}/{allocation}/s{sparsity}/seed{seed}/analyses/pca_alignment.log",
    benchmark:
        "benchmarks/{study}/{allocation}/s{sparsity}/seed{seed}/analyses/pca_alignment.tsv"
    conda:
        "../../envs/model.yaml"
    threads: MODEL_CORES
    resources:
        **MODEL,
    params:
        spec=spec(
            "pca_alignment.py",
            "analyses.blocks",
            "analyses.batch_tokens",
            "analyses.draws",
            "analyses.seed",
            "analyses.components",
        ),
    script:
        "../scripts/pca_alignment.py"


rule category_shift:
    """Analyse a run: does what it changes depend on the kind of text?"""
    input:
        model=rules.fetch_model.output.model,
        tokens=EVALUATION,
        prompts=rules.tokenize_prompts.output.prompts,
        thresholds=thresholds,
        sites=rules.allocate_biases.output.sites,
        biases=rules.train_spon.output.biases,
    output:
        category_shift="results/{study}/{allocation}/s{sparsity}/seed{seed}/analyses/category_shift.csv",
    log:
        "logs/{study}/{allocation}/s{sparsity}/seed{seed}/analyses/category_shift.log",
    benchmark:
        "benchmarks/{study}/{allocation}/s{sparsity}/seed{seed}/analyses/category_shift.tsv"
    wildcard_constraints:
        allocation=learned_around_zero(),
    conda:
        "../../envs/model.yaml"
    threads: MODEL_CORES
    resources:
        **MODEL,
    params:
        spec=spec(
            "category_shift.py",
            "analyses.blocks",
            "analyses.batch_tokens",
            "analyses.draws",
            "analyses.seed",
            names=names_of_run,
            sparsification=sparsified("sparsification_of_states"),
        ),
    script:
        "../scripts/category_shift.py"


rule hidden_state_shift:
    """Analyse a run: do its biases bring hidden states back to the dense model's?"""
    input:
        model=rules.fetch_model.output.model,
        tokens=EVALUATION,
        prompts=rules.tokenize_prompts.output.prompts,
        thresholds=thresholds,
        sites=rules.allocate_biases.output.sites,
        biases=rules.train_spon.output.biases,
    output:
        hidden_state_shift="results/{study}/{allocation}/s{sparsity}/seed{seed}/analyses/hidden_state_shift.csv",
    log:
        "logs/{study}/{allocation}/s{sparsity}/seed{seed}/analyses/hidden_state_shift.log",
    benchmark:
        "benchmarks/{study}/{allocation}/s{sparsity}/seed{seed}/analyses/hidden_state_shift.tsv"
    wildcard_constraints:
        allocation=learned_around_zero(),
    conda:
        "../../envs/model.yaml"
    threads: MODEL_CORES
    resources:
        **MODEL,
    params:
        spec=spec(
            "hidden_state_shift.py",
            "analyses.blocks",
            "analyses.batch_tokens",
            names=names_of_run,
            sparsification=sparsified("sparsification_of_states"),
        ),
    script:
        "../scripts/hidden_state_shift.py"


rule bias_statistics:
    """Analyse a run: what kind of numbers are its biases made of?"""
    input:
        biases=rules.train_spon.output.biases,
    output:
        bias_statistics="results/{study}/{allocation}/s{sparsity}/seed{seed}/analyses/bias_statistics.csv",
    log:
        "logs/{study}/{allocation}/s{sparsity}/seed{seed}/analyses/bias_statistics.log",
    benchmark:
        "benchmarks/{study}/{allocation}/s{sparsity}/seed{seed}/analyses/bias_statistics.tsv"
    conda:
        "../../envs/tables.yaml"
    resources:
        **SMALL,
    params:
        spec=spec("bias_statistics.py"),
    script:
        "../scripts/bias_statistics.py"


rule norm_ranking:
    """Analyse a study: do the norms of biases grow with depth?"""
    input:
        unpack(model_of_layers),
        biases=biases_to_compare,
    output:
        norm_ranking="results/{study}/analyses/norm_ranking.csv",
    log:
        "logs/{study}/analyses/norm_ranking.log",
    benchmark:
        "benchmarks/{study}/analyses/norm_ranking.tsv"
    conda:
        "../../envs/tables.yaml"
    resources:
        **SMALL,
    params:
        spec=spec(
            "norm_ranking.py",
            runs=of_study("compared"),
            layers=lambda wildcards: study(wildcards).settings.get("layers"),
        ),
    script:
        "../scripts/norm_ranking.py"


rule cross_configuration:
    """Analyse a study: do the biases of different runs agree at the sites that they share?"""
    input:
        biases=biases_to_compare,
    output:
        cross_configuration="results/{study}/analyses/cross_configuration.csv",
    log:
        "logs/{study}/analyses/cross_configuration.log",
    benchmark:
        "benchmarks/{study}/analyses/cross_configuration.tsv"
    conda:
        "../../envs/tables.yaml"
    resources:
        **SMALL,
    params:
        spec=spec("cross_configuration.py", runs=of_study("compared")),
    script:
        "../scripts/cross_configuration.py"


OF_STATES = [
    rules.pca_alignment,
    rules.category_shift,
    rules.hidden_state_shift,
]
BY_RUN = [*OF_STATES, rules.bias_statistics]
BY_STUDY = [rules.norm_ranking, rules.cross_configuration]


def files_of_analysis(rule, study):
    """The files of an analysis by its name: one for each analysed run, or one for the study."""
    runs = study.analysed if rule in BY_RUN else [{}]
    return {
        name: [fill(path, study=study.name, **run) for run in runs]
        for name, path in rule.output.items()
    }


def files_of_analyses(study):
    """The files of every analysis that a study has; without a model, of those of biases alone."""
    files = {}
    for rule in BY_RUN + BY_STUDY:
        if study.has_model or rule not in OF_STATES:
            files |= files_of_analysis(rule, study)
    return files


rule analyses:
    """Make every analysis of the runs that the config names."""
    input:
        [list(files_of_analyses(one).values()) for one in SWEPT],
