"""Galaxy clusters: from a sampled catalogue to scored detections.

Makes  <results>/clusters/metrics.json, figures/, checkpoints/best_encoder.ckpt and, for DES tiles, maps and catalogues.
From   resources/red_sequence.ecsv and the settings in config/clusters.yaml; real tables and images where those name them.
Steps  sample_catalog -> render_images -> tile_images -> train_encoder -> infer_fields -> score_fields;
       estimate_photometry -> train_finder -> infer_finder is the baseline that the same score judges;
       simulate_tile or fetch_tile -> infer_tile -> score_redmapper is the encoder at work on DES tiles.

A batch is n_catalogs_per_file fields: one job samples, renders or tiles a batch. Whole batches go to one split.
"""

import time

from armillary.surveys import survey_constants

CLUSTERS = config["clusters"]
FIELDS_OF_BATCH = [f"galsim_{CLUSTERS['survey']}_{{batch}}_{k:03d}" for k in range(CLUSTERS["n_catalogs_per_file"])]
CATALOGS = [f"<results>/clusters/catalogs/{name}.dat" for name in FIELDS_OF_BATCH]
IMAGES = [f"<results>/clusters/images/{name}_{band}.fits" for name in FIELDS_OF_BATCH for band in CLUSTERS["bands"]]


def clusters_split_sizes():
    """Number of batches of each split, the last two at least one."""
    n_batches, rest = divmod(CLUSTERS["nfiles"], CLUSTERS["n_catalogs_per_file"])
    held_out = {name: max(round(CLUSTERS[f"{name}_fraction"] * n_batches), 1) for name in ("validation", "test")}
    n_train = n_batches - sum(held_out.values())
    if rest or n_train < 1:
        raise WorkflowError(
            f"clusters: nfiles is {CLUSTERS['nfiles']}; it must be a multiple of n_catalogs_per_file "
            f"({CLUSTERS['n_catalogs_per_file']}) with at least one batch for each of train, validation and test"
        )
    return {"train": n_train, **held_out}


def clusters_batches(split, n_most=None):
    """Batch numbers of a split as five digits: training first, then validation, then test."""
    sizes = clusters_split_sizes()
    first = sum(size for name, size in sizes.items() if list(sizes).index(name) < list(sizes).index(split))
    return [f"{batch:05d}" for batch in range(first, first + sizes[split])][:n_most]


def clusters_split_of(wildcards):
    return next(name for name in clusters_split_sizes() if wildcards.batch in clusters_batches(name))


def clusters_files(pattern):
    """An input function: the files of all batches of the split that the wildcards name."""
    return lambda wildcards: collect(pattern, batch=clusters_batches(wildcards.split))


def clusters_tuning_files(pattern):
    """Files of the first training batches, as many as the baseline finder is tuned on."""
    n_batches = -(-CLUSTERS["train_finder"]["n_fields"] // CLUSTERS["n_catalogs_per_file"])
    return collect(pattern, batch=clusters_batches("train", n_batches))


def clusters_shared(*names):
    """Settings of the whole rule set that a step asks for."""
    return {name: CLUSTERS[name] for name in names}


def clusters_real_catalogs(wildcards):
    """The observed catalogues that `prior: real` draws from; none for the physical prior."""
    block = CLUSTERS["sample_catalog"]
    names = [block["members_file"], block["clusters_file"], block["sources_file"]]
    return [name for name in names if name] if block["prior"] == "real" else []


def clusters_metric_parts(wildcards):
    """The scores that metrics.json is made of: simulated fields, DES tiles, and what was given, where it is at hand."""
    steps = ["score_fields", "score_redmapper", *(["summarise_inputs"] if clusters_real_data() else [])]
    return [f"<results>/clusters/scores/{step}.json" for step in steps]


def clusters_products():
    """What the target `clusters` asks for."""
    nouns = "catalogs render_residuals training field pr_curves completeness estimates".split()
    figures = [f"<results>/clusters/figures/{noun}.png" for noun in nouns]
    figures += [f"<results>/clusters/figures/tile_{tile}.png" for tile in CLUSTERS["infer_tile"]["tiles"][:1]]
    exposures = ["<results>/clusters/exposures/testcase9.json"] if clusters_real_data() else []
    return ["<results>/clusters/metrics.json", *figures, *exposures]


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
        file_data="<results>/clusters/file_data/file_data_{batch}.pt",
    log:
        "<results>/clusters/logs/tile_images_{batch}.log",
    benchmark:
        "<results>/clusters/benchmarks/tile_images_{batch}.tsv"
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
    """Train the {params.architecture} encoder for at most {params.n_epochs} epochs at batch size {params.batch_size};
    a killed run goes on from checkpoints/last.ckpt."""
    input:
        train=collect(
            "<results>/clusters/file_data/file_data_{batch}.pt",
            batch=clusters_batches("train"),
        ),
        validation=collect(
            "<results>/clusters/file_data/file_data_{batch}.pt",
            batch=clusters_batches("validation"),
        ),
        code=code_of("scripts/clusters/train_encoder.py"),
    output:
        checkpoint="<results>/clusters/checkpoints/best_encoder.ckpt",
        history="<results>/clusters/checkpoints/history.csv",
    log:
        "<results>/clusters/logs/train_encoder.log",
    benchmark:
        "<results>/clusters/benchmarks/train_encoder.tsv"
    conda:
        "../envs/torch.yaml"
    threads: 12
    resources:
        mem_mb=12000,
        runtime=720,
        gpu=CLUSTERS["n_gpus"],
    params:
        **CLUSTERS["train_encoder"],
        **clusters_shared(
            "survey", "bands", "image_size", "tile_size", "bin_factor", "seed"
        ),
        work_folder=lambda wildcards, output: str(Path(output.checkpoint).parent / "work"),
    script:
        "../scripts/clusters/train_encoder.py"


rule clusters_infer_fields:
    """Apply the encoder to the {wildcards.split} fields: tile probabilities at the fields' cluster
    rate, redshifts, richnesses, and at the sky's rate the clusters they amount to."""
    input:
        checkpoint="<results>/clusters/checkpoints/best_encoder.ckpt",
        file_data=clusters_files("<results>/clusters/file_data/file_data_{batch}.pt"),
        code=code_of("scripts/clusters/infer_fields.py"),
    output:
        predictions="<results>/clusters/predictions/encoder_{split}.npz",
        detections="<results>/clusters/detections/encoder_{split}.dat",
    log:
        "<results>/clusters/logs/infer_fields_{split}.log",
    benchmark:
        "<results>/clusters/benchmarks/infer_fields_{split}.tsv"
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
        photometry="<results>/clusters/photometry/photometry_{batch}.fits",
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
    """Tune the red-sequence finder on training fields, its knobs on the first {params.n_tuning_fields} of them."""
    input:
        photometry=clusters_tuning_files("<results>/clusters/photometry/photometry_{batch}.fits"),
        catalogs=clusters_tuning_files(CATALOGS),
        truth=clusters_tuning_files("<results>/clusters/catalogs/truth_{batch}.dat"),
        red_sequence="resources/red_sequence.ecsv",
        code=code_of("scripts/clusters/train_finder.py"),
    output:
        finder="<results>/clusters/finder/finder.npz",
    log:
        "<results>/clusters/logs/train_finder.log",
    benchmark:
        "<results>/clusters/benchmarks/train_finder.tsv"
    conda:
        "../envs/images.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=120,
    params:
        n_tuning_fields=CLUSTERS["train_finder"]["n_tuning_fields"],
        **clusters_shared("survey", "image_size", "tile_size", "min_flux_for_loss"),
    script:
        "../scripts/clusters/train_finder.py"


rule clusters_infer_finder:
    """Apply the tuned red-sequence finder to the {wildcards.split} fields: tile probabilities and clusters."""
    input:
        photometry=clusters_files("<results>/clusters/photometry/photometry_{batch}.fits"),
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
    script:
        "../scripts/clusters/infer_finder.py"


rule clusters_score_fields:
    """Score encoder and baseline finder on the test fields, cuts chosen on the validation fields, clusters weighted to
    their natural rate, errors from {params.n_resamples} resamples of whole fields."""
    input:
        predictions_validation="<results>/clusters/predictions/encoder_validation.npz",
        predictions_test="<results>/clusters/predictions/encoder_test.npz",
        finder_validation="<results>/clusters/predictions/finder_validation.npz",
        finder_test="<results>/clusters/predictions/finder_test.npz",
        detections_validation="<results>/clusters/detections/encoder_validation.dat",
        detections_test="<results>/clusters/detections/encoder_test.dat",
        finder_detections_validation="<results>/clusters/detections/finder_validation.dat",
        finder_detections_test="<results>/clusters/detections/finder_test.dat",
        truth=collect(
            "<results>/clusters/catalogs/truth_{batch}.dat",
            batch=clusters_batches("validation") + clusters_batches("test"),
        ),
        code=code_of("scripts/clusters/score_fields.py"),
    output:
        metrics="<results>/clusters/scores/score_fields.json",
        curves="<results>/clusters/scores/score_fields.npz",
    log:
        "<results>/clusters/logs/score_fields.log",
    benchmark:
        "<results>/clusters/benchmarks/score_fields.tsv"
    conda:
        "../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        **CLUSTERS["score_fields"],
        **clusters_shared("image_size", "seed"),
        pixel_arcsec=survey_constants(CLUSTERS["survey"]).pixel_arcsec,
    script:
        "../scripts/clusters/score_fields.py"


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
