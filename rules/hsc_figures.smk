"""Figures of the HSC priors, each from files that other rules wrote; none computes a result.

Makes  <results>/hsc/figures/<noun>.png, one rule a figure.
"""


rule hsc_plot_prior:
    """Draw held-out stamps, decoded, beside stamps that the prior draws."""
    input:
        stamps=HSC_STAMPS,
        checks="<results>/hsc/prior/checks.npz",
        code=code_of("scripts/hsc/plot_prior.py"),
    output:
        figure=report(
            "<results>/hsc/figures/prior.png",
            caption="../resources/captions/hsc_prior.rst",
            category="HSC priors",
        ),
    log:
        "<results>/hsc/logs/plot_prior.log",
    benchmark:
        "<results>/hsc/benchmarks/plot_prior.tsv"
    conda:
        "../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=1500,
        runtime=10,
    script:
        "../scripts/hsc/plot_prior.py"


rule hsc_plot_galaxies:
    """Draw data, truth, reconstructions, samples and residuals of {wildcards.problem}."""
    input:
        observations="<results>/hsc/observations/{problem}.h5",
        basis="<results>/hsc/prior/basis.npz",
        posteriors="<results>/hsc/posteriors/{problem}.h5",
        code=code_of("scripts/hsc/plot_galaxies.py"),
    output:
        figure=report(
            "<results>/hsc/figures/galaxies_{problem}.png",
            caption="../resources/captions/hsc_galaxies.rst",
            category="HSC priors",
        ),
    log:
        "<results>/hsc/logs/plot_galaxies_{problem}.log",
    benchmark:
        "<results>/hsc/benchmarks/plot_galaxies_{problem}.tsv"
    conda:
        "../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=1500,
        runtime=10,
    params:
        fine_pixel_arcsec=HSC["frame"]["pixel_arcsec"],
    script:
        "../scripts/hsc/plot_galaxies.py"


rule hsc_plot_calibration:
    """Draw expected coverage and ranks of every method with samples, and of the controls."""
    input:
        curves=collect("<results>/hsc/scores/score_observations_{problem}.npz", problem=hsc_scored()),
        code=code_of("scripts/hsc/plot_calibration.py"),
    output:
        figure=report(
            "<results>/hsc/figures/calibration.png",
            caption="../resources/captions/hsc_calibration.rst",
            category="HSC priors",
        ),
    log:
        "<results>/hsc/logs/plot_calibration.log",
    benchmark:
        "<results>/hsc/benchmarks/plot_calibration.tsv"
    conda:
        "../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=1500,
        runtime=10,
    params:
        problems=hsc_scored(),
    script:
        "../scripts/hsc/plot_calibration.py"


rule hsc_plot_observed:
    """Draw the user's images, reconstructions, samples and residuals."""
    input:
        observations="<results>/hsc/observations/observed.h5",
        basis="<results>/hsc/prior/basis.npz",
        posteriors="<results>/hsc/posteriors/observed.h5",
        code=code_of("scripts/hsc/plot_observed.py"),
    output:
        figure="<results>/hsc/observed/galaxies.png",
    log:
        "<results>/hsc/logs/plot_observed.log",
    benchmark:
        "<results>/hsc/benchmarks/plot_observed.tsv"
    conda:
        "../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=1500,
        runtime=10,
    params:
        fine_pixel_arcsec=HSC["frame"]["pixel_arcsec"],
    script:
        "../scripts/hsc/plot_observed.py"
