"""What the rules of masked image modelling are given: files, networks, settings; no rule lives here."""

import os
from pathlib import Path

MIM = config["mim"]
MIM_SETS = {name: f"<results>/mim/cutouts/{name}.h5" for name in ("train", "validation", "probe")}
MIM_STATES = ("trained", "untrained")
MIM_IS_SIMULATED = not MIM["cutouts"] and not MIM["tile_coadds"]["patches"]
MIM_STRUCTURES = ["<results>/mim/cutouts/structures.h5"] if MIM_IS_SIMULATED else []
MIM_ABOUT_STRUCTURES = ("faint_arcs", "tidal")
MIM_VIEWS_OF_TASK = {"class": ("missing", "seeing"), "blend": ("seeing",)}
MIM_TASKS = [
    task for task in MIM["score_probes"]["tasks"] if MIM_IS_SIMULATED or task not in MIM_ABOUT_STRUCTURES
]
MIM_SPLIT = {
    "test_fraction": MIM["score_probes"]["test_fraction"],
    "cell_deg": MIM["sample_cutouts"]["cell_deg"],
    "seed": MIM["seed"],
}


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
    if any("attention" in pooling for pooling in MIM["poolings"]):
        for name in MIM["networks"]:
            if not mim_training(name)["attention_pool"]:
                raise WorkflowError(f"mim: poolings has attention; networks: {name} has attention_pool false")
    of = MIM["simulate_structures"]
    if of["arc_share"] + of["tail_share"] >= 1:
        raise WorkflowError("mim: simulate_structures: arc_share and tail_share leave no plain galaxy")
    sky = MIM["simulate_sky"]
    if MIM_IS_SIMULATED and sky["cutout_px"] < MIM["image_px"]:
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


def mim_sky_of(task):
    """Which objects a task is about: those with faint structures, or all of the probe set."""
    return "structures" if task in MIM_ABOUT_STRUCTURES else "all"


def mim_of_task(state, view=None):
    """Input function: embeddings of the objects of a task by all networks, or of a view of them if it asks for it."""

    def files(wildcards):
        if view is not None and view not in MIM_VIEWS_OF_TASK.get(wildcards.task, ()):
            return []
        return mim_embeddings(state, view or mim_sky_of(wildcards.task))

    return files


def mim_cutouts_of_task(wildcards):
    """The cutouts that a task is about."""
    return MIM_STRUCTURES[0] if wildcards.task in MIM_ABOUT_STRUCTURES else MIM_SETS["probe"]


def mim_columns_of_task(wildcards):
    """The embeddings of one network of a task's objects, with their columns."""
    return f"<results>/mim/embeddings/{wildcards.network}_trained_{mim_sky_of(wildcards.task)}.h5"


def mim_cnn_of_task(wildcards):
    """Answers of convolutional networks to a task of score_probes, where the config asks for them."""
    if wildcards.task not in MIM["score_probes"]["cnn_tasks"]:
        return []
    return [f"<results>/mim/labels/{wildcards.task}_cnn_{name}.npz" for name in MIM["networks"]]


def mim_answered():
    """The pairs of task and method that networks as probes answer."""
    methods = [name for name, counts in MIM["infer_label_probes"]["n_labels"].items() if counts]
    return [[task, method] for task in MIM["infer_label_probes"]["tasks"] for method in methods]


def mim_label_answers():
    """Answers of networks as probes, all networks of a task and method after one another."""
    return [
        f"<results>/mim/labels/{task}_{method}_{name}.npz"
        for task, method in mim_answered()
        for name in MIM["networks"]
    ]


def mim_first(step):
    """The checkpoint that a target of one's own files names, else the first network of this run."""
    return MIM[step]["checkpoint"] or f"<results>/mim/networks/{next(iter(MIM['networks']))}/trained.ckpt"


def mim_searched():
    """The embeddings that a query is searched in."""
    own = MIM["similarity"]["embeddings"]
    if not own and MIM["similarity"]["by"] == "shapes":
        return "<results>/mim/embeddings/shapes.h5"
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


def mim_shown_tasks():
    """Names of scores that the figure of probes has a panel for."""
    of_views = {"class": ["missing_band", "class_seeing"], "blend": ["blend_seeing"]}
    return [name for task in MIM_TASKS for name in (task, *of_views.get(task, []))]


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
