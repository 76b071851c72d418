"""What the rules of galaxy clusters are given: file names, splits, settings; no rule lives here.

In order: constants, batches and splits, settings, DES tiles and real data, what the targets ask for.
"""

import os
import re
from pathlib import Path

from armillary.windows import check_tiling

CLUSTERS = config["clusters"]
try:
    check_tiling(CLUSTERS["image_size"], CLUSTERS["tile_size"], CLUSTERS["bin_factor"])
except ValueError as error:
    raise WorkflowError(str(error)) from None
# Profiles see no config: they read how many GPUs training asks for from the environment.
os.environ.update(ARMILLARY_N_GPUS=str(max(CLUSTERS["n_gpus"], 1)))
FIELDS_OF_BATCH = [
    f"galsim_{CLUSTERS['survey']}_{{batch}}_{k:03d}" for k in range(CLUSTERS["n_catalogs_per_file"])
]
CATALOGS = [f"<results>/clusters/catalogs/{name}.dat" for name in FIELDS_OF_BATCH]
IMAGES = [
    f"<results>/clusters/images/{name}_{band}.fits" for name in FIELDS_OF_BATCH for band in CLUSTERS["bands"]
]
FILE_DATA = "<results>/clusters/file_data/file_data_{batch}.pt"
PHOTOMETRY = "<results>/clusters/photometry/photometry_{batch}.fits"
TRUTH = "<results>/clusters/catalogs/truth_{batch}.dat"
MAPS = ["probability", "centre_probability", "redshift", "redshift_error", "richness"]
THREE_TRAININGS = ["0", "1", "2"]  # trainings of the target clusters_seeds, whatever the config's number
REAL_COLLECTIONS = [
    "clusters/redmapper",
    "clusters/redsequence",
    "clusters/decam/testcase9",
    "clusters/psf",
]


def clusters_split_sizes():
    """Number of batches of each split. The validation batches are two splits: selection, which chooses the encoder's
    epoch and the finder's knobs, and calibration."""
    n_batches, rest = divmod(CLUSTERS["nfiles"], CLUSTERS["n_catalogs_per_file"])
    n_validation, n_test = (
        max(round(CLUSTERS[f"{name}_fraction"] * n_batches), 1) for name in ("validation", "test")
    )
    n_train = n_batches - n_validation - n_test
    if rest or n_train < 1:
        raise WorkflowError(
            f"clusters: nfiles is {CLUSTERS['nfiles']}; it must be a multiple of n_catalogs_per_file "
            f"({CLUSTERS['n_catalogs_per_file']}) with at least one batch for each of train, validation and test"
        )
    if n_validation < 2:
        raise WorkflowError(
            f"clusters: validation_fraction is {CLUSTERS['validation_fraction']} of {n_batches} batches, which is one; "
            "it must give two at least, one for selection and one for calibration: raise it, or nfiles"
        )
    n_selection = min(max(round(CLUSTERS["selection_fraction"] * n_validation), 1), n_validation - 1)
    return {
        "train": n_train,
        "selection": n_selection,
        "calibration": n_validation - n_selection,
        "test": n_test,
    }


def clusters_batches(split):
    """Batch numbers of a split as five digits: training first, then selection, calibration and test."""
    sizes = clusters_split_sizes()
    first = sum(size for name, size in sizes.items() if list(sizes).index(name) < list(sizes).index(split))
    return [f"{batch:05d}" for batch in range(first, first + sizes[split])]


def clusters_split_of(wildcards):
    """The split that a batch belongs to, as the prior of real catalogues knows them: train, validation or test."""
    split = next(name for name in clusters_split_sizes() if wildcards.batch in clusters_batches(name))
    return "validation" if split in ("selection", "calibration") else split


def clusters_files(pattern):
    """An input function: the files of all batches of the split that the wildcards name."""
    return lambda wildcards: clusters_files_of(pattern, wildcards.split)


def clusters_files_of(pattern, *splits):
    """The files of all batches of some splits, in the order of the batches."""
    return collect(pattern, batch=[batch for split in splits for batch in clusters_batches(split)])


def clusters_n_fields():
    """Number of fields of the splits that tune the finder, in the order of the batches."""
    sizes, n = clusters_split_sizes(), CLUSTERS["n_catalogs_per_file"]
    return {split: sizes[split] * n for split in ("train", "selection", "calibration")}


def clusters_trainings():
    """Numbers of the trainings of the encoder that the config asks for, as text: wildcard `training`."""
    return [str(number) for number in range(CLUSTERS["train_encoder"]["seeds"])]


def clusters_training_seed(wildcards):
    """The seed of one training: of its initial network and of the order of its data. The first has the config's."""
    return CLUSTERS["seed"] + 1000 * int(wildcards.training)


def clusters_first_test_batch(paths):
    """Files of the first test batch, which the figures of the sky show."""
    return [path.replace("{batch}", clusters_batches("test")[0]) for path in paths]


def clusters_shared(*names):
    """Settings of the whole rule set that a step asks for."""
    return {name: CLUSTERS[name] for name in names}


def clusters_real_catalogs(wildcards):
    """The observed catalogues that `prior: real` draws from; none for the physical prior."""
    block = CLUSTERS["sample_catalog"]
    names = [block["members_file"], block["clusters_file"], block["sources_file"]]
    return [name for name in names if name] if block["prior"] == "real" else []


def clusters_tile_images(tile):
    """The images of a tile in wavelength order: simulated, from the DR2 release, or what a folder holds."""
    source, bands = CLUSTERS["infer_tile"]["source"], CLUSTERS["bands"]
    if source == "simulated":
        return [
            f"<results>/clusters/tile_images/{tile}/{tile}_r4939p01_{band}_nobkg.fits.fz" for band in bands
        ]
    if source == "release":
        return [dataset_file(f"clusters/des_dr2/{tile}/{tile}_{band}_nobkg.fits.fz") for band in bands]
    # imported here: it compiles loops, and every start of Snakemake would wait for that
    from armillary.des import find_tile_images

    return [path for path in find_tile_images(source, tile, bands, allow_missing=True) if path]


def clusters_at_hand(dataset):
    """Whether a data set is already downloaded or in the mirror folder, so that no network is needed."""
    mirror = os.environ.get("ARMILLARY_MIRROR")
    return Path(dataset_file(dataset)).exists() or bool(mirror and Path(mirror, dataset).exists())


def clusters_real_data():
    """The real files that the chain can use, if they are at hand; none of them is downloaded for a demo."""
    files = [name for folder in REAL_COLLECTIONS for name in collection_datasets(DATASETS, folder)]
    return [dataset_file(name) for name in files] if all(clusters_at_hand(name) for name in files) else []


def clusters_given_file(step, key):
    """Path of a file that a step's setting names: the path itself, or a data set of resources/datasets.yaml."""
    name = CLUSTERS[step][key]
    try:
        return name if Path(name).exists() else dataset_file(name)
    except ValueError as error:
        raise WorkflowError(f"clusters: {step}: {key}: {name!r} is no file here, and {error}") from None


# Looked up at the start, so that a wrong name ends the run with one line before any job.
OBSERVED_LIST = clusters_given_file("score_redmapper", "clusters_file")
MEMBER_LISTS = (
    [clusters_given_file("score_redmapper", "members_file")]
    if CLUSTERS["score_redmapper"]["members_file"]
    else []
)
TILE_LISTS = (
    [clusters_given_file("simulate_tile", "clusters_file")]
    if CLUSTERS["simulate_tile"]["clusters_file"]
    else []
)


def clusters_tile_psfs(_):
    """Real PSFEx models for a simulated tile, one a band, if they are named and at hand."""
    names = CLUSTERS["simulate_tile"]["psfex_models"] or []
    return [dataset_file(name) for name in names] if all(clusters_at_hand(name) for name in names) else []


def clusters_reference_catalog(_):
    """The clusters that tiles are scored against: those put into simulated tiles, else the observed list."""
    tiles = CLUSTERS["infer_tile"]["tiles"]
    if CLUSTERS["infer_tile"]["source"] == "simulated":
        return [f"<results>/clusters/tile_images/{tile}/{tile}_truth.dat" for tile in tiles]
    return [OBSERVED_LIST]


def clusters_scored_edges():
    """The edges that bound the redshift and the richness of clusters scored on tiles."""
    return {name: CLUSTERS["scoring"][name] for name in ("redshift_edges", "richness_edges")}


def clusters_simulated_truths(tiles):
    """The truth tables of tiles that the run simulates; none of observed tiles."""
    if CLUSTERS["infer_tile"]["source"] != "simulated":
        return []
    return [f"<results>/clusters/tile_images/{tile}/{tile}_truth.dat" for tile in tiles]


def clusters_shown_tiles():
    """The tiles that the figure of all tiles shows."""
    return CLUSTERS["infer_tile"]["tiles"][:12]


def clusters_reference_members(_):
    """The member tables that tiles are scored against: one for each simulated tile, one list for observed tiles.

    None where no list is named: then the score takes discs of R_lambda and says so.
    """
    if CLUSTERS["infer_tile"]["source"] == "simulated":
        tiles = CLUSTERS["infer_tile"]["tiles"]
        return [f"<results>/clusters/tile_images/{tile}/{tile}_members.dat" for tile in tiles]
    return MEMBER_LISTS


def clusters_tile_shards():
    """The tiles of each shard, in the order of the config."""
    tiles, size = CLUSTERS["infer_tile"]["tiles"], CLUSTERS["infer_tile"]["n_tiles_per_shard"]
    return {f"{n:04d}": tiles[first : first + size] for n, first in enumerate(range(0, len(tiles), size))}


def clusters_metric_parts(wildcards):
    """The scores that metrics.json is made of: simulated fields, DES tiles, and what was given, where it is at hand."""
    steps = ["score_fields", "score_redmapper", *(["summarise_inputs"] if clusters_real_data() else [])]
    return [f"<results>/clusters/scores/{step}.json" for step in steps]


def clusters_inferred_tiles():
    """What the target `clusters_tiles` asks for."""
    return [f"<results>/clusters/tiles/shard_{shard}.json" for shard in clusters_tile_shards()]


def clusters_products():
    """Files of the target `clusters`. The encoders, too: without them, scores of encoders before would do."""
    tiles = [f"tile_{clusters_shown_tiles()[0]}", *(["tiles"] if len(clusters_shown_tiles()) > 1 else [])]
    nouns = [
        "field",
        *tiles,
        *"pr_curves completeness selection estimates training catalogs render_residuals".split(),
    ]
    figures = [f"<results>/clusters/figures/{noun}.png" for noun in nouns]
    exposures = ["<results>/clusters/exposures/testcase9.json"] if clusters_real_data() else []
    folder = "<results>/clusters/checkpoints"
    encoders = [f"{folder}/training_{number}/encoder.ckpt" for number in clusters_trainings()]
    return [
        "<results>/clusters/metrics.json",
        f"{folder}/best_encoder.ckpt",
        *encoders,
        *figures,
        *exposures,
    ]


def clusters_seeds_products():
    """Files of the target `clusters_seeds`: the scores of three trainings."""
    return [f"<results>/clusters/seeds/{name}" for name in ("metrics.json", "selection_function.dat")]


def clusters_methods(trainings):
    """Names of the methods that are scored: the baseline, the limit, and the encoder and the combination by training."""
    return [
        "finder",
        "limit",
        *(f"{name}_{number}" for number in trainings for name in ("encoder", "combined")),
    ]


def clusters_scored_files(trainings):
    """Inputs of the score of the simulated fields: predictions and detections by split, in the order of the methods."""
    return {
        f"{kind}_{split}": [
            f"<results>/clusters/{kind}/{method}_{split}.{end}" for method in clusters_methods(trainings)
        ]
        for kind, end in (("predictions", "npz"), ("detections", "dat"))
        for split in ("calibration", "test")
    }
