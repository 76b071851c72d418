"""Figures of the CMB rule set, each from files that other rules wrote; none computes a result.

Makes  <results>/cmb/experiments/<name>/figures/<noun>.png and <results>/cmb/figures/simulations.png, one rule a figure.
"""


rule cmb_plot_maps:
    """Draw the first test patch: truth, every estimate, and what the network of {wildcards.experiment} leaves over."""
    input:
        estimators=lambda wildcards: f"<results>/cmb/estimators/{cmb_sky(wildcards)}.npz",
        maps=lambda wildcards: cmb_files("maps", cmb_sky(wildcards), "test")[0],
        estimates=lambda wildcards: cmb_files("estimates", cmb_sky(wildcards), "test")[0],
        predictions="<results>/cmb/experiments/{experiment}/training_1/predictions_test.h5",
        code=code_of("scripts/cmb/plot_maps.py"),
    output:
        figure=report(
            "<results>/cmb/experiments/{experiment}/figures/maps.png",
            caption="../resources/captions/cmb_maps.rst",
            category="CMB maps",
        ),
    log:
        "<results>/cmb/logs/plot_maps_{experiment}.log",
    benchmark:
        "<results>/cmb/benchmarks/plot_maps_{experiment}.tsv"
    conda:
        "../envs/maps.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=5,
    params:
        targets=lambda wildcards: cmb_training_settings(wildcards)["outputs"],
    script:
        "../scripts/cmb/plot_maps.py"


rule cmb_plot_scores:
    """Draw the correlation with the truth of the network of {wildcards.experiment} and of all baselines."""
    input:
        curves="<results>/cmb/experiments/{experiment}/curves.npz",
        limits=lambda wildcards: f"<results>/cmb/scores/estimators_{cmb_sky(wildcards)}.npz",
        code=code_of("scripts/cmb/plot_scores.py"),
    output:
        figure=report(
            "<results>/cmb/experiments/{experiment}/figures/scores.png",
            caption="../resources/captions/cmb_scores.rst",
            category="CMB maps",
        ),
    log:
        "<results>/cmb/logs/plot_scores_{experiment}.log",
    benchmark:
        "<results>/cmb/benchmarks/plot_scores_{experiment}.tsv"
    conda:
        "../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=5,
    params:
        targets=lambda wildcards: cmb_training_settings(wildcards)["outputs"],
    script:
        "../scripts/cmb/plot_scores.py"


rule cmb_plot_spectra:
    """Draw power, response and effective noise of the network of {wildcards.experiment} and of all baselines."""
    input:
        curves="<results>/cmb/experiments/{experiment}/curves.npz",
        code=code_of("scripts/cmb/plot_spectra.py"),
    output:
        figure=report(
            "<results>/cmb/experiments/{experiment}/figures/spectra.png",
            caption="../resources/captions/cmb_spectra.rst",
            category="CMB maps",
        ),
    log:
        "<results>/cmb/logs/plot_spectra_{experiment}.log",
    benchmark:
        "<results>/cmb/benchmarks/plot_spectra_{experiment}.tsv"
    conda:
        "../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=5,
    params:
        targets=lambda wildcards: cmb_training_settings(wildcards)["outputs"],
    script:
        "../scripts/cmb/plot_spectra.py"


rule cmb_plot_training:
    """Draw the losses of the training of {wildcards.experiment}."""
    input:
        history="<results>/cmb/experiments/{experiment}/training_1/history.csv",
        code=code_of("scripts/cmb/plot_training.py"),
    output:
        figure=report(
            "<results>/cmb/experiments/{experiment}/figures/training.png",
            caption="../resources/captions/cmb_training.rst",
            category="CMB maps",
        ),
    log:
        "<results>/cmb/logs/plot_training_{experiment}.log",
    benchmark:
        "<results>/cmb/benchmarks/plot_training_{experiment}.tsv"
    conda:
        "../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=5,
    script:
        "../scripts/cmb/plot_training.py"


rule cmb_plot_simulations:
    """Draw mean spectra over those of CAMB, and the noise of the convergence against theory."""
    input:
        curves="<results>/cmb/scores/simulations.npz",
        estimators=f"<results>/cmb/scores/estimators_{cmb_experiment(CMB['experiment'])['sky']}.npz",
        code=code_of("scripts/cmb/plot_simulations.py"),
    output:
        figure=report(
            "<results>/cmb/figures/simulations.png",
            caption="../resources/captions/cmb_simulations.rst",
            category="CMB maps",
        ),
    log:
        "<results>/cmb/logs/plot_simulations.log",
    benchmark:
        "<results>/cmb/benchmarks/plot_simulations.tsv"
    conda:
        "../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=5,
    script:
        "../scripts/cmb/plot_simulations.py"
