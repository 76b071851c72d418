"""Can the latent space of a GAN be read? GAN, InfoGAN, conditional GAN, autoencoder and components, probed (hack 4).

On spectra of stellar populations with three known factors, or spectra of one's own, and on images of three kinds of
galaxies. What is made is judged against held-out objects; its factors are told by networks that saw real ones alone.
"""

import numpy as np

from armillary.challenges.latent_scores import (
    cells,
    disentanglement,
    frechet_distance,
    information_gap,
    matched_correlation,
    matched_share,
    mutual_information,
    rank_correlations,
    separated_gap,
    share_gap,
)
from armillary.challenges.population_spectra import read_school_file, read_table, simulate_populations
from armillary.challenges.scores import area_under_roc, r_squared, seed_scores, splits, wholes
from armillary.challenges.spectra import make_populations, read_populations
from armillary.files import read_arrays

QUESTION = (
    "Can the latent space of a GAN be interpreted, and can one be designed so that it can? Which latents know age, "
    "metallicity and dust of a spectrum, or kind, size and shape of a galaxy?"
)
HEADLINE = ("spectra_infogan_code_correlation", "spectra_gan_best_correlation")
CAVEATS = (
    "Simulated spectra are single populations behind a screen of dust, without lines or redshift, and simulated "
    "galaxies are drawn from three profiles: few factors, all of them known. Without the population file, the stars "
    "themselves are stand-ins.",
    "Networks work between latents and those components that rise above the noise, and what they make gets the noise "
    "of real objects before it is judged. Judges and estimators see these components, too, and the judge how much is "
    "beyond them.",
    "Factors of what is made are told by a network that learned from real objects. Where a generator leaves the data "
    "it may be wrong: estimators_agree, a second estimator against the first, falls there. True factors are known of "
    "held-out objects alone, whose latents are found by inversion (true_linear_r2 and true_boosted_r2).",
    "Codes are found up to order, sign and map, so they are matched by rank correlation. The prior of a GAN and of an "
    "autoencoder is round, so that a single latent of theirs means nothing by itself: read probes and directions.",
    "A Frechet distance, density and coverage of so few objects have floors of their own: those of training objects, "
    "which stand beside them (real_...). kinds_wrong is the share of galaxies that would have to change their kind: at "
    "demo size GAN and InfoGAN make too few pairs, and no categorical code finds the kinds.",
    "The first principal component of spectra follows age as closely as any code: that one latent knows one factor is "
    "no proof of an interpretable space; codes_matched, MIG, SAP and DCI ask it of all factors.",
)
LITERATURE = (
    ("InfoGAN on digits: codes found without a label", "type, width and rotation of digits", "arXiv:1606.03657"),
    ("the same: error when the categorical code is matched with digits", "5 %; unconfirmed", "arXiv:1606.03657"),
    ("latents that galaxy spectra need in a VAE", "6", "Portillo et al. 2020, AJ 160, 45"),
)  # fmt: skip
SUBJECTS = ("spectra", "galaxies")
TURNS = ("factorised", "features", "jacobian", "random")


def sample(files: list[str], settings: dict, seed: int) -> dict[str, np.ndarray]:
    """Of both subjects x, sigma (n, d), scale (n,), y (n, F), y_names (F,), label and split (n,); wave of spectra."""
    from armillary.challenges.galaxy_kinds import simulate_galaxies  # pages and scores start without GalSim

    if len(files) > 1:
        raise ValueError(f"challenges: gan_latent: files is one file of spectra or of populations; got {files}")
    rng = np.random.default_rng([seed, 127])
    spectra = sample_spectra(files[0] if files else "", settings["n_spectra"], rng)
    n_factors = spectra["y"].shape[1]
    if settings["n_latents"] <= n_factors:
        raise ValueError(
            f"challenges: gan_latent: n_latents is {settings['n_latents']}; the {n_factors} factors of the spectra "
            f"need {n_factors + 1} at least"
        )
    source = f"{spectra.pop('source')}; {settings['n_galaxies']} simulated galaxies"
    data = {}
    for name, one in (
        ("spectra", spectra),
        ("galaxies", simulate_galaxies(settings["n_galaxies"], settings["side_px"], rng)),
    ):
        one["split"] = splits(len(one["x"]), (settings["train_share"], settings["validation_share"]), rng)
        one |= {key: one[key].astype(np.float32) for key in ("x", "sigma")}
        data |= {f"{name}_{key}": array for key, array in one.items()}
    return data | {"source": np.array(source)}


def sample_spectra(path: str, n_spectra: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Given spectra of one kind, or simulated ones of the given populations, or of stand-ins if there is no `path`."""
    if path and (not path.endswith(".npz") or "y_names" in read_arrays(path)):
        found = (read_table if path.endswith(".npz") else read_school_file)(path, n_spectra)
    else:
        populations = read_populations(path) if path else make_populations()
        found = simulate_populations(n_spectra, populations, rng)
        stars = "Bruzual & Charlot (2003)" if path else "stand-ins"
        found["source"] = f"{n_spectra} simulated spectra, populations: {stars}"
    return found | {"label": np.zeros(len(found["x"]), np.int8)}


def score(data: list[dict], found: dict[str, list[dict]], settings: dict, rng: np.random.Generator) -> dict:
    """Quality and coverage of what is made, what latents know, the way back, and whether what was asked came out."""
    scores = {}
    for subject in SUBJECTS:
        runs = {name: one for name, one in found.items() if name.startswith(subject)}
        if not runs:
            continue
        names = [str(name) for name in data[0][f"{subject}_y_names"]]

        def statistics(seed, index, runs=runs, subject=subject, names=names):
            values = of_the_data(subject, next(iter(runs.values()))[seed], names, index)
            for name, one in runs.items():
                part = of_the_made(one[seed], index) | of_the_latents(one[seed], index)
                part |= of_the_asked(name.rpartition("_")[2], one[seed], names, index)
                values |= {f"{name}_{key}": value for key, value in part.items()}
            return values

        groups = [wholes(len(run["judged"])) for run in next(iter(runs.values()))]
        found_here = seed_scores(statistics, groups, settings["n_resamples"], rng)
        for key, entry in found_here.items():
            entry["baseline"] = baseline_of(key, subject, found_here)
            if key.endswith(RAISED):
                centre = (entry["lo"] + entry["hi"]) / 2
                entry |= {end: max(entry[end] + entry["value"] - centre, 0.0) for end in ("lo", "hi")}
                entry["note"] += "; interval moved onto the value: objects drawn twice raise it"
        scores |= found_here
    return scores


RAISED = ("_frechet", "_wrong", "_shuffled_correlation", "_mig")  # by drawing test objects with replacement
BASELINES = {
    "best_correlation": "{name}_shuffled_correlation", "probe_linear_r2": "{name}_probe_shuffled_r2",
    "probe_boosted_r2": "{name}_probe_shuffled_r2", "true_linear_r2": "{name}_true_shuffled_r2",
    "true_boosted_r2": "{name}_true_shuffled_r2", "code_correlation": "{subject}_gan_best_correlation",
    "codes_matched": "{subject}_gan_matched_correlation", "frechet": "{subject}_real_frechet",
    "density": "{subject}_real_density", "coverage": "{subject}_real_coverage",
    "cells_wrong": "{subject}_real_cells_wrong", "kinds_wrong": "{subject}_real_kinds_wrong",
    "estimators_agree": "{subject}_real_estimators_agree", "along_factorised": "{name}_along_random",
    "along_features": "{name}_along_random", "along_jacobian": "{name}_along_random",
    "asked_kinds": "{subject}_real_kinds_accuracy", "code_kinds": "{name}_shuffled_kinds",
}  # fmt: skip


def baseline_of(key: str, subject: str, known) -> str | None:
    """What a number is to be read beside: a floor or ceiling of real objects, a shuffled control, or components."""
    name = "_".join(key.split("_")[:2])
    what = key.removeprefix(f"{name}_")
    pattern = BASELINES.get(what, "{subject}_real_{what}" if what.startswith("asked_r2") else "{subject}_pca_{what}")
    found = pattern.format(name=name, subject=subject, what=what.replace("asked", "estimator"))
    return found if found in known and found != key and not name.endswith("_real") else None


def of_the_data(subject: str, run: dict, names: list[str], index: np.ndarray) -> dict[str, float]:
    """What held-out objects say: the estimators' errors, and every measure between them and training objects."""
    truth, guess = run["real_factors"][index], run["real_guess"][index]
    found = {f"estimator_r2_{name}": r_squared(*pair) for name, *pair in zip(names, truth.T, guess.T, strict=True)}
    found["estimator_r2_least"] = min(found.values())
    found |= {
        "estimators_agree": mean_r_squared(guess, run["real_kernel"][index]),
        "frechet": frechet_distance(run["again_weights"][index], run["real_weights"][index]),
        "density": float(run["real_density"][index].mean()), "coverage": float(run["real_coverage"][index].mean()),
        "cells_wrong": _cells_wrong(run, index, "again"),
    }  # fmt: skip
    if run["n_kinds"]:
        found["kinds_accuracy"] = float(np.mean(run["real_kinds_guess"][index] == run["real_kinds"][index]))
        found["kinds_wrong"] = _kinds_wrong(run, index, "again")
    return {f"{subject}_real_{key}": value for key, value in found.items()}


def of_the_made(run: dict, index: np.ndarray) -> dict[str, float]:
    """How well what was made passes for real and covers it, and how well real objects are rebuilt."""
    judged = np.concatenate([run["judged"][index], run["judged_real"][index]])
    found = {
        "auc": area_under_roc(judged, np.repeat([True, False], len(index))),
        "frechet": frechet_distance(run["weights"][index], run["real_weights"][index]),
        "density": float(run["density"][index].mean()), "coverage": float(run["coverage"][index].mean()),
        "cells_wrong": _cells_wrong(run, index, "made"),
        "estimators_agree": mean_r_squared(run["factors"][index], run["factors_kernel"][index]),
        "rebuilt_chi2": float(run["chi2"][index].mean()),
    }  # fmt: skip
    if run["n_kinds"]:
        found["kinds_wrong"] = _kinds_wrong(run, index, "made")
    if "returned" in run:
        first = int(run["n_codes"] + run["n_kinds"]) if run["n_codes"] else 0
        places = [*range(int(run["n_codes"])), *range(first, run["latents"].shape[1])]
        found["returned_r2"] = mean_r_squared(run["latents"][index][:, places], run["returned"][index][:, places])
    return found


def of_the_latents(run: dict, index: np.ndarray) -> dict[str, float]:
    """What single latents, probes of all of them, and directions in their space know of the factors."""
    latents, factors = run["latents"][index], run["factors"][index]
    correlations = rank_correlations(latents, factors)
    found = {
        "best_correlation": float(np.abs(correlations).max()),
        "shuffled_correlation": float(np.abs(rank_correlations(latents, run["probe_shuffled_factors"][index])).max()),
        "matched_correlation": matched_correlation(correlations),
        "mig": information_gap(mutual_information(latents, factors)), "sap": separated_gap(correlations),
        "dci": disentanglement(run["probe_importance"]),
    }  # fmt: skip
    for kind, truth in (("probe", factors), ("true", run["real_factors"][index])):
        found |= {
            f"{kind}_{how}_r2": mean_r_squared(truth, run[f"{kind}_{how}"][index]) for how in ("linear", "boosted")
        }
        found[f"{kind}_shuffled_r2"] = mean_r_squared(
            run[f"{kind}_shuffled_factors"][index], run[f"{kind}_shuffled"][index]
        )
    return found | {
        f"along_{turn}": matched_correlation(rank_correlations(run[f"along_{turn}"][index], factors))
        for turn in TURNS
        if f"along_{turn}" in run
    }


def of_the_asked(method: str, run: dict, names: list[str], index: np.ndarray) -> dict[str, float]:
    """Codes of an InfoGAN against the factors that they came to mean; wishes of a conditional GAN against what came."""
    n_codes, n_kinds = int(run["n_codes"]), int(run["n_kinds"])
    codes, factors, kinds = run["latents"][index][:, :n_codes], run["factors"][index], run["kinds"][index]
    given = run["latents"][index][:, n_codes : n_codes + n_kinds].argmax(1) if n_codes and n_kinds else None
    if method == "infogan":
        correlations = rank_correlations(codes, factors)
        found = {
            "code_correlation": float(np.abs(correlations).max()),
            "codes_matched": matched_correlation(correlations),
        }
        if given is not None:
            shuffled = np.roll(given, len(given) // 2)
            found |= {"code_kinds": matched_share(given, kinds, n_kinds),
                      "shuffled_kinds": matched_share(shuffled, kinds, n_kinds)}  # fmt: skip
        return found
    if method != "cgan":
        return {}
    found = {f"asked_r2_{name}": r_squared(*pair) for name, *pair in zip(names, codes.T, factors.T, strict=True)}
    found["asked_r2_least"] = min(found.values())
    return found | ({"asked_kinds": float(np.mean(given == kinds))} if given is not None else {})


def mean_r_squared(truth: np.ndarray, guess: np.ndarray) -> float:
    """R2 of each column of (n, k), averaged."""
    return float(np.mean([r_squared(*pair) for pair in zip(truth.T, guess.T, strict=True)]))


def _cells_wrong(run: dict, index: np.ndarray, which: str) -> float:
    factors, kinds = (
        run[key][index] for key in (("factors", "kinds") if which == "made" else ("again_factors", "again_kinds"))
    )
    real = cells(run["real_guess"][index], run["edges"], run["real_kinds_guess"][index])
    n_cells = 3 ** run["edges"].shape[1] * max(int(run["n_kinds"]), 1)
    return share_gap(cells(factors, run["edges"], kinds), real, n_cells)


def _kinds_wrong(run: dict, index: np.ndarray, which: str) -> float:
    kinds = run["kinds" if which == "made" else "again_kinds"][index]
    return share_gap(kinds, run["real_kinds_guess"][index], int(run["n_kinds"]))
