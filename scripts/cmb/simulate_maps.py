"""Simulate one file of lensed patches with their truth."""

import numpy as np

from armillary.cmb_spectra import Instrument, Spectra
from armillary.files import read_arrays
from armillary.files_cmb import write_maps
from armillary.lensed_skies import simulate_patches, sky_model
from armillary.null_sets import NULLS
from armillary.skies import instrument_of, patch_of
from armillary.step import run

GROUPS = ("train", "validation", "test", *NULLS)
STREAMS = {"train": 0, "validation": 1, "test": 2}  # null sets share one


def simulate_maps(
    spectra: str, lenses: str, maps: str, *, group: str, batch: str, sky_settings: dict, n_maps: int,
    oversample: int, null_amplitude: float, null_noise: float, seed: int,
) -> None:  # fmt: skip
    """E has the power of `spectra`, kappa that of `lenses`.

    Null sets have their own lensing or noise: no lensing (unlensed), `null_amplitude` times C_kk (scaled), another
    cosmology's E and C_kk (other), `null_noise` times the noise (noisier); `reference` and `other_reference` have the
    E of the fiducial and of the other cosmology and the fiducial C_kk. All are drawn from the same seeds.
    """
    patch, instrument = patch_of(sky_settings), instrument_of(sky_settings)
    if group == "noisier":
        instrument = Instrument(null_noise * instrument.noise_uk_arcmin, instrument.beam_fwhm_arcmin)
    theory = Spectra(**read_arrays(spectra))._replace(kk=read_arrays(lenses)["kk"])
    model = sky_model(theory, patch, instrument, periodic=sky_settings["periodic"], oversample=oversample)
    null = {name: (1.0, 1.0) for name in NULLS}
    null |= {"unlensed": (0.0, 0.0), "scaled": (null_amplitude, null_amplitude)}
    amplitudes = null.get(group, (sky_settings["lensing_amplitude_min"], sky_settings["lensing_amplitude_max"]))
    n_boxes = -(-n_maps // model.n_patches)
    found = simulate_patches(
        model,
        n_maps,
        seed=seed,
        split=STREAMS.get(group, len(STREAMS)),
        first=int(batch) * n_boxes,
        lensing_amplitudes=amplitudes,
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
