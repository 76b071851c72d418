"""The survey: a trained encoder over every tile of a list, a shard of tiles a job, and all shards merged.

Makes  <results>/clusters/survey/all/{clusters,footprint}.dat and metrics.json, and per shard maps, clusters and a summary.
From   a trained encoder, a list of tiles, and the DR2 release or a folder of tiles (config/survey.yaml).
Steps  infer_shard (one job a shard) -> summarise_survey, for all shards or, at any time, for those done so far.

Tiles are no files of the workflow: a shard brings its own to the node one by one and drops them, so that the whole
survey is some thirty jobs and needs the disk of two tiles a job.
"""


rule clusters_infer_shard:
    """Apply the encoder to the tiles of shard {wildcards.shard}, brought to the node one by one from {params.source}."""
    input:
        checkpoint=clusters_survey_checkpoint,
        code=code_of("scripts/clusters/infer_shard.py"),
    output:
        maps="<results>/clusters/survey/shard_{shard}_maps.fits",
        catalog="<results>/clusters/survey/shard_{shard}_clusters.dat",
        summary="<results>/clusters/survey/shard_{shard}_summary.json",
    log:
        "<results>/clusters/logs/infer_shard_{shard}.log",
    benchmark:
        "<results>/clusters/benchmarks/infer_shard_{shard}.tsv"
    conda:
        "../envs/torch.yaml"
    threads: 2
    resources:
        mem_mb=4000,
        disk_mb=4000,
        runtime=clusters_shard_minutes,
    params:
        **clusters_shared("survey", "bands"),
        tiles=clusters_shard_tiles,
        source=SURVEY["source"],
        manifest={"collections": {"clusters/des_dr2": DATASETS["collections"]["clusters/des_dr2"]}},
        max_failed_tiles=SURVEY["max_failed_tiles"],
        planes={name: CLUSTERS["infer_tile"][name] for name in ("use_mask", "use_weight")},
        settings={
            name: CLUSTERS["infer_tile"][name]
            for name in ("min_overlap", "map_pixel_px", "threshold", "min_valid_fraction", "class_prior")
        },
    script:
        "../scripts/clusters/infer_shard.py"


rule clusters_summarise_survey:
    """Merge the shards, {wildcards.part}: a cluster that two tiles see within {params.duplicate_radius_arcsec} arcsec and
    {params.duplicate_dz} (1 + z) counts once, and the footprint says which tile saw how much."""
    input:
        maps=clusters_shard_files("maps"),
        catalogs=clusters_shard_files("catalogs"),
        summaries=clusters_shard_files("summaries"),
        code=code_of("scripts/clusters/summarise_survey.py"),
    output:
        clusters="<results>/clusters/survey/{part}/clusters.dat",
        footprint="<results>/clusters/survey/{part}/footprint.dat",
        metrics="<results>/clusters/survey/{part}/metrics.json",
    log:
        "<results>/clusters/logs/summarise_survey_{part}.log",
    benchmark:
        "<results>/clusters/benchmarks/summarise_survey_{part}.tsv"
    conda:
        "../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=6000,
        runtime=60,
    params:
        **CLUSTERS["summarise_survey"],
        n_tiles=lambda _: len(clusters_survey_tiles()),
    script:
        "../scripts/clusters/summarise_survey.py"
