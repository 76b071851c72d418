"""Figures of masked image modelling.

Makes  <results>/mim/figures/{training,reconstructions,probes,similarity,similar}.png.
From   histories, reconstructions, scores and cutouts of rules/mim.smk.
Steps  plot_training, plot_reconstructions, plot_probes, plot_similarity, plot_similar; independent of each other.
"""


rule mim_plot_training:
    """Draw how the networks learned."""
    input:
        histories=[f"<results>/mim/networks/{name}/history.csv" for name in MIM["networks"]],
        code=code_of("scripts/mim/plot_training.py"),
    output:
        figure=report(
            "<results>/mim/figures/training.png",
            category="Masked image modelling",
            caption="../resources/captions/mim_training.rst",
        ),
    log:
        "<results>/mim/logs/plot_training.log",
    benchmark:
        "<results>/mim/benchmarks/plot_training.tsv"
    conda:
        "../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=500,
        runtime=5,
    script:
        "../scripts/mim/plot_training.py"


rule mim_plot_reconstructions:
    """Draw what the first network fills in."""
    input:
        reconstructions=f"<results>/mim/networks/{next(iter(MIM['networks']))}/reconstructions.npz",
        code=code_of("scripts/mim/plot_reconstructions.py"),
    output:
        figure=report(
            "<results>/mim/figures/reconstructions.png",
            category="Masked image modelling",
            caption="../resources/captions/mim_reconstructions.rst",
        ),
    log:
        "<results>/mim/logs/plot_reconstructions.log",
    benchmark:
        "<results>/mim/benchmarks/plot_reconstructions.tsv"
    conda:
        "../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=500,
        runtime=5,
    params:
        bands=MIM["bands"],
    script:
        "../scripts/mim/plot_reconstructions.py"


rule mim_plot_probes:
    """Draw score against labels for {params.tasks}."""
    input:
        parts=[f"<results>/mim/scores/{task}.json" for task in MIM_TASKS],
        code=code_of("scripts/mim/plot_probes.py"),
    output:
        figure=report(
            "<results>/mim/figures/probes.png",
            category="Masked image modelling",
            caption="../resources/captions/mim_probes.rst",
        ),
    log:
        "<results>/mim/logs/plot_probes.log",
    benchmark:
        "<results>/mim/benchmarks/plot_probes.tsv"
    conda:
        "../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=500,
        runtime=5,
    params:
        tasks=mim_shown_tasks(),
        names=[
            "mim",
            "random",
            "pca",
            "colours",
            "photometry",
            "trees",
            "shapes",
            "photometry_shapes",
            "cnn",
        ],
    script:
        "../scripts/mim/plot_probes.py"


rule mim_plot_similarity:
    """Draw the examples of a query and what is most similar to them."""
    input:
        found="<results>/mim/scores/similarity.npz",
        cutouts=MIM_SETS["probe"],
        code=code_of("scripts/mim/plot_similarity.py"),
    output:
        figure=report(
            "<results>/mim/figures/similarity.png",
            category="Masked image modelling",
            caption="../resources/captions/mim_similarity.rst",
        ),
    log:
        "<results>/mim/logs/plot_similarity.log",
    benchmark:
        "<results>/mim/benchmarks/plot_similarity.tsv"
    conda:
        "../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=5,
    script:
        "../scripts/mim/plot_similarity.py"


rule mim_plot_similar:
    """Draw what is most similar to the query of the config."""
    input:
        found="<results>/mim/similar.npz",
        cutouts=mim_searched_cutouts() or [],
        query_cutouts=MIM["similarity"]["cutouts"] or [],
        code=code_of("scripts/mim/plot_similar.py"),
    output:
        figure="<results>/mim/figures/similar.png",
    log:
        "<results>/mim/logs/plot_similar.log",
    benchmark:
        "<results>/mim/benchmarks/plot_similar.tsv"
    conda:
        "../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=5,
    script:
        "../scripts/mim/plot_similar.py"
