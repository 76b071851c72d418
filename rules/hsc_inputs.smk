"""What the rules of HSC priors are given: files and settings; no rule lives here."""

import os
import re
from pathlib import Path

HSC = config["hsc"]
HSC_STAMPS = f"<results>/hsc/stamps/{HSC['learn_from']}.h5"  # that the prior is learned from and judged on
HSC_TRAINED = (
    "autoencoder",
    "flow",
    "residual",
    "score",
    "mixture",
)  # all that depends on the seed of training
HSC_PRIOR = {name: f"<results>/hsc/prior/{name}.npz" for name in ("basis", *HSC_TRAINED)}
HSC_LEARNED = ("pca_mixture", "map", "vi", "score", "hmc")  # methods that a training decides
THREE_PRIORS = ("", "_1", "_2")  # endings of the folders of three trainings
HSC_WITHOUT_TRUTH = ("pair", "observed")
HSC_CATALOG_PARTS = (
    "real_galaxy_images_extension.fits",
    "real_galaxy_PSF_images_extension.fits",
    "acs_I_unrot_sci_20_cf.fits",
)


def hsc_shared(*names):
    """Settings of the whole rule set that a step asks for."""
    return {name: HSC[name] for name in names}


def hsc_problem(name):
    """Settings of a problem; a WorkflowError for one that is not defined, or lacks the PCA-Gaussian, which calibration
    needs."""
    if name not in HSC["problems"]:
        known = ", ".join(HSC["problems"])
        raise WorkflowError(f"hsc: run_problems: no problem is called {name!r}; problems has: {known}")
    unknown = set(HSC["missing_planes"]) - set(HSC["mask_planes"])
    if unknown:
        raise WorkflowError(
            f"hsc: missing_planes: unknown mask plane {min(unknown)!r}; mask_planes has: {', '.join(HSC['mask_planes'])}"
        )
    if "pca_gaussian" not in HSC["problems"][name].get("methods", HSC["methods"]):
        raise WorkflowError(f"hsc: problems: {name}: methods must hold pca_gaussian")
    return HSC["problems"][name]


def hsc_scenes_of(wildcards):
    """Settings of the wildcards' problem; those of `<name>_tuning` are its own scenes of the galaxies of `tuning`."""
    name = wildcards.problem.removesuffix("_tuning")
    tuning = hsc_problem("tuning") if name != wildcards.problem else {}
    return hsc_problem(name) | {key: tuning[key] for key in ("galaxies", "n_scenes") if key in tuning}


def hsc_tuned(wildcards):
    """When the pixel fits stop on scenes like these: those of a problem that hides pixels or has more galaxies than one
    are tuned for themselves."""
    name = wildcards.problem
    alike = name in HSC_WITHOUT_TRUTH or not set(hsc_problem(name)) & {"n_sources", "n_hidden_px"}
    kind = "tuning" if alike else f"{name}_tuning"
    return f"<results>/hsc/tuned/{kind}.json"


def hsc_prior(wildcards):
    """The files of the wildcards' training; the basis is the same for all."""
    return HSC_PRIOR | {name: f"<results>/hsc/prior{wildcards.again}/{name}.npz" for name in HSC_TRAINED}


def hsc_training_seed(wildcards):
    """The seed of the wildcards' training."""
    return HSC["seed"] + 1000 * int(wildcards.again[1:] or 0)


def hsc_of(block, *names):
    """Settings of one block, as params."""
    return {name: HSC[block][name] for name in names}


def hsc_at_hand(dataset):
    """Whether a data set is already downloaded or in the mirror folder."""
    mirror = os.environ.get("ARMILLARY_MIRROR")
    return Path(dataset_file(dataset)).exists() or bool(mirror and Path(mirror, dataset).exists())


def hsc_has_real(*datasets):
    """Whether real data are used: always where they may be fetched, else if they are at hand."""
    return HSC["fetch_real"] or all(map(hsc_at_hand, datasets))


def hsc_pair_file(name):
    """A file of the HST/HSC pair."""
    return dataset_file(f"hsc/hst_hsc_pair/{name}")


def hsc_observed_sources(wildcards):
    """The patterns of the user's images, as a param: from a function, or Snakemake takes {object} for a wildcard."""
    return {name: HSC["observed"][name] for name in ("image", "psf", "variance", "mask")}


def hsc_observed_files(wildcards):
    """The files that the user's patterns name, for every object and band."""
    settings = HSC["observed"]
    for key in ("image", "psf"):
        if not settings[key]:
            raise WorkflowError(
                f"hsc: observed: {key} names no file: hsc_observed needs image and psf at least"
            )
    names = [settings[key] for key in ("image", "psf", "variance", "mask") if settings[key]]
    if not settings["objects"] and any("{object}" in re.split(r"[:[]", name)[0] for name in names):
        raise WorkflowError(
            "hsc: observed: objects names none, and files are named after {object}: list them"
        )
    words = [
        {"object": name, "band": band} for name in settings["objects"] or [""] for band in settings["bands"]
    ]
    return sorted({re.split(r"[:[]", name)[0].format(**word) for name in names for word in words})


def hsc_catalogs(wildcards):
    """The catalogue of real galaxies and the files that it names; none for drawn ones."""
    if wildcards.population == "parametric":
        return []
    catalog = HSC["real_galaxies"]
    return [catalog] if Path(catalog).exists() else [dataset_file(name) for name in hsc_real_files()]


def hsc_real_files():
    """The data sets of the real galaxies, the catalogue first; none where a file of the user's own is named."""
    catalog = HSC["real_galaxies"]
    if Path(catalog).exists():
        return []
    folder = catalog.rpartition("/")[0]
    return [catalog, *(f"{folder}/{name}" for name in HSC_CATALOG_PARTS)]


def hsc_stamps(wildcards):
    """The set of stamps that a problem's galaxies are from."""
    is_real = hsc_scenes_of(wildcards)["galaxies"] == "real"
    return "<results>/hsc/stamps/real.h5" if is_real else HSC_STAMPS


def hsc_real_stamps(wildcards):
    """The set of real stamps, where the run has any."""
    has_real = any(hsc_problem(name)["galaxies"] == "real" for name in hsc_scored())
    return ["<results>/hsc/stamps/real.h5"] if has_real else []


def hsc_scene(wildcards):
    """What a problem's scenes hold, as a param."""
    settings = hsc_scenes_of(wildcards)
    return {
        name: value
        for name, value in settings.items()
        if name not in ("galaxies", "n_scenes", "methods", "n_priors")
    }


def hsc_setting(name):
    """One setting of the wildcards' problem, as a param."""
    return lambda wildcards: hsc_scenes_of(wildcards)[name]


def hsc_methods(wildcards):
    """The methods of a problem: its own, or those of all."""
    if wildcards.problem in HSC_WITHOUT_TRUTH:
        return HSC[wildcards.problem]["methods"]
    methods = hsc_problem(wildcards.problem).get("methods", HSC["methods"])
    return [method for method in methods if not wildcards.again or method in HSC_LEARNED]


def hsc_posteriors(wildcards):
    """What all trainings of a problem's priors found, the first one with the methods that no training decides."""
    n_priors = hsc_problem(wildcards.problem).get("n_priors", 1)
    return [f"<results>/hsc/posteriors{again}/{wildcards.problem}.h5" for again in THREE_PRIORS[:n_priors]]


def hsc_scored():
    """The problems that are scored: all but the one that baselines are tuned on."""
    names = [name for name in HSC["run_problems"] if name != "tuning"]
    return [
        name for name in names if hsc_problem(name)["galaxies"] != "real" or hsc_has_real(*hsc_real_files())
    ]


def hsc_has_pair():
    """Whether the HST/HSC pair is part of the run."""
    return HSC["run_pair"] and hsc_has_real(*collection_datasets(DATASETS, "hsc/hst_hsc_pair"))


def hsc_parts():
    """The files whose numbers make up metrics.json."""
    steps = ["estimate_operator", "score_prior", *(f"score_observations_{name}" for name in hsc_scored())]
    steps += ["estimate_pair"] if hsc_has_pair() else []
    return [f"<results>/hsc/scores/{step}.json" for step in steps]


def hsc_products():
    """What the target `hsc` asks for."""
    figures = ["prior", "calibration", *(f"galaxies_{name}" for name in hsc_scored())]
    figures += ["pair"] if hsc_has_pair() else []
    return [
        "<results>/hsc/metrics.json",
        *HSC_PRIOR.values(),
        *(f"<results>/hsc/figures/{name}.png" for name in figures),
    ]


def hsc_priors_products():
    """Products of the target `hsc_priors`: scores of three trainings on the masked scenes of the headline."""
    return [f"<results>/hsc/scores/score_priors_{name}.json" for name in hsc_scored() if name == "inpainting"]


def hsc_observed_products():
    """What the target `hsc_observed` asks for."""
    return [f"<results>/hsc/observed/galaxies.{ending}" for ending in ("csv", "h5", "png")]
