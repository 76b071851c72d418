"""Figures of the mass maps, each from files that other rules wrote; none computes a result.

Makes  <results>/massmap/<field>/figures/<noun>.png, one rule a figure.
"""


rule massmap_plot_maps:
    """Draw the maps of field {wildcards.field} by all methods on one colour scale."""
    input:
        shear="<results>/massmap/{field}/shear.fits",
        maps=massmap_each("<results>/massmap/{field}/maps/{method}.fits", MASSMAP_METHODS),
        truths=massmap_shown_truths,
        clusters=massmap_clusters,
        code=code_of("scripts/massmap/plot_maps.py"),
    output:
        figure=report(
            "<results>/massmap/{field}/figures/maps.png",
            caption="../resources/captions/massmap_maps.rst",
            category="Mass maps",
            subcategory="{field}",
        ),
    log:
        "<results>/massmap/logs/plot_maps_{field}.log",
    benchmark:
        "<results>/massmap/benchmarks/plot_maps_{field}.tsv"
    conda:
        "../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=1500,
        runtime=10,
    params:
        **massmap_of_field("cluster_columns"),
        methods=MASSMAP_METHODS,
    script:
        "../scripts/massmap/plot_maps.py"


rule massmap_plot_spectra:
    """Draw power and coherence of all methods on the test skies of field {wildcards.field}."""
    input:
        curves="<results>/massmap/{field}/scores/score_skies.npz",
        code=code_of("scripts/massmap/plot_spectra.py"),
    output:
        figure=report(
            "<results>/massmap/{field}/figures/spectra.png",
            caption="../resources/captions/massmap_spectra.rst",
            category="Mass maps",
            subcategory="{field}",
        ),
    log:
        "<results>/massmap/logs/plot_spectra_{field}.log",
    benchmark:
        "<results>/massmap/benchmarks/plot_spectra_{field}.tsv"
    conda:
        "../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=1500,
        runtime=10,
    script:
        "../scripts/massmap/plot_spectra.py"


rule massmap_plot_peaks:
    """Draw peak counts and pixel distributions of all methods on the test skies of field {wildcards.field}."""
    input:
        curves="<results>/massmap/{field}/scores/score_skies.npz",
        code=code_of("scripts/massmap/plot_peaks.py"),
    output:
        figure=report(
            "<results>/massmap/{field}/figures/peaks.png",
            caption="../resources/captions/massmap_peaks.rst",
            category="Mass maps",
            subcategory="{field}",
        ),
    log:
        "<results>/massmap/logs/plot_peaks_{field}.log",
    benchmark:
        "<results>/massmap/benchmarks/plot_peaks_{field}.tsv"
    conda:
        "../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=1500,
        runtime=10,
    params:
        peak_smoothing_arcmin=MASSMAP["score_skies"]["peak_smoothing_arcmin"],
    script:
        "../scripts/massmap/plot_peaks.py"


rule massmap_plot_calibration:
    """Draw the coverage of posterior samples on the test skies of field {wildcards.field}."""
    input:
        curves="<results>/massmap/{field}/scores/score_skies.npz",
        code=code_of("scripts/massmap/plot_calibration.py"),
    output:
        figure=report(
            "<results>/massmap/{field}/figures/calibration.png",
            caption="../resources/captions/massmap_calibration.rst",
            category="Mass maps",
            subcategory="{field}",
        ),
    log:
        "<results>/massmap/logs/plot_calibration_{field}.log",
    benchmark:
        "<results>/massmap/benchmarks/plot_calibration_{field}.tsv"
    conda:
        "../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=1500,
        runtime=10,
    script:
        "../scripts/massmap/plot_calibration.py"


rule massmap_plot_nulls:
    """Draw E, B and stacks of field {wildcards.field} beside those of shapes turned at random."""
    input:
        curves="<results>/massmap/{field}/scores/score_field.npz",
        code=code_of("scripts/massmap/plot_nulls.py"),
    output:
        figure=report(
            "<results>/massmap/{field}/figures/nulls.png",
            caption="../resources/captions/massmap_nulls.rst",
            category="Mass maps",
            subcategory="{field}",
        ),
    log:
        "<results>/massmap/logs/plot_nulls_{field}.log",
    benchmark:
        "<results>/massmap/benchmarks/plot_nulls_{field}.tsv"
    conda:
        "../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=1500,
        runtime=10,
    params:
        null_methods=MASSMAP_NULL_METHODS,
    script:
        "../scripts/massmap/plot_nulls.py"


rule massmap_plot_training:
    """Draw the training of the two networks of field {wildcards.field}."""
    input:
        residual="<results>/massmap/{field}/networks/residual.json",
        score="<results>/massmap/{field}/networks/score.json",
        code=code_of("scripts/massmap/plot_training.py"),
    output:
        figure=report(
            "<results>/massmap/{field}/figures/training.png",
            caption="../resources/captions/massmap_training.rst",
            category="Mass maps",
            subcategory="{field}",
        ),
    log:
        "<results>/massmap/logs/plot_training_{field}.log",
    benchmark:
        "<results>/massmap/benchmarks/plot_training_{field}.tsv"
    conda:
        "../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=1500,
        runtime=10,
    script:
        "../scripts/massmap/plot_training.py"
