"""What labels are worth: every kind of probe against the number of labels, with one tuning budget for all.

Makes  <results>/mim/label_efficiency.json, <results>/mim/figures/label_efficiency.png.
From   embeddings, features and trained networks of rules/mim.smk.
Steps  infer_label_probes (networks as probes) -> score_label_efficiency (and all that read features) ->
       plot_label_efficiency.
"""


rule mim_infer_label_probes:
    """Train {wildcards.method} probes of task {wildcards.task}, with the labels of network {wildcards.network}."""
    input:
        cutouts=mim_cutouts_of_task,
        model="<results>/mim/networks/{network}/trained.ckpt",
        embeddings=mim_columns_of_task,
        code=code_of("scripts/mim/infer_label_probes.py"),
    output:
        answers="<results>/mim/labels/{task}_{method}_{network}.npz",
    log:
        "<results>/mim/logs/infer_label_probes_{task}_{method}_{network}.log",
    benchmark:
        "<results>/mim/benchmarks/infer_label_probes_{task}_{method}_{network}.tsv"
    wildcard_constraints:
        method="attentive|finetuned|cnn",
    conda:
        "../envs/mim.yaml"
    threads: 1 if MIM["n_gpus"] == 0 else 6
    resources:
        mem_mb=6000 if MIM["n_gpus"] == 0 else 60000,
        runtime=120 if MIM["n_gpus"] == 0 else 600,
        gpu=min(MIM["n_gpus"], 1),
    params:
        **MIM_SPLIT,
        n_labels=lambda wildcards: MIM["infer_label_probes"]["n_labels"][wildcards.method],
        n_steps=lambda wildcards: MIM["infer_label_probes"]["n_steps"][wildcards.method],
        batch_size=MIM["infer_label_probes"]["batch_size"],
        network_number=lambda wildcards: list(MIM["networks"]).index(wildcards.network),
        n_networks=len(MIM["networks"]),
        n_settings=MIM["score_label_efficiency"]["n_settings"],
        n_folds=MIM["score_label_efficiency"]["n_folds"],
        bands=MIM["bands"],
    script:
        "../scripts/mim/infer_label_probes.py"


rule mim_score_label_efficiency:
    """Score all kinds of probes for {params.tasks}: {params.n_settings} settings each, judged by {params.n_folds} of three
    parts of the labels."""
    input:
        features="<results>/mim/embeddings/features.npz",
        trained=mim_embeddings("trained", "all"),
        untrained=mim_embeddings("untrained", "all"),
        answers=mim_label_answers(),
        code=code_of("scripts/mim/score_label_efficiency.py"),
    output:
        scores="<results>/mim/label_efficiency.json",
    log:
        "<results>/mim/logs/score_label_efficiency.log",
    benchmark:
        "<results>/mim/benchmarks/score_label_efficiency.tsv"
    conda:
        "../envs/mim.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=240,
    params:
        **MIM["score_label_efficiency"],
        **MIM_SPLIT,
        answered=mim_answered(),
        poolings=MIM["poolings"],
    script:
        "../scripts/mim/score_label_efficiency.py"


rule mim_plot_label_efficiency:
    """Draw score against labels for {params.tasks}, all kinds of probes."""
    input:
        scores="<results>/mim/label_efficiency.json",
        code=code_of("scripts/mim/plot_label_efficiency.py"),
    output:
        figure=report(
            "<results>/mim/figures/label_efficiency.png",
            category="Masked image modelling",
            caption="../resources/captions/mim_label_efficiency.rst",
        ),
    log:
        "<results>/mim/logs/plot_label_efficiency.log",
    benchmark:
        "<results>/mim/benchmarks/plot_label_efficiency.tsv"
    conda:
        "../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=500,
        runtime=5,
    params:
        tasks=MIM["score_label_efficiency"]["tasks"],
    script:
        "../scripts/mim/plot_label_efficiency.py"
