"""Can the latent space of a GAN be read? GAN, InfoGAN, conditional GAN, autoencoder and components, probed (hack 4).

On spectra of stellar populations with three known factors, or spectra of one's own, and on images of three kinds of
galaxies. What is made is judged against held-out objects; its factors are told by networks that saw real ones alone.
"""

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.stats import spearmanr
from sklearn.metrics import accuracy_score, adjusted_mutual_info_score, r2_score, roc_auc_score

from armillary.challenges.population_spectra import read_school_file, read_table, simulate_populations
from armillary.challenges.scores import seed_scores, splits, wholes
from armillary.challenges.spectra import make_populations, read_populations
from armillary.files import read_arrays

QUESTION = (
    "Can the latent space of a GAN be interpreted, and can one be designed so that it can? Which latents know age, "
    "metallicity and dust of a spectrum, or kind, size and shape of a galaxy?"
)
CAVEATS = (
    "Simulated spectra are single populations behind a screen of dust, without lines or redshift, and simulated "
    "galaxies are drawn from three profiles: few factors, all of them known. Without the population file, the stars "
    "themselves are stand-ins.",
    "Networks work between latents and those components that rise above the noise, and what they make gets the noise "
    "of real objects before it is judged. Judges and estimators see these components, too, and the judge how much is "
    "beyond them.",
    "Factors of what is made are told by a network that learned from real objects; where a generator leaves the data "
    "it may be wrong. What it says of held-out objects, whose factors are known, stands beside (real_estimator_r2).",
    "matched is the score of a latent space: every factor gets a latent of its own, as well as can be (Kuhn 1955), and "
    "the rank correlations of the pairs are averaged. A single good latent proves nothing: the first principal "
    "component of spectra follows age.",
    "The prior of a GAN and of an autoencoder is round, so that their axes mean nothing by themselves: they are judged "
    "along directions found without factors (matched_factorised: singular vectors of the first layer; "
    "matched_features; matched_jacobian), beside a random turn. Components are judged as they are, and turned to be "
    "independent (matched_independent). No direction is chosen by its score.",
)
LITERATURE = (
    ("InfoGAN on digits: codes found without a label", "type, width and rotation of digits", "arXiv:1606.03657"),
    ("the same: error when the categorical code is matched with digits", "5 %; unconfirmed", "arXiv:1606.03657"),
    ("directions of a GAN from its first layer", "factors without a label", "Shen & Zhou 2021, arXiv:2007.06600"),
    ("latents that galaxy spectra need in a VAE", "6", "Portillo et al. 2020, AJ 160, 45"),
)  # fmt: skip
SUBJECTS = ("spectra", "galaxies")
RIVALS = (
    "gan_matched_factorised", "gan_matched_features", "gan_matched_jacobian", "pca_matched", "pca_matched_independent",
    "vae_matched", "vae_matched_factorised", "vae_matched_jacobian",
)  # fmt: skip  # of the InfoGAN


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
    """How what is made passes for real, what latents know of factors, and whether what was asked came out."""
    scores = {}
    for subject in SUBJECTS:
        runs = {name: one for name, one in found.items() if name.startswith(subject)}
        if not runs:
            continue
        names = [str(name) for name in data[0][f"{subject}_y_names"]]

        def statistics(seed, index, runs=runs, subject=subject, names=names):
            values = of_the_data(subject, next(iter(runs.values()))[seed], names, index)
            for name, one in runs.items():
                part = of_the_made(one[seed], index) | of_the_asked(name.rpartition("_")[2], one[seed], names, index)
                values |= {f"{name}_{key}": value for key, value in part.items()}
            for rival in RIVALS:
                if {f"{subject}_infogan_matched", f"{subject}_{rival}"} <= set(values):
                    gain = values[f"{subject}_infogan_matched"] - values[f"{subject}_{rival}"]
                    values[f"{subject}_infogan_minus_{rival}"] = gain
            return values

        groups = [wholes(len(run["judged"])) for run in next(iter(runs.values()))]
        here = seed_scores(statistics, groups, settings["n_resamples"], rng)
        for key, entry in here.items():
            entry["baseline"] = baseline_of(key, subject, here)
        scores |= here
    return scores


def baseline_of(key: str, subject: str, known) -> str | None:
    """What a number is to be read beside: a random turn, a ceiling or floor of real objects, or components."""
    name = "_".join(key.split("_")[:2])
    what = key.removeprefix(f"{name}_")
    patterns = {
        "matched_": f"{name}_matched_random", "asked": f"{subject}_real_{what.replace('asked', 'estimator')}",
        "frechet": f"{subject}_real_frechet",
    }  # fmt: skip
    found = next((one for start, one in patterns.items() if what.startswith(start)), f"{subject}_pca_{what}")
    return found if found in known and found != key and not name.endswith("_real") else None


def of_the_data(subject: str, run: dict, names: list[str], index: np.ndarray) -> dict[str, float]:
    """What held-out objects say: the estimators' errors, and the distance to as many training objects."""
    each = r2_score(run["real_factors"][index], run["real_guess"][index], multioutput="raw_values")
    found = {f"estimator_r2_{name}": float(one) for name, one in zip(names, each, strict=True)}
    found |= {"estimator_r2_least": float(each.min())}
    found["frechet"] = frechet_distance(run["again_weights"][index], run["real_weights"][index])
    if run["n_kinds"]:
        found["estimator_kinds"] = float(accuracy_score(run["real_kinds"][index], run["real_kinds_guess"][index]))
    return {f"{subject}_real_{key}": value for key, value in found.items()}


def of_the_made(run: dict, index: np.ndarray) -> dict[str, float]:
    """How well what was made passes for real, and what latents, directions and probes know of its factors."""
    latents, factors = run["latents"][index], run["factors"][index]
    found = {
        "auc": float(roc_auc_score(np.repeat([1, 0], len(index)),
                                   np.concatenate([run["judged"][index], run["judged_real"][index]]))),
        "frechet": frechet_distance(run["weights"][index], run["real_weights"][index]),
        "matched": matched_correlation(rank_correlations(latents, factors)),
    }  # fmt: skip
    found |= {f"probe_{how}_r2": float(r2_score(factors, run[f"probe_{how}"][index])) for how in ("linear", "boosted")}
    turned = {key.removeprefix("along_"): run[key][index] for key in run if key.startswith("along_")}
    return found | {
        f"matched_{turn}": matched_correlation(rank_correlations(one, factors)) for turn, one in turned.items()
    }


def of_the_asked(method: str, run: dict, names: list[str], index: np.ndarray) -> dict[str, float]:
    """Wishes of a conditional GAN against what came; what the categorical code of an InfoGAN shares with the kinds."""
    n_codes, n_kinds = int(run["n_codes"]), int(run["n_kinds"])
    kinds = run["kinds"][index]
    given = run["latents"][index][:, n_codes : n_codes + n_kinds].argmax(1) if n_codes and n_kinds else None
    if method == "infogan" and given is not None:
        return {"kinds_shared": float(adjusted_mutual_info_score(given, kinds))}
    if method != "cgan":
        return {}
    each = r2_score(run["latents"][index][:, :n_codes], run["factors"][index], multioutput="raw_values")
    found = {f"asked_r2_{name}": float(one) for name, one in zip(names, each, strict=True)}
    found["asked_r2_least"] = float(each.min())
    return found | ({"asked_kinds": float(accuracy_score(given, kinds))} if given is not None else {})


def rank_correlations(latents: np.ndarray, factors: np.ndarray) -> np.ndarray:
    """Spearman's correlation of each latent (n, L) with each factor (n, F): (L, F)."""
    return spearmanr(latents, factors).statistic[: latents.shape[1], latents.shape[1] :]


def matched_correlation(correlations: np.ndarray) -> float:
    """Mean |correlation| of the factors with latents of their own, matched as well as can be (Kuhn 1955)."""
    size = np.abs(correlations)
    return float(size[linear_sum_assignment(-size)].mean())


def frechet_distance(one: np.ndarray, other: np.ndarray) -> float:
    """Squared distance of two Gaussians of the same moments (Dowson & Landau 1982), in the units of the space."""
    gap = one.mean(0) - other.mean(0)
    first, second = (np.cov(part.T) for part in (one, other))
    roots = np.sqrt(np.maximum(np.linalg.eigvals(first @ second).real, 0))
    return float(gap @ gap + np.trace(first + second) - 2 * roots.sum())
