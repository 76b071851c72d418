"""What each survey's coadded images look like: pixels, seeing and sky noise, at zero point 30.

DES numbers are those of Data Release 2 (Abbott et al. 2021, ApJS 255, 20); HSC and LSST numbers come
from `surveycodex`, which is imported only when one of them is asked for.
"""

from dataclasses import dataclass
from math import pi, sqrt

ZERO_POINT = 30.0
SURVEYS = ("des", "hsc", "lsst")

_DES_PIXEL_ARCSEC = 0.263
_DES_FWHM_ARCSEC = {"g": 1.11, "r": 0.95, "i": 0.88, "z": 0.83, "Y": 0.90}
_DES_DEPTH_MAG = {"g": 24.7, "r": 24.4, "i": 23.8, "z": 23.1, "Y": 21.7}
_DES_APERTURE_ARCSEC = 1.95
_DES_DEPTH_SNR = 10.0


@dataclass(frozen=True)
class Survey:
    """Constants of one survey's coadds.

    `psf_fwhm_arcsec` and `sky_sigma` map each band to the median seeing and to the noise of one pixel
    in counts at `zero_point` (flux = 10^(0.4 (zero_point - magnitude))); `psf_beta` is the Moffat index
    used where a Moffat profile is asked for.
    """

    name: str
    pixel_arcsec: float
    psf_fwhm_arcsec: dict[str, float]
    sky_sigma: dict[str, float]
    zero_point: float = ZERO_POINT
    psf_beta: float = 3.0

    @property
    def bands(self) -> tuple[str, ...]:
        """Every band the survey has, blue to red."""
        return tuple(self.psf_fwhm_arcsec)


def survey_constants(survey: str) -> Survey:
    """The constants of `des`, `hsc` or `lsst`; ValueError for any other name."""
    if survey == "des":
        return _des()
    if survey in SURVEYS:
        return _from_surveycodex(survey)
    raise ValueError(f"survey is {survey!r}; known surveys are {', '.join(SURVEYS)} (config key `survey`)")


def check_bands(survey: Survey, bands: list[str]) -> None:
    """Raise ValueError naming the first band that `survey` does not have, or if there is none at all."""
    if not bands:
        raise ValueError(f"bands is empty; {survey.name} has {', '.join(survey.bands)} (config key `bands`)")
    for band in bands:
        if band not in survey.bands:
            raise ValueError(
                f"band {band!r} is not a band of {survey.name}; it has {', '.join(survey.bands)} (config key `bands`)"
            )


def sigma_from_aperture_depth(depth_mag: float, snr: float, diameter_arcsec: float, pixel_arcsec: float) -> float:
    """Noise of one pixel (counts, zero point 30) from the depth in a circular aperture.

    # ASSUME: white noise, so that the aperture's noise is sigma sqrt(number of pixels in it).
    """
    n_pixels = pi * (diameter_arcsec / 2) ** 2 / pixel_arcsec**2
    return 10 ** (0.4 * (ZERO_POINT - depth_mag)) / snr / sqrt(n_pixels)


def _des() -> Survey:
    sky_sigma = {
        band: sigma_from_aperture_depth(depth, _DES_DEPTH_SNR, _DES_APERTURE_ARCSEC, _DES_PIXEL_ARCSEC)
        for band, depth in _DES_DEPTH_MAG.items()
    }
    return Survey("des", _DES_PIXEL_ARCSEC, dict(_DES_FWHM_ARCSEC), sky_sigma)


def _from_surveycodex(survey: str) -> Survey:
    """# ASSUME: sky-limited coadds: Poisson noise of the sky over the survey's full exposure."""
    from surveycodex import get_survey
    from surveycodex.utilities import mean_sky_level

    book = get_survey(survey.upper())
    fwhm, sky_sigma = {}, {}
    for band in book.available_filters:
        page = book.get_filter(band)
        electrons_per_count = page.full_exposure_time.value * 10 ** (0.4 * (page.zeropoint.value - ZERO_POINT))
        fwhm[band] = float(page.psf_fwhm.value)
        sky_sigma[band] = float(sqrt(mean_sky_level(book, page).value) / electrons_per_count)
    return Survey(survey, float(book.pixel_scale.value), fwhm, sky_sigma)
