"""Apply all estimators to a user's maps, calibrated on simulated skies of the same geometry."""

import numpy as np

from armillary.cmb_spectra import Instrument, Spectra, polarisation_noise
from armillary.estimators import Setting, estimate, fit_estimators
from armillary.files import read_arrays, write_arrays
from armillary.files_cmb import read_user_maps, write_band_powers, write_maps
from armillary.flatsky import Patch
from armillary.observed_maps import apodised, check_sign, even_sided, simulate_like
from armillary.observed_powers import bins_inside, observed_band_powers
from armillary.skies import estimators_to_arrays
from armillary.step import announce, run


def estimate_observed(
    file: str, spectra: str, estimates: str, estimators: str, band_powers: str, *, maps: dict, pixel_arcmin: float,
    noise_uk_arcmin: float, noise_of: str, beam_fwhm_arcmin: float, convention: str, apodization_deg: float,
    n_simulations: int, n_steps: int, n_iterations: int, l_min: int, l_max: int,
    bin_edges: list[float], seed: int,
) -> None:  # fmt: skip
    """Estimates are seen through the window: e and b times W, k times W^2; the window is written with them. Band powers
    of the convergence come from as many further skies."""
    given = even_sided(read_user_maps(file, maps))
    if convention == "IAU":
        given["u"] = -given["u"]
    patch = Patch(*given["q"].shape, pixel_arcmin)
    window = apodised(patch, given.get("mask"), apodization_deg)
    instrument = Instrument(polarisation_noise(noise_uk_arcmin, noise_of), beam_fwhm_arcmin)
    theory, highest = Spectra(**read_arrays(spectra)), min(l_max, int(patch.nyquist) - 1)
    setting = Setting(patch, theory, instrument, window, l_min, highest)
    announce(f"{patch.n_y} x {patch.n_x} pixels of {pixel_arcmin:g} arcmin, l = {l_min} to {setting.l_max}")
    fitted = fit_estimators(
        setting, simulate_like(setting, n_simulations, seed=seed), n_steps=n_steps, n_iterations=n_iterations
    )
    q, u = (given[name].astype(np.float32) for name in ("q", "u"))
    check_sign(setting, q, u, announce)
    found = {name: values[None] for name, values in estimate(fitted, q, u).items()}
    found |= {"window": window[None], **({"k": given["k"][None]} if "k" in given else {})}
    write_maps(estimates, found, {"pixel_arcmin": pixel_arcmin, "file": file, "convention_of_file": convention})
    edges = bins_inside(bin_edges, patch, setting.l_max)
    skies = simulate_like(setting, n_simulations, seed=seed + 1)
    powers = observed_band_powers(fitted, q, u, skies, edges, given.get("k"))
    facts = {"file": file, "truth": "0 where no convergence was given"}
    write_band_powers(band_powers, {f"observed/{name}": found for name, found in powers.items()}, edges, facts)
    write_arrays(estimators, **estimators_to_arrays(fitted))


if __name__ == "__main__":
    run(estimate_observed, snakemake)
