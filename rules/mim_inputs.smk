"""What the rules of masked image modelling are given: files, networks, settings; no rule lives here."""

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
        if MIM["pooling"] == "attention" and not settings["attention_pool"]:
            raise WorkflowError(f"mim: pooling is attention; networks: {name} has attention_pool false")
    sky = MIM["simulate_sky"]
    if not MIM["cutouts"] and sky["cutout_px"] < MIM["image_px"]:
        raise WorkflowError(
            f"mim: simulate_sky: cutout_px is {sky['cutout_px']}; image_px is {MIM['image_px']}, which must fit into it"
        )


def mim_raw_cutouts(wildcards):
    """Files of cutouts before de-duplication: your own, or those of the simulated sky."""
    if MIM["cutouts"]:
        return MIM["cutouts"]
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


def mim_metric_parts():
    """The files whose numbers make metrics.json."""
    return [
        "<results>/mim/cutouts/report.json",
        *[f"<results>/mim/scores/{task}.json" for task in MIM_TASKS],
        "<results>/mim/scores/similarity.json",
    ]


def mim_products():
    """What the target `mim` asks for."""
    mim_check()
    figures = [
        f"<results>/mim/figures/{noun}.png"
        for noun in ("training", "reconstructions", "probes", "similarity")
    ]
    return ["<results>/mim/metrics.json", *figures]
