"""What biases encode: six analyses, three of them on hidden states and three on the biases alone."""


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
        gpu=GPU,
        torch_threads=TORCH_THREADS,
        memory_mib=MEMORY_MIB,
    params:
        spec=spec(
            "align_with_components.py",
            blocks="analyses.blocks",
            batch_tokens="analyses.batch_tokens",
            draws="analyses.draws",
            seed="analyses.seed",
            components="analyses.components",
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
        gpu=GPU,
        torch_threads=TORCH_THREADS,
        memory_mib=MEMORY_MIB,
    params:
        spec=spec(
            "compare_categories.py",
            blocks="analyses.blocks",
            batch_tokens="analyses.batch_tokens",
            draws="analyses.draws",
            seed="analyses.seed",
            measure=measure_states,
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
        gpu=GPU,
        torch_threads=TORCH_THREADS,
        memory_mib=MEMORY_MIB,
    params:
        spec=spec(
            "measure_shifts.py",
            blocks="analyses.blocks",
            batch_tokens="analyses.batch_tokens",
            draws="analyses.draws",
            seed="analyses.seed",
            measure=measure_states,
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
            runs=runs_to_compare,
            layers=layers_of_checkpoints,
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
        spec=spec(
            "compare_configurations.py",
            runs=runs_to_compare,
        ),
    script:
        "../scripts/compare_configurations.py"


BY_RUN = [
    rules.align_with_components,
    rules.compare_categories,
    rules.measure_shifts,
    rules.describe_bias_statistics,
]
BY_STUDY = [rules.rank_norms, rules.compare_configurations]


rule analyses:
    """Make every analysis of the runs that the config names."""
    input:
        [list_analyses(name) for name in SWEEP["studies"]],
