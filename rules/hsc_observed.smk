"""HSC priors on images that come without truth: the real HST/HSC pair, and the user's own stamps.

Makes  <results>/hsc/scores/estimate_pair.json and figures/pair.png; <results>/hsc/observed/galaxies.csv, galaxies.h5 and
       galaxies.png.
From   the pair's images (config `hsc: pair:`), the images that `hsc: observed:` names, and the prior of rules/hsc.smk.
Steps  tile_pair -> infer_observations (rules/hsc.smk) -> estimate_pair -> plot_pair;
       tile_observed -> infer_observations -> summarise_observed, plot_observed.
"""


rule hsc_tile_pair:
    """Lay the real HSC image out as a scene a band, {params.bands}, with the galaxies that stand out in it."""
    input:
        ground=hsc_pair_file("Cut_HSC.fits"),
        ground_psf=hsc_pair_file("PSF_HSC.fits"),
        code=code_of("scripts/hsc/tile_pair.py"),
    output:
        observations="<results>/hsc/observations/pair.h5",
    log:
        "<results>/hsc/logs/tile_pair.log",
    benchmark:
        "<results>/hsc/benchmarks/tile_pair.tsv"
    conda:
        "../envs/images.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        **hsc_shared("mask_planes", "missing_planes"),
        **hsc_of("pair", "bands", "pixel_arcsec"),
    script:
        "../scripts/hsc/tile_pair.py"


rule hsc_estimate_pair:
    """Hold HST, put through the operator, against HSC; and HSC, reconstructed, against HST; errors from
    {params.n_resamples} resamples of blocks of pixels."""
    input:
        space=hsc_pair_file("Cut_HST.fits"),
        space_psf=hsc_pair_file("PSF_HST.fits"),
        ground=hsc_pair_file("Cut_HSC.fits"),
        observations="<results>/hsc/observations/pair.h5",
        posteriors="<results>/hsc/posteriors/pair.h5",
        stamps=HSC_STAMPS,
        code=code_of("scripts/hsc/estimate_pair.py"),
    output:
        metrics="<results>/hsc/scores/estimate_pair.json",
        images="<results>/hsc/scores/estimate_pair.npz",
    log:
        "<results>/hsc/logs/estimate_pair.log",
    benchmark:
        "<results>/hsc/benchmarks/estimate_pair.tsv"
    conda:
        "../envs/jax.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        **hsc_shared("seed"),
        **hsc_of("pair", "bands", "space_pixel_arcsec"),
        n_resamples=HSC["score_observations"]["n_resamples"],
    script:
        "../scripts/hsc/estimate_pair.py"


rule hsc_plot_pair:
    """Draw the pair: HSC, interpolated and reconstructed, beside HST, in {params.bands}."""
    input:
        images="<results>/hsc/scores/estimate_pair.npz",
        code=code_of("scripts/hsc/plot_pair.py"),
    output:
        figure=report(
            "<results>/hsc/figures/pair.png",
            caption="../resources/captions/hsc_pair.rst",
            category="HSC priors",
        ),
    log:
        "<results>/hsc/logs/plot_pair.log",
    benchmark:
        "<results>/hsc/benchmarks/plot_pair.tsv"
    conda:
        "../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=1500,
        runtime=10,
    params:
        **hsc_of("pair", "bands"),
    script:
        "../scripts/hsc/plot_pair.py"


rule hsc_tile_observed:
    """Read the user's images, PSFs, variances and masks, and check them; {params.n_sources} galaxies in each."""
    input:
        files=hsc_observed_files,
        code=code_of("scripts/hsc/tile_observed.py"),
    output:
        observations="<results>/hsc/observations/observed.h5",
        scenes="<results>/hsc/observed/scenes.json",
    log:
        "<results>/hsc/logs/tile_observed.log",
    benchmark:
        "<results>/hsc/benchmarks/tile_observed.tsv"
    conda:
        "../envs/images.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        **hsc_shared("mask_planes", "missing_planes"),
        **hsc_of(
            "observed",
            "objects",
            "bands",
            "pixel_arcsec",
            "positions_arcsec",
            "n_sources",
            "subtract_sky",
            "noise_correlation",
        ),
        sources=hsc_observed_sources,
    script:
        "../scripts/hsc/tile_observed.py"


rule hsc_summarise_observed:
    """Write a table of the user's galaxies, magnitudes at zero point {params.zero_point_mag}, and their images."""
    input:
        observations="<results>/hsc/observations/observed.h5",
        scenes="<results>/hsc/observed/scenes.json",
        basis="<results>/hsc/prior/basis.npz",
        posteriors="<results>/hsc/posteriors/observed.h5",
        code=code_of("scripts/hsc/summarise_observed.py"),
    output:
        table="<results>/hsc/observed/galaxies.csv",
        galaxies="<results>/hsc/observed/galaxies.h5",
    log:
        "<results>/hsc/logs/summarise_observed.log",
    benchmark:
        "<results>/hsc/benchmarks/summarise_observed.tsv"
    conda:
        "../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=8000,
        runtime=30,
    params:
        **hsc_of("observed", "zero_point_mag"),
        fine_pixel_arcsec=HSC["frame"]["pixel_arcsec"],
    script:
        "../scripts/hsc/summarise_observed.py"
