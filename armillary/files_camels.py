"""Files of the CAMELS simulations: folders of the Multifield Dataset with its tables, and archives of gas profiles.

Maps of a full set are 3.9 GB a file: they are mapped, and only what is asked for is read.
"""

from pathlib import Path

import numpy as np

from armillary.files_challenges import read_named_arrays

N_MAPS = 15  # of a simulation: five slabs along three axes


def read_parameters(folder: str, code: str) -> np.ndarray:
    """(n, 6) Omega_m, sigma_8, A_SN1, A_AGN1, A_SN2, A_AGN2 from params_LH_<code>.txt, or from the table of seeds."""
    table = Path(folder, f"params_LH_{code}.txt")
    seeds = next(iter(sorted(Path(folder).glob(f"CosmoAstroSeed_{code}*.txt"))), None)
    path = table if table.exists() else seeds
    if path is None:
        raise FileNotFoundError(
            f"{folder} has neither params_LH_{code}.txt nor CosmoAstroSeed_{code}_*.txt (challenges: camels: files)"
        )
    columns = None if path == table else range(1, 7)
    try:
        parameters = np.loadtxt(path, usecols=columns, ndmin=2)
    except ValueError as error:
        raise ValueError(f"{path} is not a table of numbers: {error}") from error
    if parameters.ndim != 2 or parameters.shape[1] != 6 or not np.isfinite(parameters).all():
        raise ValueError(f"{path} is {parameters.shape}; six finite parameters a simulation were expected")
    return parameters


def map_files(folder: str, code: str) -> dict[str, str]:
    """The files of maps of a code by field (Mtot, P, ...)."""
    found = sorted(Path(folder).glob(f"Maps_*_{code}_LH_z=0.00.npy"))
    return {path.name.split("_")[1]: str(path) for path in found}


def read_maps(path: str, n_simulations: int, chosen: np.ndarray, n_maps: int, side_px: int) -> np.ndarray:
    """(len(chosen), n_maps, side_px, side_px): evenly spaced maps of the `chosen` simulations, pixels averaged.

    The file has (15 n, p, p) or (n, 15, p, p) positive float32. Raises ValueError with what is wrong with it.
    """
    try:
        stored = np.load(path, mmap_mode="r")
    except (ValueError, OSError, EOFError) as error:
        raise ValueError(f"{path} is not a complete NPY file ({Path(path).stat().st_size} bytes): {error}") from error
    full = stored.shape[-1]
    wanted = ((N_MAPS * n_simulations, full, full), (n_simulations, N_MAPS, full, full))
    if stored.shape not in wanted:
        raise ValueError(f"{path} is {stored.shape}; {N_MAPS} square maps of {n_simulations} simulations were expected")
    if full % side_px or not 1 <= n_maps <= N_MAPS:
        raise ValueError(
            f"{path} has maps of {full} px, {N_MAPS} a simulation: challenges: camels: settings: side_px is {side_px} "
            f"and must divide {full}, n_maps is {n_maps} and must be 1 to {N_MAPS}"
        )
    maps = np.empty((len(chosen), n_maps, side_px, side_px), np.float32)
    flat, bins = stored.reshape(-1, full, full), full // side_px
    for number, simulation in enumerate(chosen):
        for k in range(n_maps):
            one = np.asarray(flat[simulation * N_MAPS + k * N_MAPS // n_maps], np.float64)
            maps[number, k] = one.reshape(side_px, bins, side_px, bins).mean((1, 3))
    if not (np.isfinite(maps).all() and (maps > 0).all()):
        raise ValueError(f"{path}: maps must be finite and positive")
    return maps


def read_profiles(path: str, code: str) -> dict[str, np.ndarray]:
    """profiles (n, 2, 4, n_radii), radius_mpc (n_radii,), counts (n, 2) and parameters (n, 6) of a code."""
    parts = {"profiles": "profiles", "radius_mpc": "r_Mpc", "counts": "nhalo", "parameters": "params"}
    arrays = read_named_arrays(path, tuple(f"{code}_{name}" for name in parts.values()))
    found = {name: arrays[f"{code}_{stored}"].astype(float) for name, stored in parts.items()}
    n, n_radii = len(found["parameters"]), len(found["radius_mpc"])
    if found["profiles"].shape != (n, 2, 4, n_radii) or found["parameters"].shape != (n, 6):
        raise ValueError(f"{path}: {code}_profiles is {found['profiles'].shape}; ({n}, 2, 4, {n_radii}) was expected")
    if not (found["profiles"] > 0).all() or not (found["counts"] > 0).all():
        raise ValueError(f"{path}: profiles and halo counts of {code} must be positive")
    return found
