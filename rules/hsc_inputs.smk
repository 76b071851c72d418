"""What the rules of HSC priors are given: files and settings; no rule lives here."""

from pathlib import Path

HSC = config["hsc"]
HSC_PRIOR = {name: f"<results>/hsc/prior/{name}.npz" for name in ("basis", "autoencoder", "flow", "residual")}
HSC_CATALOG_PARTS = (
    "real_galaxy_images_extension.fits",
    "real_galaxy_PSF_images_extension.fits",
    "acs_I_unrot_sci_20_cf.fits",
)


def hsc_shared(*names):
    """Settings of the whole rule set that a step asks for."""
    return {name: HSC[name] for name in names}


def hsc_problem(name):
    """Settings of a problem; a WorkflowError for one that is not defined."""
    if name not in HSC["problems"]:
        known = ", ".join(HSC["problems"])
        raise WorkflowError(f"hsc: run_problems: no problem is called {name!r}; problems has: {known}")
    unknown = set(HSC["missing_planes"]) - set(HSC["mask_planes"])
    if unknown:
        raise WorkflowError(
            f"hsc: missing_planes: unknown mask plane {min(unknown)!r}; mask_planes has: {', '.join(HSC['mask_planes'])}"
        )
    return HSC["problems"][name]


def hsc_catalogs(wildcards):
    """The catalogue of real galaxies and the files that it names; none for drawn ones."""
    if wildcards.population == "parametric":
        return []
    catalog = HSC["real_galaxies"]
    if Path(catalog).exists():
        return [catalog]
    folder = catalog.rpartition("/")[0]
    return [dataset_file(catalog), *(dataset_file(f"{folder}/{name}") for name in HSC_CATALOG_PARTS)]


def hsc_stamps(wildcards):
    """The set of stamps that a problem's galaxies are from."""
    population = "real" if hsc_problem(wildcards.problem)["galaxies"] == "real" else "parametric"
    return f"<results>/hsc/stamps/{population}.h5"


def hsc_scene(wildcards):
    """What a problem's scenes hold, as a param."""
    settings = hsc_problem(wildcards.problem)
    return {
        name: value for name, value in settings.items() if name not in ("galaxies", "n_scenes", "methods")
    }


def hsc_setting(name):
    """One setting of the wildcards' problem, as a param."""
    return lambda wildcards: hsc_problem(wildcards.problem)[name]


def hsc_methods(wildcards):
    """The methods of a problem: its own, or those of all; the PCA-Gaussian, which calibration needs, among them."""
    methods = hsc_problem(wildcards.problem).get("methods", HSC["methods"])
    if "pca_gaussian" not in methods:
        raise WorkflowError(f"hsc: problems: {wildcards.problem}: methods must hold pca_gaussian")
    return methods


def hsc_scored():
    """The problems that are scored: all but the one that baselines are tuned on."""
    return [name for name in HSC["run_problems"] if name != "tuning" and hsc_problem(name)]


def hsc_parts():
    """The files whose numbers make up metrics.json."""
    steps = ["estimate_operator", "score_prior", *(f"score_observations_{name}" for name in hsc_scored())]
    return [f"<results>/hsc/scores/{step}.json" for step in steps]


def hsc_products():
    """What the target `hsc` asks for."""
    figures = ["prior", "calibration", *(f"galaxies_{name}" for name in hsc_scored())]
    return ["<results>/hsc/metrics.json", *(f"<results>/hsc/figures/{name}.png" for name in figures)]
