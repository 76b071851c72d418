"""DES tiles: simulated or real coadd tiles, the encoder at work on them, and its score against redMaPPer.

Makes  <results>/clusters/tiles/<tile>_{probability,...}.fits, <tile>_clusters.dat, <tile>_cells.fits (probabilities of the
       encoder's own tiles) and the redMaPPer score.
From   the trained encoder and either simulate_tile, the DR2 release (rules/resources.smk), or a folder of tiles.
Steps  simulate_tile -> infer_tile (one job a shard of tiles) -> score_redmapper; infer_exposures and
       summarise_inputs run where the real data sets are at hand.
"""


rule clusters_simulate_tile:
    """Simulate tile {wildcards.tile}, {params.image_size} px, with DR2's names, Rice compression, WCS and zero point:
    clusters of the list {input.clusters} where one is named, of {input.embedded} where that has the tile, else of the
    prior at their natural rate."""
    input:
        red_sequence="resources/red_sequence.ecsv",
        embedded="resources/des_y3_clusters.ecsv",
        clusters=TILE_LISTS,
        psfex_models=clusters_tile_psfs,
        code=code_of("scripts/clusters/simulate_tile.py"),
    output:
        images=[
            f"<results>/clusters/tile_images/{{tile}}/{{tile}}_r4939p01_{band}_nobkg.fits.fz"
            for band in CLUSTERS["bands"]
        ],
        truth="<results>/clusters/tile_images/{tile}/{tile}_truth.dat",
        members="<results>/clusters/tile_images/{tile}/{tile}_members.dat",
    log:
        "<results>/clusters/logs/simulate_tile_{tile}.log",
    benchmark:
        "<results>/clusters/benchmarks/simulate_tile_{tile}.tsv"
    conda:
        "../envs/images.yaml"
    threads: 1
    resources:
        mem_mb=3000,
        runtime=60,
    params:
        **clusters_shared("bands", "seed"),
        image_size=CLUSTERS["simulate_tile"]["image_size"],
        quantize_level=CLUSTERS["simulate_tile"]["quantize_level"],
        prior=CLUSTERS["sample_catalog"],
        rendering={
            name: CLUSTERS["render_images"][name]
            for name in (
                "edge_sigma",
                "psf_profile",
                "seeing_scatter",
                "psf_variation",
                "psf_cell_px",
            )
        },
    script:
        "../scripts/clusters/simulate_tile.py"


for shard, tiles in clusters_tile_shards().items():

    rule:
        """Apply the encoder to the tiles {params.tiles} in windows that overlap by {params.min_overlap} px at least:
        maps with WCS, a cluster catalogue and the probabilities of the encoder's own tiles for each."""
        name:
            f"clusters_infer_tile_{shard}"
        input:
            images=[path for tile in tiles for path in clusters_tile_images(tile)],
            checkpoint=CLUSTERS["infer_tile"]["checkpoint"]
            or "<results>/clusters/checkpoints/best_encoder.ckpt",
            code=code_of("scripts/clusters/infer_tile.py"),
        output:
            maps=[f"<results>/clusters/tiles/{tile}_{name}.fits" for tile in tiles for name in MAPS],
            catalogs=[f"<results>/clusters/tiles/{tile}_clusters.dat" for tile in tiles],
            cells=[f"<results>/clusters/tiles/{tile}_cells.fits" for tile in tiles],
            summary=f"<results>/clusters/tiles/shard_{shard}.json",
        log:
            f"<results>/clusters/logs/infer_tile_{shard}.log",
        benchmark:
            f"<results>/clusters/benchmarks/infer_tile_{shard}.tsv"
        conda:
            "../envs/torch.yaml"
        threads: 2
        resources:
            mem_mb=5000,
            runtime=60 * len(tiles),
        params:
            **{
                name: value
                for name, value in CLUSTERS["infer_tile"].items()
                if name not in ("source", "tiles", "n_tiles_per_shard", "checkpoint")
            },
            **clusters_shared("survey", "bands"),
            tiles=tiles,
        script:
            "../scripts/clusters/infer_tile.py"


rule clusters_score_redmapper:
    """Score the inferred tiles against a redMaPPer catalogue of the same sky, at the cut that simulated fields chose:
    matches within {params.match_radius_mpc} Mpc and |dz| <= {params.match_dz} (1 + z), chance from
    {params.n_shuffles} random placements."""
    input:
        detections=[
            f"<results>/clusters/tiles/{tile}_clusters.dat" for tile in CLUSTERS["infer_tile"]["tiles"]
        ],
        probability_maps=[
            f"<results>/clusters/tiles/{tile}_probability.fits" for tile in CLUSTERS["infer_tile"]["tiles"]
        ],
        cells=[f"<results>/clusters/tiles/{tile}_cells.fits" for tile in CLUSTERS["infer_tile"]["tiles"]],
        catalog=clusters_reference_catalog,
        members=clusters_reference_members,
        fields_metrics="<results>/clusters/scores/score_fields.json",
        best_training="<results>/clusters/checkpoints/best_training.json",
        code=code_of("scripts/clusters/score_redmapper.py"),
    output:
        metrics="<results>/clusters/scores/score_redmapper.json",
        curves="<results>/clusters/scores/score_redmapper.npz",
        matches="<results>/clusters/scores/score_redmapper_matches.dat",
    log:
        "<results>/clusters/logs/score_redmapper.log",
    benchmark:
        "<results>/clusters/benchmarks/score_redmapper.tsv"
    conda:
        "../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        **{
            name: value
            for name, value in CLUSTERS["score_redmapper"].items()
            if name not in ("clusters_file", "members_file")
        },
        **clusters_shared("scoring", "seed"),
    script:
        "../scripts/clusters/score_redmapper.py"


rule clusters_infer_exposures:
    """Put real DECam exposures of g, r and z through readers and encoder; i is missing."""
    input:
        exposures=collection_files("clusters/decam/testcase9"),
        checkpoint="<results>/clusters/checkpoints/best_encoder.ckpt",
        code=code_of("scripts/clusters/infer_exposures.py"),
    output:
        summary="<results>/clusters/exposures/testcase9.json",
    log:
        "<results>/clusters/logs/infer_exposures.log",
    benchmark:
        "<results>/clusters/benchmarks/infer_exposures.tsv"
    conda:
        "../envs/torch.yaml"
    threads: 2
    resources:
        mem_mb=3000,
        runtime=10,
    params:
        **CLUSTERS["infer_exposures"],
        **clusters_shared("survey", "bands", "image_size"),
    script:
        "../scripts/clusters/infer_exposures.py"


rule clusters_summarise_inputs:
    """Write which real files were used, with checksums and origin, and check a real member table: sum of membership
    probabilities against richness."""
    input:
        files=lambda _: clusters_real_data(),
        members=[dataset_file("clusters/redmapper/test_cluster_members.fit")],
        catalogs=[dataset_file("clusters/redmapper/DESy3_redmapper.csv.gz")],
        code=code_of("scripts/clusters/summarise_inputs.py"),
    output:
        summary="<results>/clusters/inputs.json",
        metrics="<results>/clusters/scores/summarise_inputs.json",
    log:
        "<results>/clusters/logs/summarise_inputs.log",
    benchmark:
        "<results>/clusters/benchmarks/summarise_inputs.tsv"
    conda:
        "../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        sources={
            name: manifest_entry(DATASETS, name)["urls"][0]
            for folder in REAL_COLLECTIONS
            for name in collection_datasets(DATASETS, folder)
        },
    script:
        "../scripts/clusters/summarise_inputs.py"
