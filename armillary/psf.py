"""Point-spread functions of one image in one band: seeing, ellipticity, and how both vary over the field.

A PSF is any object with `at(x, y)`, the GalSim profile (arcsec) at a pixel position, and the two fields
`fwhm_arcsec` (at the centre) and `includes_pixel`. There are two: `SeeingPsf`, a random atmospheric
profile, and `PsfexPsf`, a measured PSFEx model.
"""

from dataclasses import dataclass
from functools import cached_property

import galsim
import numpy as np

from armillary.files import read_psfex
from armillary.surveys import Survey

PSF_PROFILES = ("kolmogorov", "moffat")
# ASSUME: PSFEx models are of DECam exposures, sampled at DECam's pixel scale.
DECAM_PIXEL_ARCSEC = 0.263
_STREAMS = {"psf": 1, "noise": 2, "sample": 3}


def stream(seed: int, field: int, band: str, purpose: str) -> np.random.Generator:
    """Independent random stream of a field, band and purpose (psf, noise, sample); band "" is all bands."""
    key = (field, ord(band) if band else 0, _STREAMS[purpose])
    return np.random.Generator(np.random.SFC64(np.random.SeedSequence(seed, spawn_key=key)))


@dataclass(frozen=True)
class SeeingPsf:
    """A Kolmogorov or Moffat profile whose size and shape vary linearly over the image.

    With u, v in [-1, 1] the position from the image's centre, FWHM(u, v) = fwhm_arcsec (1 + size_gradient .
    (u, v)) and reduced shear g_i(u, v) = ellipticity[i] + ellipticity_gradient[i] . (u, v).
    """

    profile: str
    beta: float
    image_size: int
    fwhm_arcsec: float
    ellipticity: np.ndarray  # (2,)
    size_gradient: np.ndarray  # (2,)
    ellipticity_gradient: np.ndarray  # (2, 2)
    includes_pixel: bool = False

    def at(self, x: float, y: float) -> galsim.GSObject:
        """The profile at pixel (x, y), without the pixel's own response."""
        u = 2 * np.array([x, y]) / self.image_size - 1
        fwhm = self.fwhm_arcsec * (1 + self.size_gradient @ u)
        g1, g2 = self.ellipticity + self.ellipticity_gradient @ u
        if self.profile == "moffat":
            return galsim.Moffat(beta=self.beta, fwhm=fwhm).shear(g1=g1, g2=g2)
        return galsim.Kolmogorov(fwhm=fwhm).shear(g1=g1, g2=g2)


@dataclass(frozen=True)
class PsfexPsf:
    """A PSFEx model of one chip, stretched over the image; it holds the pixel response already.

    `basis` (n_terms, n_y, n_x) multiplies the monomials u^i v^j (i + j <= degree, i fastest) of the scaled
    chip position; its pixels are `sampling` chip pixels wide (Bertin 2011, ASP Conf. 442, 435).
    """

    basis: np.ndarray
    degree: int
    sampling: float
    image_size: int
    includes_pixel: bool = True

    @cached_property
    def fwhm_arcsec(self) -> float:
        """FWHM at the image's centre."""
        middle = self.at(self.image_size / 2, self.image_size / 2)
        return float(middle.drawImage(nx=256, ny=256, scale=0.05, method="no_pixel").calculateFWHM())

    def at(self, x: float, y: float) -> galsim.GSObject:
        """The model, unit flux, at the chip position that pixel (x, y) is stretched to."""
        # PSFEx scales positions to about [-0.5, 0.5] over the chip.
        u, v = x / self.image_size - 0.5, y / self.image_size - 0.5
        terms = [u**i * v**j for j in range(self.degree + 1) for i in range(self.degree + 1 - j)]
        pixels = np.tensordot(terms, self.basis, axes=1)
        return galsim.InterpolatedImage(
            galsim.Image(pixels),
            scale=self.sampling * DECAM_PIXEL_ARCSEC,
            flux=1.0,
            x_interpolant=galsim.Lanczos(3),
        )


def read_psf(path: str, image_size: int) -> PsfexPsf:
    """The PSFEx model in a `.psf` file of PSFEx or a one-row table of the Legacy Surveys."""
    model = read_psfex(path)
    return PsfexPsf(model["basis"], model["degree"], model["sampling"], image_size)


def sample_psf(
    survey: Survey,
    band: str,
    *,
    image_size: int,
    seed: int,
    field: int,
    psf_profile: str = "kolmogorov",
    seeing_scatter: float = 0.07,
    psf_variation: float = 0.01,
) -> SeeingPsf:
    """Draw the seeing of one image.

    ln FWHM scatters by `seeing_scatter` about the band's median, half of the variance common to the bands
    of a field; the mean reduced shear is uniform in 0.005-0.015 (ellipticity (a-b)/(a+b) x 2 = 0.01-0.03)
    at a random angle; size (relative) and shape vary by about `psf_variation` from the centre to the edge.
    """
    if psf_profile not in PSF_PROFILES:
        raise ValueError(f"psf_profile is {psf_profile!r}; known are {', '.join(PSF_PROFILES)}")
    common, own = stream(seed, field, "", "psf").normal(), stream(seed, field, band, "psf")
    # ASSUME: a coadd's seeing is log-normal, half of its variance shared by the bands of a field.
    log_scatter = seeing_scatter * (common + own.normal()) / np.sqrt(2)
    shear, angle = own.uniform(0.005, 0.015), own.uniform(0, 2 * np.pi)
    return SeeingPsf(
        profile=psf_profile,
        beta=survey.psf_beta,
        image_size=image_size,
        fwhm_arcsec=float(survey.psf_fwhm_arcsec[band] * np.exp(log_scatter)),
        ellipticity=shear * np.array([np.cos(angle), np.sin(angle)]),
        size_gradient=psf_variation * own.normal(size=2) / np.sqrt(2),
        ellipticity_gradient=psf_variation * own.normal(size=(2, 2)) / 2,
    )


def psf_cell(x: np.ndarray, y: np.ndarray, image_size: int, n_psf_cells: int) -> np.ndarray:
    """Cell number (row n_psf_cells + column) of pixel positions on the grid where the PSF is evaluated."""
    column = np.clip((np.asarray(x) * n_psf_cells / image_size).astype(int), 0, n_psf_cells - 1)
    row = np.clip((np.asarray(y) * n_psf_cells / image_size).astype(int), 0, n_psf_cells - 1)
    return row * n_psf_cells + column


def psf_of_cell(psf: SeeingPsf | PsfexPsf, cell: int, image_size: int, n_psf_cells: int) -> galsim.GSObject:
    """The profile at the middle of a cell; every source in the cell is drawn with it.

    # ASSUME: the PSF is constant within a cell (image_size / n_psf_cells pixels wide).
    """
    row, column = divmod(int(cell), n_psf_cells)
    width = image_size / n_psf_cells
    return psf.at((column + 0.5) * width, (row + 0.5) * width)
