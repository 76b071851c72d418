"""Galaxy clusters: from a sampled catalogue to scored detections.

Makes  <results>/clusters/metrics.json, figures/, checkpoints/best_encoder.ckpt and, for DES tiles, maps and catalogues.
From   resources/red_sequence.ecsv and the settings in config/clusters.yaml; real tables and images where those name them.
Steps  sample_catalog -> render_images -> tile_images -> train_encoder -> infer_fields -> score_fields;
       estimate_photometry -> train_finder -> infer_finder is the baseline that the same score judges, infer_limit what
       no finder can beat on tiles; train_combination -> infer_combined is the mean of encoder and finder;
       simulate_tile, or the DR2 release -> infer_tile -> score_redmapper is the encoder at work on DES tiles.

A batch is n_catalogs_per_file fields: one job samples, renders or tiles a batch. Whole batches go to one split.
"""

import time

from armillary.surveys import survey_constants


rule clusters_sample_catalog:
    """Sample the fields of batch {wildcards.batch} from the {params.prior} prior: haloes at the {params.cluster_rate}
    cluster rate, their galaxies, clustered field galaxies to i = {params.i_magnitude_limit} and stars."""
    input:
        red_sequence="resources/red_sequence.ecsv",
        real=clusters_real_catalogs,
        code=code_of("scripts/clusters/sample_catalog.py"),
    output:
        catalogs=CATALOGS,
        truth="<results>/clusters/catalogs/truth_{batch}.dat",
    log:
        "<results>/clusters/logs/sample_catalog_{batch}.log",
    benchmark:
        "<results>/clusters/benchmarks/sample_catalog_{batch}.tsv"
    priority: 3  # catalogues are quick and the first figure waits for them
    conda:
        "../envs/images.yaml"
    threads: 1
    resources:
        mem_mb=1500,
        runtime=20,
    params:
        **CLUSTERS["sample_catalog"],
        **clusters_shared("survey", "image_size", "n_catalogs_per_file", "seed"),
        split=clusters_split_of,
        stamp=time.time() if CLUSTERS["overwrite"] else 0,
    script:
        "../scripts/clusters/sample_catalog.py"


rule clusters_render_images:
    """Draw every source of every field of batch {wildcards.batch} with GalSim profiles and PSFs, noise of its own
    in each band; {params.n_compared} sources are drawn a second time object by object and compared."""
    input:
        catalogs=CATALOGS,
        code=code_of("scripts/clusters/render_images.py"),
    output:
        images=[temp(path) for path in IMAGES],
        residuals="<results>/clusters/residuals/residuals_{batch}.json",
    log:
        "<results>/clusters/logs/render_images_{batch}.log",
    benchmark:
        "<results>/clusters/benchmarks/render_images_{batch}.tsv"
    priority: 2  # training waits for all fields, photometry can be done beside it
    conda:
        "../envs/images.yaml"
    threads: 1
    resources:
        mem_mb=3000,
        runtime=30,
    params:
        **CLUSTERS["render_images"],
        **clusters_shared("survey", "bands", "image_size", "seed"),
    script:
        "../scripts/clusters/render_images.py"


rule clusters_tile_images:
    """Cut batch {wildcards.batch} into tiles of {params.tile_size} px and store images and tile catalogues as one .pt file."""
    input:
        catalogs=CATALOGS,
        images=IMAGES,
        truth="<results>/clusters/catalogs/truth_{batch}.dat",
        code=code_of("scripts/clusters/tile_images.py"),
    output:
        file_data=FILE_DATA,
    log:
        "<results>/clusters/logs/tile_images_{batch}.log",
    benchmark:
        "<results>/clusters/benchmarks/tile_images_{batch}.tsv"
    priority: 2
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=3000,
        runtime=20,
    params:
        **clusters_shared(
            "survey",
            "bands",
            "image_size",
            "tile_size",
            "bin_factor",
            "min_flux_for_loss",
        ),
    script:
        "../scripts/clusters/tile_images.py"


rule clusters_train_encoder:
    """Train the {params.architecture} encoder for at most {params.n_epochs} epochs at batch size {params.batch_size} from seed
    {params.seed}: the selection fields choose the epoch, the calibration fields calibrate it; a killed run goes on from
    work/last.ckpt."""
    input:
        red_sequence="resources/red_sequence.ecsv",
        train=clusters_files_of(FILE_DATA, "train"),
        selection=clusters_files_of(FILE_DATA, "selection"),
        calibration=clusters_files_of(FILE_DATA, "calibration"),
        code=code_of("scripts/clusters/train_encoder.py"),
    output:
        checkpoint="<results>/clusters/checkpoints/training_{training}/encoder.ckpt",
        history="<results>/clusters/checkpoints/training_{training}/history.csv",
    log:
        "<results>/clusters/logs/train_encoder_{training}.log",
    benchmark:
        "<results>/clusters/benchmarks/train_encoder_{training}.tsv"
    priority: 1  # the longest job
    conda:
        "../envs/torch.yaml"
    threads: 12 * CLUSTERS["n_gpus"] or 1  # without a GPU a second thread gains a tenth; other jobs use it better
    resources:
        mem_mb=12000 * max(CLUSTERS["n_gpus"], 1),
        runtime=720,
        gpu=CLUSTERS["n_gpus"],
    params:
        **{name: value for name, value in CLUSTERS["train_encoder"].items() if name != "seeds"},
        **clusters_shared("survey", "bands", "image_size", "tile_size", "bin_factor"),
        seed=clusters_training_seed,
        n_processes=max(CLUSTERS["n_gpus"], 1),
        work_folder=lambda wildcards, output: str(Path(output.checkpoint).parent / "work"),
    script:
        "../scripts/clusters/train_encoder.py"


rule clusters_summarise_trainings:
    """Take the training of least selection loss as the checkpoint to use."""
    input:
        checkpoints=collect(
            "<results>/clusters/checkpoints/training_{training}/encoder.ckpt",
            training=clusters_trainings(),
        ),
        histories=collect(
            "<results>/clusters/checkpoints/training_{training}/history.csv",
            training=clusters_trainings(),
        ),
        code=code_of("scripts/clusters/summarise_trainings.py"),
    output:
        checkpoint="<results>/clusters/checkpoints/best_encoder.ckpt",
        record="<results>/clusters/checkpoints/best_training.json",
    log:
        "<results>/clusters/logs/summarise_trainings.log",
    benchmark:
        "<results>/clusters/benchmarks/summarise_trainings.tsv"
    priority: 1
    conda:
        "../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=500,
        runtime=5,
    script:
        "../scripts/clusters/summarise_trainings.py"


rule clusters_infer_fields:
    """Apply the encoder of training {wildcards.training} to the {wildcards.split} fields: tile probabilities at the
    fields' cluster rate and at the sky's, redshifts, richnesses, and at the sky's rate the clusters they amount to.
    """
    input:
        checkpoint="<results>/clusters/checkpoints/training_{training}/encoder.ckpt",
        file_data=clusters_files(FILE_DATA),
        code=code_of("scripts/clusters/infer_fields.py"),
    output:
        predictions="<results>/clusters/predictions/encoder_{training}_{split}.npz",
        detections="<results>/clusters/detections/encoder_{training}_{split}.dat",
    log:
        "<results>/clusters/logs/infer_fields_{training}_{split}.log",
    benchmark:
        "<results>/clusters/benchmarks/infer_fields_{training}_{split}.tsv"
    conda:
        "../envs/torch.yaml"
    threads: 2
    resources:
        mem_mb=6000,
        runtime=60,
    params:
        **CLUSTERS["infer_fields"],
        **clusters_shared("survey", "bands", "image_size", "tile_size"),
    script:
        "../scripts/clusters/infer_fields.py"


rule clusters_estimate_photometry:
    """Find sources on r + i + z at {params.threshold_sigma} sigma and measure their colours, for the baseline finder."""
    input:
        images=IMAGES,
        code=code_of("scripts/clusters/estimate_photometry.py"),
    output:
        photometry=PHOTOMETRY,
    log:
        "<results>/clusters/logs/estimate_photometry_{batch}.log",
    benchmark:
        "<results>/clusters/benchmarks/estimate_photometry_{batch}.tsv"
    conda:
        "../envs/images.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        **CLUSTERS["estimate_photometry"],
        **clusters_shared("survey", "bands"),
    script:
        "../scripts/clusters/estimate_photometry.py"


rule clusters_train_finder:
    """Tune the red-sequence finder: red sequence and background on the training fields, knobs on the selection fields,
    calibration on the calibration fields, {params.n_fields} fields; and the limit, for which the haloes are known.
    """
    input:
        photometry=clusters_files_of(PHOTOMETRY, "train", "selection", "calibration"),
        catalogs=clusters_files_of(CATALOGS, "train", "selection", "calibration"),
        truth=clusters_files_of(TRUTH, "train", "selection", "calibration"),
        red_sequence="resources/red_sequence.ecsv",
        code=code_of("scripts/clusters/train_finder.py"),
    output:
        finder="<results>/clusters/finder/finder.npz",
        limit="<results>/clusters/finder/limit.npz",
    log:
        "<results>/clusters/logs/train_finder.log",
    benchmark:
        "<results>/clusters/benchmarks/train_finder.tsv"
    conda:
        "../envs/images.yaml"
    threads: 1
    resources:
        mem_mb=6000,
        runtime=120,
    params:
        **clusters_shared("survey", "image_size", "tile_size", "min_flux_for_loss"),
        n_fields=clusters_n_fields(),
    script:
        "../scripts/clusters/train_finder.py"


rule clusters_infer_finder:
    """Apply the tuned red-sequence finder to the {wildcards.split} fields: tile probabilities and clusters."""
    input:
        photometry=clusters_files(PHOTOMETRY),
        catalogs=clusters_files(CATALOGS),
        finder="<results>/clusters/finder/finder.npz",
        code=code_of("scripts/clusters/infer_finder.py"),
    output:
        predictions="<results>/clusters/predictions/finder_{split}.npz",
        detections="<results>/clusters/detections/finder_{split}.dat",
    log:
        "<results>/clusters/logs/infer_finder_{split}.log",
    benchmark:
        "<results>/clusters/benchmarks/infer_finder_{split}.tsv"
    conda:
        "../envs/images.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        **clusters_shared("image_size", "tile_size", "min_flux_for_loss"),
        **CLUSTERS["infer_fields"],
    script:
        "../scripts/clusters/infer_finder.py"


rule clusters_infer_limit:
    """Rank the true haloes of the {wildcards.split} fields by their photometry, and find the members of known clusters:
    no finder can beat it on tiles."""
    input:
        photometry=clusters_files(PHOTOMETRY),
        catalogs=clusters_files(CATALOGS),
        truth=clusters_files(TRUTH),
        limit="<results>/clusters/finder/limit.npz",
        code=code_of("scripts/clusters/infer_limit.py"),
    output:
        predictions="<results>/clusters/predictions/limit_{split}.npz",
        detections="<results>/clusters/detections/limit_{split}.dat",
    log:
        "<results>/clusters/logs/infer_limit_{split}.log",
    benchmark:
        "<results>/clusters/benchmarks/infer_limit_{split}.tsv"
    conda:
        "../envs/images.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        **clusters_shared("image_size", "tile_size", "min_flux_for_loss"),
        **CLUSTERS["infer_fields"],
    script:
        "../scripts/clusters/infer_limit.py"


rule clusters_train_combination:
    """Fit on the calibration fields what makes the mean logit of training {wildcards.training} and the finder a
    probability."""
    input:
        encoder="<results>/clusters/predictions/encoder_{training}_calibration.npz",
        finder="<results>/clusters/predictions/finder_calibration.npz",
        encoder_detections="<results>/clusters/detections/encoder_{training}_calibration.dat",
        finder_detections="<results>/clusters/detections/finder_calibration.dat",
        truth=clusters_files_of(TRUTH, "calibration"),
        code=code_of("scripts/clusters/train_combination.py"),
    output:
        combination="<results>/clusters/finder/combination_{training}.npz",
    log:
        "<results>/clusters/logs/train_combination_{training}.log",
    benchmark:
        "<results>/clusters/benchmarks/train_combination_{training}.tsv"
    conda:
        "../envs/images.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=20,
    params:
        **clusters_shared("survey", "image_size"),
        **CLUSTERS["infer_fields"],
    script:
        "../scripts/clusters/train_combination.py"


rule clusters_infer_combined:
    """Combine training {wildcards.training} and the finder on the {wildcards.split} fields by the mean of their logits."""
    input:
        encoder="<results>/clusters/predictions/encoder_{training}_{split}.npz",
        finder="<results>/clusters/predictions/finder_{split}.npz",
        encoder_detections="<results>/clusters/detections/encoder_{training}_{split}.dat",
        finder_detections="<results>/clusters/detections/finder_{split}.dat",
        combination="<results>/clusters/finder/combination_{training}.npz",
        code=code_of("scripts/clusters/infer_combined.py"),
    output:
        predictions="<results>/clusters/predictions/combined_{training}_{split}.npz",
        detections="<results>/clusters/detections/combined_{training}_{split}.dat",
    log:
        "<results>/clusters/logs/infer_combined_{training}_{split}.log",
    benchmark:
        "<results>/clusters/benchmarks/infer_combined_{training}_{split}.tsv"
    conda:
        "../envs/images.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=20,
    params:
        **CLUSTERS["infer_fields"],
    script:
        "../scripts/clusters/infer_combined.py"


rule clusters_score_fields:
    """Score {params.methods} on the test fields, cuts chosen on the calibration fields, clusters weighted to their
    natural rate, errors from {params.n_resamples} resamples of whole fields and the spread of trainings."""
    input:
        **clusters_scored_files(clusters_trainings()),
        truth=collect(
            "<results>/clusters/catalogs/truth_{batch}.dat",
            batch=clusters_batches("calibration") + clusters_batches("test"),
        ),
        code=code_of("scripts/clusters/score_fields.py"),
    output:
        metrics="<results>/clusters/scores/score_fields.json",
        curves="<results>/clusters/scores/score_fields.npz",
        selection="<results>/clusters/scores/selection_function.dat",
    log:
        "<results>/clusters/logs/score_fields.log",
    benchmark:
        "<results>/clusters/benchmarks/score_fields.tsv"
    conda:
        "../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=3000,
        runtime=60,
    params:
        **CLUSTERS["score_fields"],
        **clusters_shared("scoring", "image_size", "tile_size", "seed"),
        methods=clusters_methods(clusters_trainings()),
        pixel_arcsec=survey_constants(CLUSTERS["survey"]).pixel_arcsec,
    script:
        "../scripts/clusters/score_fields.py"


use rule clusters_score_fields as clusters_score_seeds with:
    input:
        **clusters_scored_files(THREE_TRAININGS),
        truth=collect(
            "<results>/clusters/catalogs/truth_{batch}.dat",
            batch=clusters_batches("calibration") + clusters_batches("test"),
        ),
        code=code_of("scripts/clusters/score_fields.py"),
    output:
        metrics="<results>/clusters/seeds/metrics.json",
        curves="<results>/clusters/seeds/curves.npz",
        selection="<results>/clusters/seeds/selection_function.dat",
    log:
        "<results>/clusters/logs/score_seeds.log",
    benchmark:
        "<results>/clusters/benchmarks/score_seeds.tsv"
    params:
        **CLUSTERS["score_fields"],
        **clusters_shared("scoring", "image_size", "tile_size", "seed"),
        methods=clusters_methods(THREE_TRAININGS),
        pixel_arcsec=survey_constants(CLUSTERS["survey"]).pixel_arcsec,


rule clusters_summarise_metrics:
    """Put the scores of all steps into one metrics.json and check their form."""
    input:
        parts=clusters_metric_parts,
        code=code_of("scripts/clusters/summarise_metrics.py"),
    output:
        metrics=report(
            "<results>/clusters/metrics.json",
            category="Clusters",
            caption="../resources/captions/metrics.rst",
        ),
    log:
        "<results>/clusters/logs/summarise_metrics.log",
    benchmark:
        "<results>/clusters/benchmarks/summarise_metrics.tsv"
    conda:
        "../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=500,
        runtime=5,
    script:
        "../scripts/clusters/summarise_metrics.py"
