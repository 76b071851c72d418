"""Settings of the rule set `cmb` and the functions its rules ask for inputs with; no rule lives here.

In order: experiments and what they train on, batches and splits, what the targets ask for.
"""

import json
import os
from pathlib import Path

from armillary.channels import CHANNELS, check_experiment, check_side, parse_devices
from armillary.null_sets import NULLS as CMB_NULLS
from armillary.null_sets import TESTED as CMB_TESTED

CMB = config["cmb"]
CMB_SPLITS = ("train", "validation", "test")
CMB_NULL_GROUPS = ("nulls", "unpaired")  # of predictions: null sets one after the other


def cmb_experiment(name):
    """All settings of an experiment: its own over those of train_network."""
    if name not in CMB["experiments"]:
        raise WorkflowError(
            f"cmb: there is no experiment {name!r}; known: {', '.join(CMB['experiments'])} (config key `cmb: experiments`)"
        )
    return {**CMB["train_network"], **CMB["experiments"][name]}


def cmb_check():
    """Everything that can be known to be wrong before any work starts ends the run with one line."""
    for name in (CMB["experiment"], CMB["observed"]["experiment"], *CMB["more_experiments"]):
        cmb_experiment(name)
    for name in CMB["experiments"]:
        settings = cmb_experiment(name)
        try:
            check_experiment(name, settings)
            parse_devices(settings["devices"])
        except ValueError as error:
            raise WorkflowError(str(error)) from None
        if settings["sky"] not in CMB["skies"]:
            raise WorkflowError(
                f"cmb: experiments: {name}: sky is {settings['sky']!r}; known: {', '.join(CMB['skies'])}"
            )
        first = settings.get("chained_to")
        if first is not None and (first not in CMB["experiments"] or cmb_experiment(first).get("chained_to")):
            raise WorkflowError(
                f"cmb: experiments: {name}: chained_to is {first!r}, which is no first experiment"
            )
        try:
            check_side(settings["architecture"], CMB["skies"][settings["sky"]]["n_pixels"])
        except ValueError as error:
            raise WorkflowError(str(error)) from None
    for sky, settings in CMB["skies"].items():
        cmb_batch_counts(sky)
        nyquist = 180 * settings["n_pixels"] / settings["patch_deg"]
        if CMB["simulate_spectra"]["spectra_file"] is None and CMB["simulate_spectra"]["l_max"] < nyquist:
            raise WorkflowError(
                f"cmb: simulate_spectra: l_max is {CMB['simulate_spectra']['l_max']}, below the Nyquist multipole "
                f"{nyquist:.0f} of the maps of skies: {sky}; raise it, or take larger pixels"
            )


def cmb_batch_counts(sky):
    """Number of files of each split and null set of a sky."""
    settings, size = CMB["skies"][sky], CMB["simulate_maps"]["n_maps_per_file"]
    n_batches, rest = divmod(settings["n_maps"], size)
    held_out = {name: max(round(settings[f"{name}_fraction"] * n_batches), 1) for name in CMB_SPLITS[1:]}
    n_train = n_batches - sum(held_out.values())
    if rest or n_train < 1:
        raise WorkflowError(
            f"cmb: skies: {sky}: n_maps is {settings['n_maps']}; it must be a multiple of simulate_maps: n_maps_per_file "
            f"({size}) with at least one file for each of train, validation and test"
        )
    return {"train": n_train, **held_out, **dict.fromkeys(CMB_NULLS, 1)}


def cmb_batches(sky, group):
    """Numbers of the files of a split or null set."""
    return [f"{number:05d}" for number in range(cmb_batch_counts(sky)[group])]


def cmb_files(noun, sky, group):
    """Files of maps (noun "maps") or of estimates of a split or null set."""
    return collect(f"<results>/cmb/{noun}/{sky}/{group}_{{batch}}.h5", batch=cmb_batches(sky, group))


def cmb_sky(wildcards):
    """The sky that an experiment is trained and scored on."""
    return cmb_experiment(wildcards.experiment)["sky"]


def cmb_of_group(noun):
    """An input function: the files of the group in the wildcards, on the sky of the experiment."""

    def files(wildcards):
        if wildcards.group == "unpaired" and noun == "estimates":
            return [f"<results>/cmb/estimates/{cmb_sky(wildcards)}/unpaired.h5"]
        if wildcards.group in CMB_NULL_GROUPS:
            return cmb_null_files(noun, cmb_sky(wildcards), cmb_nulls_of(wildcards))
        return cmb_files(noun, cmb_sky(wildcards), wildcards.group)

    return files


def cmb_of(noun, group):
    """An input function: the files of one group, on the sky of the experiment or in the wildcards."""
    return lambda wildcards: cmb_files(noun, getattr(wildcards, "sky", None) or cmb_sky(wildcards), group)


def cmb_estimates(group):
    """An input function: estimates of a group, where the experiment reads any; group None is that of the wildcards."""

    def files(wildcards):
        settings = cmb_experiment(wildcards.experiment)
        inputs, outputs = check_experiment(wildcards.experiment, settings)
        needed = settings["start_from_estimates"] or any(
            CHANNELS[name].source == "estimate" for name in inputs
        )
        chained = settings.get("chained_to")
        if not needed or chained:
            return []
        if group is None:
            return cmb_of_group("estimates")(wildcards)
        return cmb_files("estimates", settings["sky"], group)

    return files


def cmb_chained(group):
    """An input function: predictions of the experiment that this one is chained to, if it is."""

    def files(wildcards):
        first = cmb_experiment(wildcards.experiment).get("chained_to")
        name = f"predictions_{group or wildcards.group}.h5"
        return f"<results>/cmb/experiments/{first}/training_1/{name}" if first else []

    return files


def cmb_null_files(noun, sky, nulls=CMB_NULLS):
    """Files of maps or of estimates of null sets."""
    return [path for group in nulls for path in cmb_files(noun, sky, group)]


def cmb_of_estimates(experiment):
    """Whether all that the network sees are estimates; then it can be asked for its N0 and the power of its k."""
    settings = cmb_experiment(experiment)
    inputs, outputs = check_experiment(experiment, settings)
    of_estimates = all(CHANNELS[name].source == "estimate" for name in inputs)
    return of_estimates and not settings.get("chained_to") and "k" in outputs


def cmb_nulls_of(wildcards):
    """The null sets that an experiment is held against: all, or those with other lensing."""
    return CMB_NULLS if cmb_of_estimates(wildcards.experiment) else CMB_TESTED


def cmb_null_words():
    """What the null sets are, for the notes of metrics."""
    settings = CMB["simulate_maps"]
    return {
        "scaled": f"C_kk x {settings['null_amplitude']:g}",
        "other": "another cosmology, R and N1 for its E",
        "noisier": f"noise x {settings['null_noise']:g}, filters and R as before",
    }


def cmb_of_trainings(experiment, name):
    """A file of every training of an experiment."""
    n_trainings = cmb_experiment(experiment)["n_trainings"]
    folder = f"<results>/cmb/experiments/{experiment}/training_{{training}}"
    return collect(f"{folder}/{name}", training=range(1, n_trainings + 1))


def cmb_null_predictions(wildcards):
    """What the first training makes of the null sets; where all its inputs are estimates, also of the unpaired ones."""
    groups = CMB_NULL_GROUPS[: 2 if cmb_of_estimates(wildcards.experiment) else 1]
    return [cmb_of_trainings(wildcards.experiment, f"predictions_{group}.h5")[0] for group in groups]


def cmb_training_settings(wildcards):
    """Settings of train_network for one experiment, channels and devices in their long form."""
    settings = {
        k: v
        for k, v in cmb_experiment(wildcards.experiment).items()
        if k not in ("sky", "chained_to", "n_trainings")
    }
    inputs, outputs = check_experiment(wildcards.experiment, settings)
    noisy = list(settings["noise_channels"])
    return settings | {"inputs": inputs, "outputs": outputs, "noise_channels": noisy}


def cmb_spectra(wildcards):
    """The spectra whose E a group is simulated from."""
    of_other = wildcards.group in ("other", "other_reference")
    return f"<results>/cmb/spectra/{'other' if of_other else 'fiducial'}.npz"


def cmb_lenses(wildcards):
    """The spectra whose C_kk a group is simulated from."""
    return f"<results>/cmb/spectra/{'other' if wildcards.group == 'other' else 'fiducial'}.npz"


def cmb_n_maps(wildcards):
    """Maps of one file."""
    if wildcards.group in CMB_NULLS:
        return CMB["skies"][wildcards.sky]["n_null_maps"]
    return CMB["simulate_maps"]["n_maps_per_file"]


def cmb_sky_settings(wildcards):
    """What a sky is like; how many maps it has does not change a single one of them."""
    counts = ("n_maps", "validation_fraction", "test_fraction", "n_null_maps")
    settings = CMB["skies"][getattr(wildcards, "sky", None) or cmb_sky(wildcards)]
    return {name: value for name, value in settings.items() if name not in counts}


def cmb_reproduction(wildcards):
    """The settings that reproduce one experiment, as a config file that holds only them."""
    names = [wildcards.experiment, cmb_experiment(wildcards.experiment).get("chained_to")]
    experiments = {name: cmb_experiment(name) for name in names if name}
    skies = {settings["sky"]: CMB["skies"][settings["sky"]] for settings in experiments.values()}
    shared = {name: CMB[name] for name in ("seed", "simulate_spectra", "simulate_maps", "train_estimators")}
    return json.dumps({"cmb": {**shared, "skies": skies, "experiments": experiments}})


def cmb_experiment_products(experiment):
    """Network, scores and figures of one experiment."""
    folder = f"<results>/cmb/experiments/{experiment}"
    figures = [f"{folder}/figures/{noun}.png" for noun in ("maps", "scores", "spectra", "training")]
    trained = [path for name in ("network.ckpt", "command") for path in cmb_of_trainings(experiment, name)]
    return [*trained, f"{folder}/scores.json", *figures]


def cmb_external_fields():
    """The independent lensed fields, where they are at hand; nothing is downloaded for them."""
    names = collection_datasets(DATASETS, "cmb/cmblensing_fields")
    return [dataset_file(name) for name in names] if all(cmb_at_hand(name) for name in names) else []


def cmb_at_hand(dataset):
    """Whether a data set is already downloaded or in the mirror folder."""
    mirror = os.environ.get("ARMILLARY_MIRROR")
    return Path(dataset_file(dataset)).exists() or bool(mirror and Path(mirror, dataset).exists())


def cmb_metric_parts(wildcards):
    """The scores that metrics.json is made of."""
    names = list(dict.fromkeys([CMB["experiment"], *CMB["more_experiments"]]))
    skies = list(dict.fromkeys(cmb_experiment(name)["sky"] for name in names))
    return [
        "<results>/cmb/scores/simulations.json",
        *(f"<results>/cmb/scores/estimators_{sky}.json" for sky in skies),
        *dict.fromkeys(
            f"<results>/cmb/scores/nulls_{cmb_experiment(name)['sky']}.json"
            for name in names
            if cmb_of_estimates(name)
        ),
        *(f"<results>/cmb/experiments/{name}/scores.json" for name in names),
    ]


def cmb_products():
    """What the target `cmb` asks for."""
    names = list(dict.fromkeys([CMB["experiment"], *CMB["more_experiments"]]))
    of_experiments = [path for name in names for path in cmb_experiment_products(name)]
    return ["<results>/cmb/metrics.json", "<results>/cmb/figures/simulations.png", *of_experiments]


def cmb_observed_products(_):
    """What the target `cmb_observed` asks for; an error that says how if no file is named."""
    if CMB["observed"]["file"] is None:
        raise WorkflowError(
            "cmb: observed: file names no map; give a HDF5, NPZ or FITS file with q and u in uK"
        )
    return [
        f"<results>/cmb/observed/{name}" for name in ("maps.h5", "band_powers.h5", "metrics.json", "maps.png")
    ]


cmb_check()
