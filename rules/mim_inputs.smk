"""What the rules of masked image modelling are given: files, networks, settings; no rule lives here."""

import os
from pathlib import Path

MIM = config["mim"]
MIM_TASKS = MIM["score_probes"]["tasks"]
MIM_SETS = {name: f"<results>/mim/cutouts/{name}.h5" for name in ("train", "validation", "probe")}


def mim_training(name):
    """All settings of a network's training: its own over those of train_network."""
    return {**MIM["train_network"], **MIM["networks"][name]}


def mim_check():
    """What can be known to be wrong before any work starts ends the run with one line."""
    for band in MIM["missing_bands"]:
        if band not in MIM["bands"]:
            raise WorkflowError(f"mim: missing_bands has {band!r}; bands are {' '.join(MIM['bands'])}")
    if len(MIM["missing_bands"]) >= len(MIM["bands"]):
        raise WorkflowError("mim: missing_bands leaves no band")
    for name in MIM["networks"]:
        settings = mim_training(name)
        if MIM["image_px"] % (2 * settings["patch_px"]) or MIM["image_px"] < 4 * settings["patch_px"]:
            raise WorkflowError(
                f"mim: networks: {name}: patch_px is {settings['patch_px']}; image_px ({MIM['image_px']}) must be an even "
                "multiple of it, four at least"
            )
        if "attention" in (MIM["pooling"], MIM["search_pooling"]) and not settings["attention_pool"]:
            raise WorkflowError(
                f"mim: pooling or search_pooling is attention; networks: {name} has attention_pool false"
            )
    for task in MIM["infer_label_probes"]["tasks"]:
        if task not in MIM["score_label_efficiency"]["tasks"]:
            raise WorkflowError(
                f"mim: infer_label_probes: tasks has {task!r}, which score_label_efficiency has not"
            )
    sky = MIM["simulate_sky"]
    if not MIM["cutouts"] and not MIM["tile_coadds"]["patches"] and sky["cutout_px"] < MIM["image_px"]:
        raise WorkflowError(
            f"mim: simulate_sky: cutout_px is {sky['cutout_px']}; image_px is {MIM['image_px']}, which must fit into it"
        )


def mim_raw_cutouts(wildcards):
    """Files of cutouts before de-duplication: your own, or those of the simulated sky."""
    if MIM["cutouts"]:
        return MIM["cutouts"]
    if MIM["tile_coadds"]["patches"]:
        return ["<results>/mim/coadds.h5"]
    return [f"<results>/mim/sky/{number:05d}.h5" for number in range(MIM["simulate_sky"]["n_files"])]


def mim_embeddings(state, shown):
    """Embeddings of the probe objects by every network, trained or not, of all bands or without the missing ones."""
    return [f"<results>/mim/embeddings/{name}_{state}_{shown}.h5" for name in MIM["networks"]]


def mim_expected(wildcards):
    """What a network must have been built with, by the config."""
    settings = mim_training(wildcards.network)
    return {name: settings[name] for name in ("objective", "size", "patch_px")} | {
        "image_px": MIM["image_px"]
    }


def mim_label_answers():
    """Answers of networks as probes, all networks of a task after one another."""
    tasks = MIM["infer_label_probes"]["tasks"]
    return [f"<results>/mim/labels/{task}_{name}.npz" for task in tasks for name in MIM["networks"]]


def mim_first(step):
    """The checkpoint that a target of one's own files names, else the first network of this run."""
    return MIM[step]["checkpoint"] or f"<results>/mim/networks/{next(iter(MIM['networks']))}/trained.ckpt"


def mim_searched():
    """The embeddings that a query is searched in."""
    own = MIM["similarity"]["embeddings"]
    return own or f"<results>/mim/embeddings/{next(iter(MIM['networks']))}_trained_all.h5"


def mim_searched_cutouts():
    """The cutouts of what a query is searched in, for its figure; None where the config does not name them."""
    return MIM["embed"]["cutouts"] if MIM["similarity"]["embeddings"] else MIM_SETS["probe"]


def mim_similar_products():
    """What the target `mim_similarity` asks for."""
    return ["<results>/mim/similar.csv"] + (
        ["<results>/mim/figures/similar.png"] if mim_searched_cutouts() else []
    )


def mim_own_cutouts(wildcards):
    """The file that mim_embed embeds."""
    if not MIM["embed"]["cutouts"]:
        raise WorkflowError("mim: embed: cutouts names no file: nothing to embed")
    return MIM["embed"]["cutouts"]


def mim_blends():
    """Real HSC blends, read where a mirror folder has them; a hundred small files are not worth a hundred jobs."""
    mirror = os.environ.get("ARMILLARY_MIRROR")
    return sorted(str(path) for path in Path(mirror, "mim/hsc_blends/set1").glob("*.npz")) if mirror else []


def mim_metric_parts():
    """The files whose numbers make metrics.json."""
    return [
        "<results>/mim/cutouts/report.json",
        *[f"<results>/mim/scores/{task}.json" for task in MIM_TASKS],
        "<results>/mim/scores/similarity.json",
        *(["<results>/mim/scores/blends.json"] if mim_blends() else []),
    ]


def mim_products():
    """What the target `mim` asks for."""
    mim_check()
    figures = [
        f"<results>/mim/figures/{noun}.png"
        for noun in ("training", "reconstructions", "probes", "similarity")
    ]
    networks = [f"<results>/mim/networks/{name}/trained.ckpt" for name in MIM["networks"]]
    return ["<results>/mim/metrics.json", *networks, *figures]


def mim_label_products():
    """What the target `mim_label_efficiency` asks for."""
    mim_check()
    return ["<results>/mim/label_efficiency.json", "<results>/mim/figures/label_efficiency.png"]
