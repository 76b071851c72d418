"""DES tiles: emulated or real coadd tiles, the encoder at work on them, and its score against redMaPPer.

Makes  <results>/clusters/tiles/<tile>_{probability,...}.fits, <tile>_clusters.dat and the redMaPPer score.
From   the trained encoder and either simulate_tile, the DR2 release (rules/resources.smk), or a folder of tiles.
Steps  simulate_tile -> infer_tile (one job a shard of tiles) -> score_redmapper; infer_exposures and
       summarise_inputs run where the real data sets are at hand.
"""

from armillary.des import find_tile_images

MAPS = ["probability", "centre_probability", "redshift", "redshift_error", "richness"]
REAL_COLLECTIONS = [
    "clusters/redmapper",
    "clusters/redsequence",
    "clusters/decam/testcase9",
    "clusters/psf",
]


def clusters_tile_images(tile):
    """The images of a tile in wavelength order: emulated, from the DR2 release, or what a folder holds."""
    source, bands = CLUSTERS["infer_tile"]["source"], CLUSTERS["bands"]
    if source == "simulated":
        return [f"<results>/clusters/tile_images/{tile}/{tile}_r4939p01_{band}_nobkg.fits.fz" for band in bands]
    if source == "release":
        return [dataset_file(f"clusters/des_dr2/{tile}/{tile}_{band}_nobkg.fits.fz") for band in bands]
    return [path for path in find_tile_images(source, tile, bands, allow_missing=True) if path]


def clusters_at_hand(dataset):
    """Whether a data set is already downloaded or in the mirror folder, so that no network is needed."""
    mirror = os.environ.get("ARMILLARY_MIRROR")
    return Path(dataset_file(dataset)).exists() or bool(mirror and Path(mirror, dataset).exists())


def clusters_real_data():
    """The real files that the chain can use, if they are at hand; none of them is downloaded for a demo."""
    files = [name for folder in REAL_COLLECTIONS for name in collection_datasets(DATASETS, folder)]
    return [dataset_file(name) for name in files] if all(clusters_at_hand(name) for name in files) else []


def clusters_observed_catalog(_):
    """The redMaPPer list that an emulated tile takes its clusters from; none: they come from the prior."""
    name = CLUSTERS["simulate_tile"]["redmapper_file"]
    return [dataset_file(name)] if name and clusters_at_hand(name) else []


def clusters_tile_psfs(_):
    """Real PSFEx models for an emulated tile, one a band, if they are named and at hand."""
    names = CLUSTERS["simulate_tile"]["psfex_models"] or []
    return [dataset_file(name) for name in names] if all(clusters_at_hand(name) for name in names) else []


def clusters_reference_catalog(_):
    """The clusters that tiles are scored against: the observed list where there is one, else what was put in."""
    tiles, source = CLUSTERS["infer_tile"]["tiles"], CLUSTERS["infer_tile"]["source"]
    observed = clusters_observed_catalog(_)
    if observed or source != "simulated":
        return observed or [dataset_file(CLUSTERS["simulate_tile"]["redmapper_file"])]
    return [f"<results>/clusters/tile_images/{tile}/{tile}_truth.dat" for tile in tiles]


def clusters_tile_shards():
    """The tiles of each shard, in the order of the config."""
    tiles, size = CLUSTERS["infer_tile"]["tiles"], CLUSTERS["infer_tile"]["n_tiles_per_shard"]
    return {f"{n:04d}": tiles[first : first + size] for n, first in enumerate(range(0, len(tiles), size))}


rule clusters_simulate_tile:
    """Render tile {wildcards.tile}, {params.image_size} px, as DR2 would have it: names, Rice compression, WCS, zero
    point; clusters from {input.redmapper} where given."""
    input:
        red_sequence="resources/red_sequence.ecsv",
        redmapper=clusters_observed_catalog,
        psfex_models=clusters_tile_psfs,
        code=code_of("scripts/clusters/simulate_tile.py"),
    output:
        images=[
            f"<results>/clusters/tile_images/{{tile}}/{{tile}}_r4939p01_{band}_nobkg.fits.fz"
            for band in CLUSTERS["bands"]
        ],
        truth="<results>/clusters/tile_images/{tile}/{tile}_truth.dat",
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
        **clusters_shared("bands", "seed"),
    script:
        "../scripts/clusters/simulate_tile.py"


for shard, tiles in clusters_tile_shards().items():

    rule:
        name:
            f"clusters_infer_tile_{shard}"
        input:
            images=[path for tile in tiles for path in clusters_tile_images(tile)],
            checkpoint="<results>/clusters/checkpoints/best_encoder.ckpt",
            code=code_of("scripts/clusters/infer_tile.py"),
        output:
            maps=[f"<results>/clusters/tiles/{tile}_{name}.fits" for tile in tiles for name in MAPS],
            catalogs=[f"<results>/clusters/tiles/{tile}_clusters.dat" for tile in tiles],
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
            tiles=tiles,
            **{
                name: value
                for name, value in CLUSTERS["infer_tile"].items()
                if name not in ("source", "tiles", "n_tiles_per_shard")
            },
            **clusters_shared("survey", "bands"),
        script:
            "../scripts/clusters/infer_tile.py"


rule clusters_score_redmapper:
    """Score the inferred tiles against a redMaPPer catalogue of the same sky, at the cut that simulated fields chose:
    matches within {params.match_radius_mpc} Mpc and |dz| <= {params.match_dz} (1 + z), chance from
    {params.n_shuffles} random placements."""
    input:
        detections=[f"<results>/clusters/tiles/{tile}_clusters.dat" for tile in CLUSTERS["infer_tile"]["tiles"]],
        probability_maps=[
            f"<results>/clusters/tiles/{tile}_probability.fits" for tile in CLUSTERS["infer_tile"]["tiles"]
        ],
        catalog=clusters_reference_catalog,
        members=[],
        fields_metrics="<results>/clusters/scores/score_fields.json",
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
        **CLUSTERS["score_redmapper"],
        **clusters_shared("seed"),
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
