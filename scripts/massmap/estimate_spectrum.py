"""Compute the power spectrum of convergence of a field, or take a table's, and its shift from the redshifts."""

import numpy as np

from armillary.files import write_arrays
from armillary.files_maps import read_columns
from armillary.shear_spectra import convergence_spectrum, lognormal_shift, redshift_histogram, source_redshifts
from armillary.step import announce, run


def estimate_spectrum(
    catalogs: list[str], tables: list[str], spectrum: str, *, photo_z_column: str | None, weight_column: str | None,
    mean_redshift: float, shift: float | None, hubble: float, omega_matter: float, omega_baryon: float, sigma8: float,
    spectral_index: float,
) -> None:  # fmt: skip
    redshift, density = source_redshifts(mean_redshift)
    if photo_z_column and catalogs:
        galaxies = read_columns(catalogs[0])
        weight = galaxies[weight_column] if weight_column else np.ones(len(galaxies))
        redshift, density = redshift_histogram(galaxies[photo_z_column].to_numpy(), np.asarray(weight))
    if shift is None:
        shift = lognormal_shift(redshift, density)
    if tables:
        multipole, power = _table(tables[0])
    else:
        multipole, power = convergence_spectrum(
            redshift, density, hubble=hubble, omega_matter=omega_matter, omega_baryon=omega_baryon, sigma8=sigma8,
            spectral_index=spectral_index,
        )  # fmt: skip
    mean = np.average(redshift, weights=density)
    announce(f"sources at a mean redshift of {mean:.2f}, shift of the log-normal {shift:.4f}")
    write_arrays(
        spectrum, multipole=multipole, power=power, redshift=redshift, density=density, shift=np.float64(shift)
    )


def _table(path: str) -> tuple[np.ndarray, np.ndarray]:
    """(l, C(l)) of a two-row NPY array or a two-column text table, rising in l, all above 0."""
    rows = np.load(path) if path.endswith(".npy") else np.loadtxt(path).T
    if rows.ndim != 2 or len(rows) < 2 or not (np.all(np.diff(rows[0]) > 0) and np.all(rows[:2] > 0)):
        raise ValueError(f"{path} is not a table of rising l and C(l) above 0 (config key `spectrum_file`)")
    return rows[0], rows[1]


if __name__ == "__main__":
    run(estimate_spectrum, snakemake)
