"""Mass maps: from a shear catalogue to convergence maps by every method, scored on held-out skies and by the field itself.

Makes  <results>/massmap/metrics.json; for each field shear.fits, maps/<method>.fits, samples/<method>.h5 and figures/.
From   a catalogue, binned maps, or a simulated catalogue (config/massmap.yaml: fields).
Steps  estimate_spectrum -> (simulate_catalog) -> estimate_shear -> simulate_skies -> train_residual, train_score,
       estimate_tuning -> infer_map, infer_skies, infer_mismatch, infer_nulls -> score_skies, score_field -> summarise_metrics.
"""


rule massmap_estimate_spectrum:
    """Power spectrum of convergence of field {wildcards.field}: sources at a mean redshift of {params.mean_redshift},
    the catalogue's photometric redshifts, or a table."""
    input:
        catalogs=massmap_photo_z_catalogs,
        tables=massmap_spectrum_tables,
        code=code_of("scripts/massmap/estimate_spectrum.py"),
    output:
        spectrum="<results>/massmap/{field}/spectrum.npz",
    log:
        "<results>/massmap/logs/estimate_spectrum_{field}.log",
    benchmark:
        "<results>/massmap/benchmarks/estimate_spectrum_{field}.tsv"
    conda:
        "../envs/maps.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=20,
    params:
        **MASSMAP["estimate_spectrum"],
        **massmap_of_field("mean_redshift", "shift"),
        photo_z_column=massmap_column("photo_z"),
        weight_column=massmap_column("weight"),
    script:
        "../scripts/massmap/estimate_spectrum.py"


rule massmap_simulate_catalog:
    """A {params.sky} sky for field {wildcards.field} and {params.density_per_arcmin2} galaxies an arcmin2 behind it, with edges,
    star haloes and biased shapes."""
    input:
        spectrum="<results>/massmap/{field}/spectrum.npz",
        code=code_of("scripts/massmap/simulate_catalog.py"),
    output:
        catalog="<results>/massmap/{field}/catalog.fits",
        truth="<results>/massmap/{field}/truth.npz",
    log:
        "<results>/massmap/logs/simulate_catalog_{field}.log",
    benchmark:
        "<results>/massmap/benchmarks/simulate_catalog_{field}.tsv"
    conda:
        "../envs/maps.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=20,
    params:
        **MASSMAP["simulate_catalog"],
        **massmap_shared("sky", "shift_spread", "margin_px", "seed"),
        **massmap_of_field("pixel_arcmin", "map_shape", "centre", "reduced_shear", "true_shift"),
    script:
        "../scripts/massmap/simulate_catalog.py"


rule massmap_estimate_shear:
    """Calibrate and bin the shapes of field {wildcards.field} into pixels of {params.pixel_arcmin} arcmin; {params.n_rotations}
    times more with shapes turned at random."""
    input:
        catalogs=massmap_catalogs,
        maps=massmap_maps,
        code=code_of("scripts/massmap/estimate_shear.py"),
    output:
        shear="<results>/massmap/{field}/shear.fits",
        rotations="<results>/massmap/{field}/rotations.h5",
    log:
        "<results>/massmap/logs/estimate_shear_{field}.log",
    benchmark:
        "<results>/massmap/benchmarks/estimate_shear_{field}.tsv"
    conda:
        "../envs/maps.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        **MASSMAP["estimate_shear"],
        **massmap_shared("seed"),
        **massmap_of_field(
            "columns",
            "shape",
            "e1_sign",
            "e2_sign",
            "max_shape",
            "pixel_arcmin",
            "map_shape",
            "centre",
            "min_galaxies",
            "reduced_shear",
        ),
        field="{field}",
        map_roles=massmap_map_roles,
    script:
        "../scripts/massmap/estimate_shear.py"


rule massmap_simulate_skies:
    """Draw the {wildcards.split} skies of field {wildcards.field}; the true map, where a field has one, is its test sky."""
    input:
        spectrum="<results>/massmap/{field}/spectrum.npz",
        shear="<results>/massmap/{field}/shear.fits",
        truths=massmap_truths,
        code=code_of("scripts/massmap/simulate_skies.py"),
    output:
        skies="<results>/massmap/{field}/skies_{split}.h5",
    log:
        "<results>/massmap/logs/simulate_skies_{field}_{split}.log",
    benchmark:
        "<results>/massmap/benchmarks/simulate_skies_{field}_{split}.tsv"
    conda:
        "../envs/maps.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        **massmap_shared("sky", "shift_spread", "margin_px", "seed"),
        **massmap_of_field("reduced_shear", "true_shift"),
        n_skies=lambda wildcards: MASSMAP["simulate_skies"][f"n_{wildcards.split}"],
    script:
        "../scripts/massmap/simulate_skies.py"


rule massmap_train_residual:
    """Train what a Wiener map of field {wildcards.field} lacks, {params.n_trainings} times: {params.n_steps} steps on skies with its mask and noise."""
    input:
        spectrum="<results>/massmap/{field}/spectrum.npz",
        shear="<results>/massmap/{field}/shear.fits",
        train_skies="<results>/massmap/{field}/skies_train.h5",
        validation_skies="<results>/massmap/{field}/skies_validation.h5",
        code=code_of("scripts/massmap/train_residual.py"),
    output:
        weights="<results>/massmap/{field}/networks/residual.npz",
        history="<results>/massmap/{field}/networks/residual.json",
    log:
        "<results>/massmap/logs/train_residual_{field}.log",
    benchmark:
        "<results>/massmap/benchmarks/train_residual_{field}.tsv"
    conda:
        "../envs/jax.yaml"
    threads: 2
    resources:
        mem_mb=8000,
        runtime=60,
    params:
        **MASSMAP["train_residual"],
        **massmap_shared("seed"),
        **massmap_of_field("reduced_shear"),
        work_file=lambda wildcards, output: str(Path(output.weights).parent / "work" / "residual.npz"),
    script:
        "../scripts/massmap/train_residual.py"


rule massmap_train_score:
    """Train the neural prior for the pixels of field {wildcards.field}: {params.n_steps} steps of denoising on {params.n_skies} skies
    of {params.sky_size_px} px."""
    input:
        spectrum="<results>/massmap/{field}/spectrum.npz",
        code=code_of("scripts/massmap/train_score.py"),
    output:
        weights="<results>/massmap/{field}/networks/score.npz",
        history="<results>/massmap/{field}/networks/score.json",
    log:
        "<results>/massmap/logs/train_score_{field}.log",
    benchmark:
        "<results>/massmap/benchmarks/train_score_{field}.tsv"
    conda:
        "../envs/jax.yaml"
    threads: 2
    resources:
        mem_mb=8000,
        runtime=120,
    params:
        **MASSMAP["train_score"],
        **massmap_shared("sky", "shift_spread", "seed"),
        **massmap_of_field("pixel_arcmin"),
        work_file=lambda wildcards, output: str(Path(output.weights).parent / "work" / "score.npz"),
    script:
        "../scripts/massmap/train_score.py"


rule massmap_estimate_tuning:
    """Choose smoothing, threshold and finest scale of the baselines of field {wildcards.field} on {params.n_skies} training skies."""
    input:
        spectrum="<results>/massmap/{field}/spectrum.npz",
        shear="<results>/massmap/{field}/shear.fits",
        train_skies="<results>/massmap/{field}/skies_train.h5",
        code=code_of("scripts/massmap/estimate_tuning.py"),
    output:
        tuned="<results>/massmap/{field}/tuned.json",
    log:
        "<results>/massmap/logs/estimate_tuning_{field}.log",
    benchmark:
        "<results>/massmap/benchmarks/estimate_tuning_{field}.tsv"
    conda:
        "../envs/jax.yaml"
    threads: 2
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        **MASSMAP["estimate_tuning"],
        **massmap_shared("seed"),
        **massmap_of_field("reduced_shear"),
        n_scales=MASSMAP["reconstruct"]["n_scales"],
        n_sparse_iterations=MASSMAP["reconstruct"]["n_sparse_iterations"],
        n_inpainting_iterations=MASSMAP["reconstruct"]["n_inpainting_iterations"],
    script:
        "../scripts/massmap/estimate_tuning.py"


rule massmap_infer_map:
    """Map field {wildcards.field} by {wildcards.method}: E mode, B mode, and samples of the posterior where the method has
    one ({params.n_samples})."""
    input:
        spectrum="<results>/massmap/{field}/spectrum.npz",
        shear="<results>/massmap/{field}/shear.fits",
        tuned="<results>/massmap/{field}/tuned.json",
        residual="<results>/massmap/{field}/networks/residual.npz",
        score="<results>/massmap/{field}/networks/score.npz",
        code=code_of("scripts/massmap/infer_map.py"),
    output:
        kappa="<results>/massmap/{field}/maps/{method}.fits",
        samples="<results>/massmap/{field}/samples/{method}.h5",
    log:
        "<results>/massmap/logs/infer_map_{field}_{method}.log",
    benchmark:
        "<results>/massmap/benchmarks/infer_map_{field}_{method}.tsv"
    conda:
        "../envs/jax.yaml"
    threads: 2
    resources:
        mem_mb=8000,
        runtime=120,
    params:
        **MASSMAP["infer_map"],
        **massmap_shared("shift_spread", "seed"),
        **massmap_of_field("reduced_shear"),
        settings=MASSMAP["reconstruct"],
    script:
        "../scripts/massmap/infer_map.py"


rule massmap_infer_skies:
    """Map the test skies of field {wildcards.field} with {params.n_noise_seeds} draws of noise each by {wildcards.method}."""
    input:
        spectrum="<results>/massmap/{field}/spectrum.npz",
        shear="<results>/massmap/{field}/shear.fits",
        tuned="<results>/massmap/{field}/tuned.json",
        residual="<results>/massmap/{field}/networks/residual.npz",
        score="<results>/massmap/{field}/networks/score.npz",
        skies="<results>/massmap/{field}/skies_test.h5",
        code=code_of("scripts/massmap/infer_skies.py"),
    output:
        maps="<results>/massmap/{field}/test/{method}.h5",
    log:
        "<results>/massmap/logs/infer_skies_{field}_{method}.log",
    benchmark:
        "<results>/massmap/benchmarks/infer_skies_{field}_{method}.tsv"
    conda:
        "../envs/jax.yaml"
    threads: 2
    resources:
        mem_mb=8000,
        runtime=240,
    params:
        **MASSMAP["infer_skies"],
        **massmap_shared("margin_px", "shift_spread", "seed"),
        **massmap_of_field("reduced_shear"),
        settings=MASSMAP["reconstruct"],
    script:
        "../scripts/massmap/infer_skies.py"


rule massmap_infer_nulls:
    """Map the turned shapes of field {wildcards.field} by {params.methods}."""
    input:
        spectrum="<results>/massmap/{field}/spectrum.npz",
        shear="<results>/massmap/{field}/shear.fits",
        rotations="<results>/massmap/{field}/rotations.h5",
        tuned="<results>/massmap/{field}/tuned.json",
        residual="<results>/massmap/{field}/networks/residual.npz",
        score="<results>/massmap/{field}/networks/score.npz",
        code=code_of("scripts/massmap/infer_nulls.py"),
    output:
        nulls=massmap_each("<results>/massmap/{field}/nulls/{method}.h5", MASSMAP_NULL_METHODS),
    log:
        "<results>/massmap/logs/infer_nulls_{field}.log",
    benchmark:
        "<results>/massmap/benchmarks/infer_nulls_{field}.tsv"
    conda:
        "../envs/jax.yaml"
    threads: 2
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        **massmap_shared("shift_spread", "seed"),
        **massmap_of_field("reduced_shear"),
        methods=MASSMAP_NULL_METHODS,
        settings=MASSMAP["reconstruct"],
    script:
        "../scripts/massmap/infer_nulls.py"


rule massmap_infer_mismatch:
    """Map skies unlike those of the training for field {wildcards.field}: {params.n_skies} of each kind, {params.n_sampled}
    by the chain."""
    input:
        spectrum="<results>/massmap/{field}/spectrum.npz",
        shear="<results>/massmap/{field}/shear.fits",
        tuned="<results>/massmap/{field}/tuned.json",
        residual="<results>/massmap/{field}/networks/residual.npz",
        score="<results>/massmap/{field}/networks/score.npz",
        code=code_of("scripts/massmap/infer_mismatch.py"),
    output:
        maps="<results>/massmap/{field}/mismatch.h5",
    log:
        "<results>/massmap/logs/infer_mismatch_{field}.log",
    benchmark:
        "<results>/massmap/benchmarks/infer_mismatch_{field}.tsv"
    conda:
        "../envs/jax.yaml"
    threads: 2
    resources:
        mem_mb=8000,
        runtime=120,
    params:
        **MASSMAP["infer_mismatch"],
        **massmap_shared("sky", "shift_spread", "margin_px", "seed"),
        **massmap_of_field("reduced_shear"),
        methods=MASSMAP_MISMATCH_METHODS,
        settings=MASSMAP["reconstruct"],
    script:
        "../scripts/massmap/infer_mismatch.py"


rule massmap_score_skies:
    """Score all methods on the test skies of field {wildcards.field}, errors from {params.n_resamples} resamples of skies."""
    input:
        shear="<results>/massmap/{field}/shear.fits",
        skies="<results>/massmap/{field}/skies_test.h5",
        maps=massmap_each("<results>/massmap/{field}/test/{method}.h5", MASSMAP_METHODS),
        mismatch="<results>/massmap/{field}/mismatch.h5",
        code=code_of("scripts/massmap/score_skies.py"),
    output:
        metrics="<results>/massmap/{field}/scores/score_skies.json",
        curves="<results>/massmap/{field}/scores/score_skies.npz",
    log:
        "<results>/massmap/logs/score_skies_{field}.log",
    benchmark:
        "<results>/massmap/benchmarks/score_skies_{field}.tsv"
    conda:
        "../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        **MASSMAP["score_skies"],
        **massmap_shared("seed"),
        field="{field}",
        methods=MASSMAP_METHODS,
        mismatch_methods=MASSMAP_MISMATCH_METHODS,
        n_noise_seeds=MASSMAP["infer_skies"]["n_noise_seeds"],
        reference_smoothing_arcmin=MASSMAP["infer_skies"]["reference_smoothing_arcmin"],
    script:
        "../scripts/massmap/score_skies.py"


rule massmap_score_field:
    """Score the maps of field {wildcards.field} by E against B, turned shapes, known clusters, and the truth where it is
    known; the wrong sign of the shear is an error."""
    input:
        shear="<results>/massmap/{field}/shear.fits",
        rotations="<results>/massmap/{field}/rotations.h5",
        maps=massmap_each("<results>/massmap/{field}/maps/{method}.fits", MASSMAP_METHODS),
        nulls=massmap_each("<results>/massmap/{field}/nulls/{method}.h5", MASSMAP_NULL_METHODS),
        clusters=massmap_clusters,
        truths=massmap_shown_truths,
        code=code_of("scripts/massmap/score_field.py"),
    output:
        metrics="<results>/massmap/{field}/scores/score_field.json",
        curves="<results>/massmap/{field}/scores/score_field.npz",
    log:
        "<results>/massmap/logs/score_field_{field}.log",
    benchmark:
        "<results>/massmap/benchmarks/score_field_{field}.tsv"
    conda:
        "../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        **MASSMAP["score_field"],
        **massmap_of_field("cluster_columns"),
        field="{field}",
        methods=MASSMAP_METHODS,
        null_methods=MASSMAP_NULL_METHODS,
    script:
        "../scripts/massmap/score_field.py"


rule massmap_summarise_metrics:
    """Put the scores of all fields into one metrics.json and check their form."""
    input:
        parts=collect(
            "<results>/massmap/{field}/scores/{step}.json",
            field=massmap_fields(),
            step=["score_skies", "score_field"],
        ),
        code=code_of("scripts/massmap/summarise_metrics.py"),
    output:
        metrics=report(
            "<results>/massmap/metrics.json",
            category="Mass maps",
            caption="../resources/captions/metrics.rst",
        ),
    log:
        "<results>/massmap/logs/summarise_metrics.log",
    benchmark:
        "<results>/massmap/benchmarks/summarise_metrics.tsv"
    conda:
        "../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=500,
        runtime=5,
    script:
        "../scripts/massmap/summarise_metrics.py"
