"""Images of three kinds of galaxies, drawn with GalSim: spheroids, discs, and discs with a companion."""

import numpy as np

from armillary.galaxy_stamps import StampFrame, parametric_stamp

KINDS = ("spheroid", "disc", "pair")
PIXEL_ARCSEC = 0.12
PSF_FWHM_ARCSEC = 0.36
RADIUS_ARCSEC = (0.3, 0.7)
SNR = 250  # of the whole galaxy, in the noise of as many pixels as its PSF has


def simulate_galaxies(n: int, side_px: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """x (n, side^2) images of flux 1 in units of the largest mean pixel, sigma of the noise, y (n, 3), kind (n,).

    # ASSUME: as many of each kind; half-light radii uniform in the logarithm; shapes |e| = (1 - q) / (1 + q) with q
    from 0.3 to 1 at any angle; companions with 40 % of the light, 0.3 to 0.9 arcsec away.
    """
    frame = StampFrame(side_px, PIXEL_ARCSEC, PSF_FWHM_ARCSEC)
    kind = rng.permutation(n) % len(KINDS)
    radius = np.exp(rng.uniform(*np.log(RADIUS_ARCSEC), n))
    axis_ratio, angle = rng.uniform(0.3, 1, n), rng.uniform(0, np.pi, n)
    light = np.array([
        parametric_stamp(_galaxy(*row), frame)
        for row in zip(kind, radius, axis_ratio, angle, rng.integers(1, 2**30, n), strict=True)
    ])  # fmt: skip
    light = light.reshape(n, -1)
    unit = light.mean(0).max()
    n_psf = np.pi * (PSF_FWHM_ARCSEC / PIXEL_ARCSEC) ** 2
    sigma = 1 / (SNR * np.sqrt(n_psf))
    seen = light + sigma * rng.normal(size=light.shape)
    size = (1 - axis_ratio) / (1 + axis_ratio)
    return {
        "x": seen / unit, "sigma": np.full_like(light, sigma / unit), "scale": np.full(n, unit),
        "y": np.column_stack([np.log10(radius), size * np.cos(2 * angle), size * np.sin(2 * angle)]),
        "y_names": np.array(["log_radius", "e1", "e2"]), "label": kind,
    }  # fmt: skip


def _galaxy(kind: int, radius: float, axis_ratio: float, angle: float, seed: int) -> dict:
    """What `galaxy_stamps.galaxy_profile` draws."""
    return {
        "radius_arcsec": radius, "axis_ratio": axis_ratio, "angle": angle, "seed": seed, "knot_share": 0.0,
        "clump_share": 0.0, "bulge_share": 0.0, "sersic_index": 4.0 if KINDS[kind] == "spheroid" else 1.0,
        "companion_share": 0.4 if KINDS[kind] == "pair" else 0.0,
    }  # fmt: skip
