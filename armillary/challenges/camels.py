"""Cosmological parameters from simulations of one code, and what happens on those of another (CAMELS).

Maps are slabs of total matter and gas pressure; profiles are mean gas profiles of haloes in two bins of mass. Given
are a folder of the CAMELS Multifield Dataset, or the archive of profiles of 1000 runs each of IllustrisTNG and SIMBA;
what is not given is simulated by `camels_skies`. Training, validation and test never share a simulation.
"""

from pathlib import Path

import numpy as np

from armillary.challenges import camels_skies
from armillary.challenges.scores import area_under_roc, r_squared, seed_scores, splits
from armillary.files_camels import map_files, read_maps, read_parameters, read_profiles

QUESTION = (
    "Do networks that learn Omega_m and sigma_8 from simulations of one code find them in simulations of another, and "
    "do their error bars say so when they do not?"
)
CAVEATS = (
    "The mean of a map of total matter goes as Omega_m; cnn_contrast divides by it. Ridge regression is given the mean "
    "itself, beside its logarithm, and a penalty for each parameter: without, its R2 on the other code was 0.78.",
    "Simulated maps are haloes painted on log-normal slabs: they have less power than CAMB's non-linear "
    "spectrum, and the slabs of a simulation are independent.",
    "How the simulated codes differ was chosen by us: their shift shows the method, not what CAMELS would give.",
    "The real profiles are at z = 0.54. Radii of the two suites differ by 0.03 %, and any difference in how their "
    "files were made adds to the shift.",
    "Adaptation uses unlabelled runs of the other code and that both codes share one distribution of parameters.",
    "Disagreement of an ensemble grows under shift, and far too little: see the chi2.",
)
LITERATURE = (
    ("Omega_m, sigma_8 from Mtot maps", "4 %, 2.5 %, robust between codes; unconfirmed", "arXiv:2109.10360"),
    ("Omega_m, sigma_8 from most fields", "a few percent within a code", "arXiv:2109.09747"),
    ("gain on an unseen suite from learned invariance, HI maps", "17 % (Omega_m), 38 % (sigma_8)", "arXiv:2502.13239"),
)
CODES = {"tng": "IllustrisTNG", "simba": "SIMBA"}
PARAMETERS = ("omega_m", "sigma_8", "a_sn1", "a_agn1", "a_sn2", "a_agn2")
FIELDS = ("Mtot", "P")
RADII_MPC = np.geomspace(6.7e-4, 0.884, 14)
SHARES = (0.7, 0.1)
PAIRS = (("cnn_matter", "summaries_matter"), ("cnn_pressure", "summaries_pressure"), ("mlp_density", "ridge_density"))


def sample(files: list[str], settings: dict, seed: int) -> dict[str, np.ndarray]:
    """Of each code: profiles (n, 2, 4, n_radii) log10, counts (n, 2), parameters (n, 6), split (n,); and maps (m, 2,
    side, side) log10 with map_parameters (m, 6), simulation (m,), map_split (m,)."""
    rng = np.random.default_rng([seed, 101])
    folder = next((path for path in files if Path(path).is_dir()), None)
    archive = next((path for path in files if path.endswith(".npz")), None)
    strange = set(files) - {folder, archive}
    if strange:
        raise ValueError(
            f"{strange.pop()} is no folder of maps and no NPZ file of profiles (challenges: camels: files)"
        )
    data = {}
    for code in CODES:
        profiles = read_profiles(archive, CODES[code]) if archive else _simulated_profiles(settings, code, rng)
        data |= {f"{name}_{code}": value for name, value in profiles.items()}
        data[f"profiles_{code}"] = np.log10(profiles["profiles"]).astype(np.float32)
        data[f"split_{code}"] = splits(len(profiles["parameters"]), SHARES, rng)
        found = _given_maps(folder, code, settings, rng) if folder else _simulated_maps(settings, code, rng)
        data |= {f"{name}_{code}": value for name, value in found.items()}
    kinds = [("profiles", archive), ("maps", folder)]
    source = ", ".join(f"{kind} {'of CAMELS' if given else 'simulated'}" for kind, given in kinds)
    return data | {"source": np.array(source)}


def _simulated_profiles(settings, code, rng) -> dict[str, np.ndarray]:
    parameters = camels_skies.draw_parameters(settings["n_profiles"], rng)
    profiles, counts = camels_skies.simulate_profiles(parameters, code, RADII_MPC, rng)
    return {"profiles": profiles, "counts": counts, "parameters": parameters, "radius_mpc": RADII_MPC}


def _simulated_maps(settings, code, rng) -> dict[str, np.ndarray]:
    n, n_maps, side = (settings[name] for name in ("n_simulations", "n_maps", "side_px"))
    parameters = camels_skies.draw_parameters(n, rng)
    maps = [camels_skies.simulate_maps(one, code, n_maps, side, rng) for one in parameters]
    return _by_map(np.concatenate(maps), parameters, n_maps, rng)


def _given_maps(folder: str, code: str, settings, rng) -> dict[str, np.ndarray]:
    parameters, paths = read_parameters(folder, CODES[code]), map_files(folder, CODES[code])
    missing = [name for name in FIELDS if name not in paths]
    if missing:
        raise FileNotFoundError(f"{folder} has no Maps_{missing[0]}_{CODES[code]}_LH_z=0.00.npy")
    chosen = np.sort(rng.permutation(len(parameters))[: settings["n_simulations"]])
    n_maps, side = settings["n_maps"], settings["side_px"]
    maps = [read_maps(paths[name], len(parameters), chosen, n_maps, side) for name in FIELDS]
    return _by_map(np.stack(maps, 2).reshape(-1, len(FIELDS), side, side), parameters[chosen], n_maps, rng)


def _by_map(maps, parameters, n_maps, rng) -> dict[str, np.ndarray]:
    split = splits(len(parameters), SHARES, rng)
    return {
        "maps": np.log10(maps).astype(np.float32), "map_parameters": np.repeat(parameters, n_maps, 0),
        "simulation": np.repeat(np.arange(len(parameters)), n_maps), "map_split": np.repeat(split, n_maps),
    }  # fmt: skip


def score(data: list[dict], found: dict[str, list[dict]], settings: dict, rng: np.random.Generator) -> dict:
    """R2, relative error, chi2 and error bars of every variant by the code it learned from and was tested on; how far
    summaries tell the codes apart."""
    scores = {}
    for name, runs in found.items():
        groups = [_groups(run) for run in runs]
        if "probability" in runs[0]:
            scores |= seed_scores(_apart(name, runs), groups, settings["n_resamples"], rng)
            continue
        baselines = {f"{name}_{a}_{b}_r2_{p}": f"{name}_{a}_{a}_r2_{p}"
                     for a in CODES for b in CODES if a != b for p in PARAMETERS[:2]}  # fmt: skip
        scores |= seed_scores(_recovered(name, runs), groups, settings["n_resamples"], rng, baselines=baselines)
    for method, baseline in PAIRS:
        if {method, baseline} <= set(found):
            groups = [_groups(run) for run in found[method]]
            differences = _difference(found[method], found[baseline], f"{method}_minus_{baseline}")
            scores |= seed_scores(differences, groups, settings["n_resamples"], rng)
    return scores


def _groups(run) -> np.ndarray:
    """Test objects of one simulation belong together; the codes have simulations of their own."""
    return run["simulation"] + 100_000 * run["code"]


def _recovered(name: str, runs: list[dict]):
    codes = list(CODES)

    def statistics(seed, index):
        run = runs[seed]
        values = {}
        for learned in codes:
            for tested in codes:
                rows = index[run["code"][index] == codes.index(tested)]
                values |= shift_statistics(run, learned, rows, f"{name}_{learned}_{tested}")
        for learned, other in (codes, codes[::-1]):
            for p in PARAMETERS[:2]:
                ends = [values[f"{name}_{learned}_{tested}_sigma_{p}"] for tested in (other, learned)]
                values[f"{name}_{learned}_sigma_growth_{p}"] = ends[0] / ends[1]
            unsure = run[f"sigma_{learned}"][index, 0]
            is_other = run["code"][index] == codes.index(other)
            values[f"{name}_{learned}_shift_auc"] = area_under_roc(unsure, is_other)
        return values

    return statistics


def shift_statistics(run: dict, learned: str, rows: np.ndarray, key: str) -> dict[str, float]:
    """R2 of all parameters; relative error, bias and chi2 in sigma, mean sigma of the cosmological two."""
    truth, mean, sigma = (run[name][rows] for name in ("truth", f"mean_{learned}", f"sigma_{learned}"))
    values = {f"{key}_r2_{p}": r_squared(truth[:, k], mean[:, k]) for k, p in enumerate(PARAMETERS)}
    for k, p in enumerate(PARAMETERS[:2]):
        error = mean[:, k] - truth[:, k]
        values[f"{key}_relative_error_{p}"] = float(np.mean(np.abs(error / truth[:, k])))
        values[f"{key}_bias_{p}"] = float(np.mean(error / sigma[:, k]))
        values[f"{key}_chi2_{p}"] = float(np.mean((error / sigma[:, k]) ** 2))
        values[f"{key}_sigma_{p}"] = float(np.mean(sigma[:, k]))
    return values


def _difference(runs: list[dict], others: list[dict], key: str):
    """R2 of Omega_m of one method less that of another on the same simulations, by the codes learned and tested."""

    def statistics(seed, index):
        values = {}
        for learned in CODES:
            for number, tested in enumerate(CODES):
                rows = index[runs[seed]["code"][index] == number]
                ends = [r_squared(run["truth"][rows, 0], run[f"mean_{learned}"][rows, 0])
                        for run in (runs[seed], others[seed])]  # fmt: skip
                values[f"{key}_{learned}_{tested}_r2_omega_m"] = ends[0] - ends[1]
        return values

    return statistics


def _apart(name: str, runs: list[dict]):
    def statistics(seed, index):
        run = runs[seed]
        return {f"{name}_auc": area_under_roc(run["probability"][index], run["code"][index] == 1)}

    return statistics
