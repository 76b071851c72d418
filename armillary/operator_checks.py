"""The stamp operator held against GalSim, its own adjoint, and a clock."""

import time

import galsim
import jax
import jax.numpy as jnp
import numpy as np

from armillary.inverse.stamp_operator import StampOperator, observed_stamp, stamp_operator

FINE_PIXEL_ARCSEC, GROUND_PIXEL_ARCSEC = 0.03, 0.168
ACCURATE = galsim.GSParams(folding_threshold=1e-4, maxk_threshold=1e-4, kvalue_accuracy=1e-6)
FINE_PSF = galsim.Gaussian(fwhm=0.15, gsparams=ACCURATE)
GROUND_PSF = galsim.Moffat(beta=3.5, fwhm=0.6, gsparams=ACCURATE)
GALAXIES = {  # compact: all but their frame's truncation is the operator's error
    "gaussian": galsim.Gaussian(fwhm=0.3, gsparams=ACCURATE),
    "exponential": galsim.Exponential(scale_radius=0.1, gsparams=ACCURATE),
    "sheared": galsim.Exponential(scale_radius=0.08, gsparams=ACCURATE).shear(g1=0.3, g2=0.1),
    "sersic": galsim.Sersic(1.5, half_light_radius=0.12, gsparams=ACCURATE),
    "spergel": galsim.Spergel(0.2, half_light_radius=0.15, gsparams=ACCURATE),
    "knots": galsim.RandomKnots(20, half_light_radius=0.2, rng=galsim.BaseDeviate(3)),
}


def drawn(profile: galsim.GSObject, size: int, pixel_arcsec: float) -> np.ndarray:
    """A profile on a grid, its pixel counted as part of the PSF."""
    return profile.drawImage(nx=size, ny=size, scale=pixel_arcsec, method="no_pixel", dtype=float).array


def operator_of(fine_size: int, ground_size: int) -> StampOperator:
    """The operator between Gaussian and Moffat PSFs, of any sizes."""
    return stamp_operator(
        drawn(FINE_PSF, 101, FINE_PIXEL_ARCSEC), drawn(GROUND_PSF, 161, GROUND_PIXEL_ARCSEC / 2), fine_size=fine_size,
        fine_pixel_arcsec=FINE_PIXEL_ARCSEC, ground_shape=(ground_size, ground_size),
        ground_pixel_arcsec=GROUND_PIXEL_ARCSEC, psf_pixel_arcsec=GROUND_PIXEL_ARCSEC / 2,
    )  # fmt: skip


def disagreement(galaxy: galsim.GSObject, fine_size: int, ground_size: int, shift: tuple[float, float]) -> dict:
    """Largest error over the peak, relative error of the flux, and centroid shift in ground pixels, against GalSim."""
    stamp = drawn(galsim.Convolve(galaxy, FINE_PSF, gsparams=ACCURATE), fine_size, FINE_PIXEL_ARCSEC)
    truth = galsim.Convolve(galaxy, GROUND_PSF, gsparams=ACCURATE).shift(shift[1], shift[0])
    truth = drawn(truth, ground_size, GROUND_PIXEL_ARCSEC)
    image = np.asarray(observed_stamp(operator_of(fine_size, ground_size), jnp.asarray(stamp, float), shift))
    return {
        "peak": np.abs(image - truth).max() / truth.max(), "flux": abs(image.sum() / truth.sum() - 1),
        "centroid": np.abs(_centroid(image) - _centroid(truth)).max(),
    }  # fmt: skip


def _centroid(image: np.ndarray) -> np.ndarray:
    places = np.arange(len(image))
    return np.array([(image.sum(1) * places).sum(), (image.sum(0) * places).sum()]) / image.sum()


def adjoint_error(fine_size: int, ground_size: int, rng: np.random.Generator) -> float:
    """|<A u, v> - <u, A^T v>| over the norms' product."""
    operator = operator_of(fine_size, ground_size)
    u = jnp.asarray(rng.normal(size=(fine_size, fine_size)), float)
    v = jnp.asarray(rng.normal(size=(ground_size, ground_size)), float)
    image, pull_back = jax.vjp(lambda stamp: observed_stamp(operator, stamp), u)
    difference = jnp.vdot(image, v) - jnp.vdot(u, pull_back(v)[0])
    return float(jnp.abs(difference) / (jnp.linalg.norm(image) * jnp.linalg.norm(v)))


def seconds_of_batch(n_stamps: int, n_repeats: int) -> float:
    """Median time of `n_stamps` stamps of 101 px to 41 px, in s."""
    psfs = drawn(FINE_PSF, 101, FINE_PIXEL_ARCSEC), drawn(GROUND_PSF, 41, GROUND_PIXEL_ARCSEC)
    operator = stamp_operator(
        *psfs, fine_size=101, fine_pixel_arcsec=FINE_PIXEL_ARCSEC, ground_shape=(41, 41),
        ground_pixel_arcsec=GROUND_PIXEL_ARCSEC,
    )  # fmt: skip
    stamps = jnp.asarray(np.random.default_rng(0).random((n_stamps, 101, 101)), jnp.float32)
    see = jax.jit(observed_stamp)
    see(operator, stamps).block_until_ready()
    times = []
    for _ in range(n_repeats):
        started = time.perf_counter()
        see(operator, stamps).block_until_ready()
        times.append(time.perf_counter() - started)
    return float(np.median(times))
