"""A sky of the config in the package's terms: patch, instrument, window, and estimators stored and read back."""

import numpy as np

from armillary.cmb_spectra import Instrument, Spectra, polarisation_noise
from armillary.estimators import Delensed, Estimators, FromPairs, Likely, Setting, Step
from armillary.flatsky import Patch, cosine_taper, square_patch
from armillary.posterior import Posterior
from armillary.quadratic import Filters


def patch_of(sky_settings: dict) -> Patch:
    """The patch of a sky, from `patch_deg` and `n_pixels`."""
    return square_patch(sky_settings["patch_deg"], sky_settings["n_pixels"])


def instrument_of(sky_settings: dict) -> Instrument:
    """Noise of Q and U, and beam."""
    noise = polarisation_noise(sky_settings["noise_uk_arcmin"], sky_settings["noise_of"])
    return Instrument(noise, sky_settings["beam_fwhm_arcmin"])


def setting_of(sky_settings: dict, spectra: Spectra, *, l_min: int, l_max: int) -> Setting:
    """Where estimators of a sky work; a periodic sky has no window."""
    patch = patch_of(sky_settings)
    window = None if sky_settings["periodic"] else cosine_taper(patch, sky_settings["apodization_deg"])
    return Setting(patch, spectra, instrument_of(sky_settings), window, l_min, min(l_max, int(patch.nyquist) - 1))


def estimators_to_arrays(estimators: Estimators) -> dict[str, np.ndarray]:
    """Flat named arrays for an NPZ file."""
    s = estimators.setting
    arrays = {f"spectra_{name}": values for name, values in s.spectra._asdict().items()}
    arrays |= {f"weights_{name}": values for name, values in estimators.weights._asdict().items()}
    for kind in ("steps_eb", "steps"):
        for number, step in enumerate(getattr(estimators, kind)):
            arrays |= {f"{kind}{number}_{name}": values for name, values in step._asdict().items()}
    for name in ("pairs", "posterior"):
        arrays |= {f"{name}_{part}": values for part, values in getattr(estimators, name)._asdict().items()}
    for name in ("likely_eb", "likely"):
        found = getattr(estimators, name)
        arrays |= {f"{name}_mean": found.mean, f"{name}_mix": np.stack(found.mix)}
    arrays |= {"delensed_means": estimators.delensed.mean_fields, "delensed_mix": np.stack(estimators.delensed.mix)}
    arrays |= {name: np.stack(getattr(estimators, name)) for name in ("e_mix", "b_mix")}
    arrays["e_observed"] = estimators.e_observed
    return arrays | {
        "patch": np.array(s.patch, float),
        "instrument": np.array(s.instrument),
        "limits": np.array([s.l_min, s.l_max]),
        "window": np.zeros(0) if s.window is None else s.window,
        "counts": np.array([len(estimators.steps), estimators.n_iterations]),
    }


def estimators_from_arrays(arrays: dict[str, np.ndarray]) -> Estimators:
    """The inverse of `estimators_to_arrays`."""
    n_y, n_x, pixel_arcmin = arrays["patch"]
    setting = Setting(
        Patch(int(n_y), int(n_x), float(pixel_arcmin)),
        Spectra(**{name: arrays[f"spectra_{name}"] for name in Spectra._fields}),
        Instrument(*(float(value) for value in arrays["instrument"])),
        arrays["window"] if arrays["window"].size else None,
        *(int(value) for value in arrays["limits"]),
    )
    n_steps, n_iterations = (int(count) for count in arrays["counts"])
    return Estimators(
        setting,
        _stored(Filters, "weights", arrays),
        _stored(FromPairs, "pairs", arrays),
        *(tuple(_stored(Step, f"{kind}{n}", arrays) for n in range(n_steps)) for kind in ("steps_eb", "steps")),
        _stored(Posterior, "posterior", arrays),
        n_iterations,
        *(Likely(arrays[f"{name}_mean"], tuple(arrays[f"{name}_mix"])) for name in ("likely_eb", "likely")),
        Delensed(arrays["delensed_means"], tuple(arrays["delensed_mix"])),
        tuple(arrays["e_mix"]),
        arrays["e_observed"],
        tuple(arrays["b_mix"]),
    )


def _stored(kind: type, prefix: str, arrays: dict[str, np.ndarray]):
    return kind(**{name: arrays[f"{prefix}_{name}"] for name in kind._fields})
