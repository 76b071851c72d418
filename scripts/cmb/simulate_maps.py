"""Simulate one file of lensed patches with their truth."""

import numpy as np

from armillary.cmb_spectra import Spectra
from armillary.files import read_arrays
from armillary.files_cmb import write_maps
from armillary.lensed_skies import simulate_patches, sky_model
from armillary.skies import instrument_of, patch_of
from armillary.step import run

GROUPS = ("train", "validation", "test", "unlensed", "scaled", "other")


def simulate_maps(
    spectra: str, maps: str, *, group: str, batch: str, sky_settings: dict, n_maps: int, oversample: int,
    null_amplitude: float, seed: int,
) -> None:  # fmt: skip
    """Null sets have their own lensing: none (unlensed), `null_amplitude` times C_kk (scaled), another cosmology's."""
    patch, instrument = patch_of(sky_settings), instrument_of(sky_settings)
    model = sky_model(
        Spectra(**read_arrays(spectra)), patch, instrument, periodic=sky_settings["periodic"], oversample=oversample
    )
    amplitudes = {"unlensed": (0.0, 0.0), "scaled": (null_amplitude, null_amplitude), "other": (1.0, 1.0)}.get(
        group, (sky_settings["lensing_amplitude_min"], sky_settings["lensing_amplitude_max"])
    )
    n_boxes = -(-n_maps // model.n_patches)
    found = simulate_patches(
        model, n_maps, seed=seed, split=GROUPS.index(group), first=int(batch) * n_boxes, lensing_amplitudes=amplitudes
    )
    found["box"] = found["box"] + np.int64(GROUPS.index(group)) * 10_000_000
    facts = {
        **sky_settings, "pixel_arcmin": patch.pixel_arcmin,
        "noise_uk_arcmin_of_polarisation": instrument.noise_uk_arcmin, "group": group, "oversample": oversample,
        "box_deg": model.box.n_x * patch.pixel_arcmin / 60, "seed": seed,
    }  # fmt: skip
    write_maps(maps, found, facts)


if __name__ == "__main__":
    run(simulate_maps, snakemake)
