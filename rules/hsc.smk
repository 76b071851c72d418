"""HSC priors: learn what galaxies look like from space-based stamps, then deconvolve, inpaint and deblend ground-based images.

Makes  <results>/hsc/metrics.json, posteriors/<problem>.h5 and figures/.
From   galaxies drawn with GalSim, or a RealGalaxyCatalog (config/hsc.yaml: problems).
Steps  render_stamps -> estimate_basis -> estimate_mixture, train_autoencoder -> train_flow, train_score -> infer_prior, simulate_observations ->
       estimate_tuning -> infer_observations -> estimate_operator, score_prior, score_observations -> summarise_metrics; images without truth: rules/hsc_observed.smk.
"""


rule hsc_render_stamps:
    """Draw the {wildcards.population} stamps in one frame: {params.n_train} galaxies to learn from, or the catalogue's."""
    input:
        catalogs=hsc_catalogs,
        code=code_of("scripts/hsc/render_stamps.py"),
    output:
        stamps="<results>/hsc/stamps/{population}.h5",
    log:
        "<results>/hsc/logs/render_stamps_{population}.log",
    benchmark:
        "<results>/hsc/benchmarks/render_stamps_{population}.tsv"
    conda:
        "../envs/images.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        **HSC["render_stamps"],
        **hsc_shared("frame", "learn_from", "seed"),
        population="{population}",
    script:
        "../scripts/hsc/render_stamps.py"


rule hsc_estimate_operator:
    """Hold the camera's operator against GalSim and time it {params.n_repeats} times."""
    input:
        code=code_of("scripts/hsc/estimate_operator.py"),
    output:
        metrics="<results>/hsc/scores/estimate_operator.json",
    log:
        "<results>/hsc/logs/estimate_operator.log",
    benchmark:
        "<results>/hsc/benchmarks/estimate_operator.tsv"
    conda:
        "../envs/jax.yaml"
    threads: 2
    resources:
        mem_mb=2000,
        runtime=20,
    params:
        **HSC["estimate_operator"],
        **hsc_shared("seed"),
    script:
        "../scripts/hsc/estimate_operator.py"


rule hsc_estimate_basis:
    """Find {params.n_components} principal components of the training stamps."""
    input:
        stamps=HSC_STAMPS,
        code=code_of("scripts/hsc/estimate_basis.py"),
    output:
        basis="<results>/hsc/prior/basis.npz",
    log:
        "<results>/hsc/logs/estimate_basis.log",
    benchmark:
        "<results>/hsc/benchmarks/estimate_basis.tsv"
    conda:
        "../envs/jax.yaml"
    threads: 2
    resources:
        mem_mb=16000,
        runtime=60,
    params:
        **HSC["estimate_basis"],
        **hsc_shared("seed"),
    script:
        "../scripts/hsc/estimate_basis.py"


rule hsc_estimate_mixture:
    """Fit {params.n_parts} Gaussians to the coefficients of training stamps; validation stamps choose."""
    input:
        stamps=HSC_STAMPS,
        basis="<results>/hsc/prior/basis.npz",
        code=code_of("scripts/hsc/estimate_mixture.py"),
    output:
        mixture="<results>/hsc/prior{again}/mixture.npz",
        history="<results>/hsc/prior{again}/mixture.json",
    log:
        "<results>/hsc/logs/estimate_mixture{again}.log",
    benchmark:
        "<results>/hsc/benchmarks/estimate_mixture{again}.tsv"
    conda:
        "../envs/jax.yaml"
    threads: 2
    resources:
        mem_mb=8000,
        runtime=60,
    params:
        **HSC["estimate_mixture"],
        seed=hsc_training_seed,
    script:
        "../scripts/hsc/estimate_mixture.py"


rule hsc_train_autoencoder:
    """Train the {params.architecture} auto-encoder, {params.n_latents} latents, {params.n_steps} steps; measure what it misses on validation stamps."""
    input:
        stamps=HSC_STAMPS,
        basis="<results>/hsc/prior/basis.npz",
        code=code_of("scripts/hsc/train_autoencoder.py"),
    output:
        weights="<results>/hsc/prior{again}/autoencoder.npz",
        residual="<results>/hsc/prior{again}/residual.npz",
        history="<results>/hsc/prior{again}/autoencoder.json",
    log:
        "<results>/hsc/logs/train_autoencoder{again}.log",
    benchmark:
        "<results>/hsc/benchmarks/train_autoencoder{again}.tsv"
    conda:
        "../envs/jax.yaml"
    threads: 2
    resources:
        mem_mb=8000,
        runtime=120,
    params:
        **HSC["train_autoencoder"],
        seed=hsc_training_seed,
        work_file=lambda wildcards, output: str(Path(output.weights).parent / "work" / "autoencoder.npz"),
    script:
        "../scripts/hsc/train_autoencoder.py"


rule hsc_train_flow:
    """Train the flow of latents, {params.n_couplings} couplings, {params.n_steps} steps."""
    input:
        stamps=HSC_STAMPS,
        basis="<results>/hsc/prior/basis.npz",
        autoencoder="<results>/hsc/prior{again}/autoencoder.npz",
        code=code_of("scripts/hsc/train_flow.py"),
    output:
        weights="<results>/hsc/prior{again}/flow.npz",
        history="<results>/hsc/prior{again}/flow.json",
    log:
        "<results>/hsc/logs/train_flow{again}.log",
    benchmark:
        "<results>/hsc/benchmarks/train_flow{again}.tsv"
    conda:
        "../envs/jax.yaml"
    threads: 2
    resources:
        mem_mb=8000,
        runtime=120,
    params:
        **HSC["train_flow"],
        seed=hsc_training_seed,
        work_file=lambda wildcards, output: str(Path(output.weights).parent / "work" / "flow.npz"),
    script:
        "../scripts/hsc/train_flow.py"


rule hsc_train_score:
    """Train the {params.architecture} score prior of {params.n_coefficients} coefficients, {params.n_steps} steps of denoising."""
    input:
        stamps=HSC_STAMPS,
        basis="<results>/hsc/prior/basis.npz",
        code=code_of("scripts/hsc/train_score.py"),
    output:
        weights="<results>/hsc/prior{again}/score.npz",
        history="<results>/hsc/prior{again}/score.json",
    log:
        "<results>/hsc/logs/train_score{again}.log",
    benchmark:
        "<results>/hsc/benchmarks/train_score{again}.tsv"
    conda:
        "../envs/jax.yaml"
    threads: 2
    resources:
        mem_mb=8000,
        runtime=240,
    params:
        **HSC["train_score"],
        seed=hsc_training_seed,
        work_file=lambda wildcards, output: str(Path(output.weights).parent / "work" / "score.npz"),
    script:
        "../scripts/hsc/train_score.py"


rule hsc_infer_prior:
    """Decode and denoise held-out stamps, and draw {params.n_samples} galaxies from each prior."""
    input:
        **HSC_PRIOR,
        stamps=HSC_STAMPS,
        code=code_of("scripts/hsc/infer_prior.py"),
    output:
        checks="<results>/hsc/prior/checks.npz",
    log:
        "<results>/hsc/logs/infer_prior.log",
    benchmark:
        "<results>/hsc/benchmarks/infer_prior.tsv"
    conda:
        "../envs/jax.yaml"
    threads: 1  # batched LAPACK calls of XLA have waited for each other for ever in a pool of two
    resources:
        mem_mb=4000,
        runtime=20,
    params:
        **HSC["infer_prior"],
        **hsc_shared("seed"),
        **hsc_of("infer_observations", "n_levels"),
    script:
        "../scripts/hsc/infer_prior.py"


rule hsc_score_prior:
    """Score the prior on held-out stamps."""
    input:
        stamps=HSC_STAMPS,
        real=hsc_real_stamps,
        checks="<results>/hsc/prior/checks.npz",
        code=code_of("scripts/hsc/score_prior.py"),
    output:
        metrics="<results>/hsc/scores/score_prior.json",
    log:
        "<results>/hsc/logs/score_prior.log",
    benchmark:
        "<results>/hsc/benchmarks/score_prior.tsv"
    conda:
        "../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=20,
    params:
        **hsc_shared("seed"),
        **hsc_of("render_stamps", "mag_max"),
        n_resamples=HSC["score_observations"]["n_resamples"],
    script:
        "../scripts/hsc/score_prior.py"


rule hsc_simulate_observations:
    """Put {params.n_scenes} scenes of {params.galaxies} galaxies through the camera."""
    input:
        **HSC_PRIOR,
        stamps=hsc_stamps,
        code=code_of("scripts/hsc/simulate_observations.py"),
    output:
        observations="<results>/hsc/observations/{problem}.h5",
    log:
        "<results>/hsc/logs/simulate_observations_{problem}.log",
    benchmark:
        "<results>/hsc/benchmarks/simulate_observations_{problem}.tsv"
    wildcard_constraints:
        problem=r"(?!(?:pair|observed)\.)[a-z]+(?:_tuning)?",
    conda:
        "../envs/jax.yaml"
    threads: 1  # see hsc_infer_prior
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        **hsc_shared("seed"),
        **hsc_of("infer_observations", "n_levels"),
        problem="{problem}",
        galaxies=hsc_setting("galaxies"),
        n_scenes=hsc_setting("n_scenes"),
        scene=hsc_scene,
        camera={**HSC["camera"], **{name: HSC["render_stamps"][name] for name in ("mag_min", "mag_max")}},
        hidden_bit=HSC["mask_planes"]["INTRP"],
    script:
        "../scripts/hsc/simulate_observations.py"


rule hsc_estimate_tuning:
    """Choose when the pixel fits stop, among {params.n_steps} steps, on validation galaxies in scenes like {wildcards.problem}."""
    input:
        observations="<results>/hsc/observations/{problem}.h5",
        stamps=HSC_STAMPS,
        basis="<results>/hsc/prior/basis.npz",
        code=code_of("scripts/hsc/estimate_tuning.py"),
    output:
        tuned="<results>/hsc/tuned/{problem}.json",
    log:
        "<results>/hsc/logs/estimate_tuning_{problem}.log",
    benchmark:
        "<results>/hsc/benchmarks/estimate_tuning_{problem}.tsv"
    wildcard_constraints:
        problem="[a-z]+_tuning|tuning",
    conda:
        "../envs/jax.yaml"
    threads: 2
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        **HSC["estimate_tuning"],
        **hsc_shared("mask_planes", "missing_planes"),
        background_share=HSC["camera"]["background_share"],
    script:
        "../scripts/hsc/estimate_tuning.py"


rule hsc_infer_observations:
    """Reconstruct the scenes of {wildcards.problem} by every method, {params.n_draws} samples each."""
    input:
        unpack(hsc_prior),
        observations="<results>/hsc/observations/{problem}.h5",
        stamps=HSC_STAMPS,
        tuned=hsc_tuned,
        code=code_of("scripts/hsc/infer_observations.py"),
    output:
        posteriors="<results>/hsc/posteriors{again}/{problem}.h5",
    log:
        "<results>/hsc/logs/infer_observations{again}_{problem}.log",
    benchmark:
        "<results>/hsc/benchmarks/infer_observations{again}_{problem}.tsv"
    conda:
        "../envs/jax.yaml"
    threads: 1  # see hsc_infer_prior
    resources:
        mem_mb=4000,
        runtime=240,
    params:
        **hsc_shared("mask_planes", "missing_planes", "seed"),
        methods=hsc_methods,
        n_draws=HSC["infer_observations"]["n_draws"],
        effort={k: v for k, v in HSC["infer_observations"].items() if k != "n_draws"},
        background_share=HSC["camera"]["background_share"],
        compiled_folder=lambda wildcards, output: str(Path(output.posteriors).parents[1] / "prior/compiled"),
        work_file=lambda wildcards, output: str(Path(output.posteriors).parent / "work" / wildcards.problem),
    script:
        "../scripts/hsc/infer_observations.py"


rule hsc_score_observations:
    """Score all methods on {wildcards.problem}, errors from {params.n_resamples} resamples of scenes."""
    input:
        observations="<results>/hsc/observations/{problem}.h5",
        basis="<results>/hsc/prior/basis.npz",
        posteriors=hsc_posteriors,
        code=code_of("scripts/hsc/score_observations.py"),
    output:
        metrics="<results>/hsc/scores/score_observations_{problem}.json",
        curves="<results>/hsc/scores/score_observations_{problem}.npz",
    log:
        "<results>/hsc/logs/score_observations_{problem}.log",
    benchmark:
        "<results>/hsc/benchmarks/score_observations_{problem}.tsv"
    conda:
        "../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        **HSC["score_observations"],
        **hsc_shared("seed"),
        problem="{problem}",
        fine_pixel_arcsec=HSC["frame"]["pixel_arcsec"],
    script:
        "../scripts/hsc/score_observations.py"


use rule hsc_score_observations as hsc_score_priors with:
    input:
        observations="<results>/hsc/observations/{problem}.h5",
        basis="<results>/hsc/prior/basis.npz",
        posteriors=[f"<results>/hsc/posteriors{again}/{{problem}}.h5" for again in THREE_PRIORS],
        code=code_of("scripts/hsc/score_observations.py"),
    output:
        metrics="<results>/hsc/scores/score_priors_{problem}.json",
        curves="<results>/hsc/scores/score_priors_{problem}.npz",
    log:
        "<results>/hsc/logs/score_priors_{problem}.log",
    benchmark:
        "<results>/hsc/benchmarks/score_priors_{problem}.tsv"


rule hsc_summarise_metrics:
    """Put all scores into one metrics.json and check their form."""
    input:
        parts=hsc_parts(),
        code=code_of("scripts/hsc/summarise_metrics.py"),
    output:
        metrics=report(
            "<results>/hsc/metrics.json",
            category="HSC priors",
            caption="../resources/captions/metrics.rst",
        ),
    log:
        "<results>/hsc/logs/summarise_metrics.log",
    benchmark:
        "<results>/hsc/benchmarks/summarise_metrics.tsv"
    conda:
        "../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=500,
        runtime=5,
    script:
        "../scripts/hsc/summarise_metrics.py"
