"""Galaxy spectra as the A3Net school has them: an HDF5 file with a group `raw` of thirteen data sets."""

import numpy as np

from armillary.files import open_hdf5

TABLE = ("z", "age", "metallicity", "smass")
SETS = (*TABLE, "plateid", "fiberid", "mjd", "ra", "dec", "zerr", "wavelength", "spec", "specerr")


def read_raw_spectra(path: str, n_spectra: int) -> dict[str, np.ndarray]:
    """At most `n_spectra` galaxies from all parts of the file, as they are: wavelength in A as (n_pixels,), or a row
    each."""
    with open_hdf5(path) as stream:
        if "raw" not in stream:
            raise ValueError(f"{path} has no group raw; it holds {', '.join(stream) or 'nothing'}")
        group = stream["raw"]
        missing = [name for name in SETS if name not in group]
        if missing:
            raise ValueError(f"{path}: raw has no {', '.join(missing)}; it holds {', '.join(group)}")
        n = len(group["z"])
        lengths = {name: len(group[name]) for name in (*TABLE, "spec", "specerr")}
        if len(set(lengths.values())) > 1 or group["spec"].shape != group["specerr"].shape or group["spec"].ndim != 2:
            raise ValueError(f"{path}: raw has sets that do not fit together: {lengths}, spec {group['spec'].shape}")
        rows = slice(0, n, max(n // n_spectra, 1))
        arrays = {name: group[name][rows][:n_spectra] for name in (*TABLE, "spec", "specerr")}
        wave = group["wavelength"]
        arrays["wavelength"] = wave[()] if wave.ndim == 1 else wave[rows][:n_spectra]
        if arrays["wavelength"].shape[-1] != arrays["spec"].shape[1]:
            raise ValueError(f"{path}: wavelength has {wave.shape[-1]} pixels, spec {arrays['spec'].shape[1]}")
    return {name: np.asarray(array, float) for name, array in arrays.items()}
