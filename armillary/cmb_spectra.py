"""Power spectra of the polarised CMB and of its lensing, from CAMB or from a file; beam and noise.

Spectra are C_l (not l (l + 1) C_l / 2 pi) in uK^2 at l = 0, 1, ... l_max; C_kk is that of the convergence
kappa = -laplacian(phi) / 2, C_kk = [l (l + 1)]^2 C_phiphi / 4, without unit.
"""

from typing import NamedTuple

import numpy as np

from armillary.flatsky import ARCMIN, beam


class Spectra(NamedTuple):
    """C_l at l = 0 ... l_max, float64 (l_max + 1,) each."""

    ee_unlensed: np.ndarray
    ee_lensed: np.ndarray
    bb_lensed: np.ndarray
    kk: np.ndarray

    @property
    def l_max(self) -> int:
        """The last multipole."""
        return len(self.kk) - 1


class Instrument(NamedTuple):
    """What stands between the sky and the map."""

    noise_uk_arcmin: float  # of Q and of U; that of T is lower by sqrt 2
    beam_fwhm_arcmin: float


def camb_spectra(cosmology: dict, l_max: int) -> Spectra:
    """The spectra of a cosmology; its words are those of `camb.set_params` (H0, ombh2, omch2, mnu, tau, As, ns)."""
    import camb  # a second to import

    params = camb.set_params(
        **cosmology, lmax=l_max, lens_potential_accuracy=4, halofit_version="mead2020", NonLinear="NonLinear_both"
    )
    results = camb.get_results(params)
    columns = results.get_cmb_power_spectra(params, lmax=l_max, CMB_unit="muK", raw_cl=True)
    potential = results.get_lens_potential_cls(lmax=l_max, raw_cl=True)[:, 0]
    return Spectra(
        ee_unlensed=columns["unlensed_scalar"][:, 1],
        ee_lensed=columns["lensed_scalar"][:, 1],
        bb_lensed=columns["lensed_scalar"][:, 2],
        kk=potential * laplacian_factor(l_max) ** 2,
    )


def relensed(spectra: Spectra, kk: np.ndarray, l_max: int) -> Spectra:
    """The spectra up to `l_max` if the convergence had the power `kk`, by CAMB's correlation functions.

    With what an estimate of kappa leaves over this gives the B modes after delensing.
    """
    from camb.correlations import lensed_cls

    cls = np.zeros((l_max + 1, 4))
    cls[:, 1] = spectra.ee_unlensed[: l_max + 1]
    l = np.arange(l_max + 1)  # noqa: E741
    scale = l * (l + 1) / (2 * np.pi)
    kk = kk[: l_max + 1]
    # CAMB wants [l (l + 1)]^2 C_phiphi / 2 pi, which is 4 C_kk / 2 pi
    out = lensed_cls(cls * scale[:, None], 4 * kk / (2 * np.pi), lmax=l_max)
    out[2:] /= scale[2:, None]
    return Spectra(spectra.ee_unlensed[: l_max + 1], out[:, 1], out[:, 2], kk)


def laplacian_factor(l_max: int) -> np.ndarray:
    """kappa_l / phi_l = l (l + 1) / 2."""
    l = np.arange(l_max + 1)  # noqa: E741
    return 0.5 * l * (l + 1)


def noise_power(instrument: Instrument, l_max: int) -> np.ndarray:
    """N_l of E and of B after the beam is divided out, uK^2.

    # ASSUME: white noise, independent in Q and U, and a Gaussian beam.
    """
    return (instrument.noise_uk_arcmin * ARCMIN / beam(instrument.beam_fwhm_arcmin, l_max)) ** 2


def polarisation_noise(noise_uk_arcmin: float, noise_of: str) -> float:
    """Noise of Q and U in uK arcmin from a level that is quoted for polarisation ("P") or temperature ("T")."""
    return noise_uk_arcmin * {"P": 1.0, "T": np.sqrt(2.0)}[noise_of]


def spectra_from_columns(table: dict[str, np.ndarray], name: str) -> Spectra:
    """Spectra of a user's table with columns l, ee_unlensed, ee_lensed, bb_lensed (uK^2) and kk, l rising by one."""
    needed = ("l", *Spectra._fields)
    missing = [column for column in needed if column not in table]
    if missing:
        raise ValueError(
            f"{name} lacks the columns {', '.join(missing)}; it must have {', '.join(needed)} (config key "
            "`cmb: simulate_spectra: spectra_file`)"
        )
    l = np.asarray(table["l"]).astype(int)  # noqa: E741
    if len(l) < 3 or np.any(np.diff(l) != 1) or l[0] < 0 or l[0] > 2:
        raise ValueError(f"{name}: l must start at 0, 1 or 2 and rise by one; it starts with {l[:4].tolist()}")
    columns = [np.concatenate([np.zeros(l[0]), np.asarray(table[column], float)]) for column in Spectra._fields]
    for column, values in zip(Spectra._fields, columns, strict=True):
        if not np.all(np.isfinite(values)) or np.any(values < 0):
            raise ValueError(f"{name}: {column} has values that are negative or not finite; spectra are C_l in uK^2")
    return Spectra(*columns)


def check_reach(spectra: Spectra, nyquist: float) -> None:
    """Refuse spectra that end below the Nyquist multipole of the maps that are to be made from them."""
    if spectra.l_max < nyquist:
        raise ValueError(
            f"the spectra end at l = {spectra.l_max}, below the maps' Nyquist multipole {nyquist:.0f}: raise "
            "`cmb: simulate_spectra: l_max`, give a longer `spectra_file`, or take larger pixels"
        )
