"""Stamps of galaxies as a space telescope sees them, drawn with GalSim: parametric ones, and real ones of a catalogue.

All stamps of a set have one frame and one effective PSF, and flux 1: what a galaxy looks like is learned apart from
how bright it is. The PSF that a galaxy was observed with is kept beside the effective one.
"""

from pathlib import Path
from typing import NamedTuple

import galsim
import numpy as np

from armillary.stamp_sets import SPLITS, StampSet
from armillary.step import progress

SERSIC_STEP = 0.25  # indices are rounded: GalSim keeps a table for each
EDGE_PX = 2  # of a catalogue's stamp, where its sky is measured
MAG_SLOPE = 0.30  # d log10 N / d mag, of galaxies between i = 21 and 25


class StampFrame(NamedTuple):
    """The grid and effective PSF (a Gaussian) of a set of stamps."""

    size_px: int
    pixel_arcsec: float
    psf_fwhm_arcsec: float

    def draw(self, profile: galsim.GSObject) -> np.ndarray:
        """A profile, already convolved, on the grid: flux a pixel (size, size)."""
        return profile.drawImage(nx=self.size_px, ny=self.size_px, scale=self.pixel_arcsec, method="no_pixel").array

    @property
    def psf(self) -> galsim.GSObject:
        """The effective PSF."""
        return galsim.Gaussian(fwhm=self.psf_fwhm_arcsec)

    def psf_image(self) -> np.ndarray:
        """The effective PSF on an odd grid of the stamps' pixels, flux 1."""
        size = self.size_px // 2 * 2 + 1
        image = self.psf.drawImage(nx=size, ny=size, scale=self.pixel_arcsec, method="no_pixel").array
        return image / image.sum()


def sample_parameters(rng: np.random.Generator, n: int, mag_min: float, mag_max: float) -> dict[str, np.ndarray]:
    """Parameters of n galaxies, arrays (n,): mag, half-light radii (arcsec), Sersic index, shapes, shares of the light.

    # ASSUME: counts rise as 10^(0.3 mag); sizes are log-normal around 0.32" (0.4 in ln) at magnitude 22.5 and shrink
    # by 0.08 dex a magnitude, about as galaxies of COSMOS do (Leauthaud et al. 2007); three in four are discs, half of
    # these with a bulge; six discs in ten have star-forming knots, as many a few large clumps; one galaxy in twelve
    # has a close companion; the axis ratio of a disc is flat, that of a spheroid is above 0.5.
    """
    share = rng.uniform(size=n)
    low, high = 10 ** (MAG_SLOPE * mag_min), 10 ** (MAG_SLOPE * mag_max)
    mag = np.log10(low + share * (high - low)) / MAG_SLOPE
    radius = np.clip(0.32 * 10 ** (-0.08 * (mag - 22.5)) * np.exp(rng.normal(0, 0.4, n)), 0.08, 0.8)
    is_disc = rng.uniform(size=n) < 0.75
    index = np.where(is_disc, rng.normal(1.0, 0.25, n), rng.uniform(2.0, 4.25, n))
    axis_ratio = np.where(is_disc, rng.uniform(0.2, 1.0, n), rng.uniform(0.5, 1.0, n))
    return {
        "mag": mag,
        "radius_arcsec": np.where(is_disc, radius, 0.8 * radius),
        "sersic_index": np.clip(np.round(index / SERSIC_STEP) * SERSIC_STEP, 0.5, 4.25),
        "bulge_share": _some(rng, is_disc, 0.5, 0.05, 0.6),
        "bulge_radius_arcsec": np.clip(radius * rng.uniform(0.15, 0.6, n), 0.05, 0.5),
        "axis_ratio": axis_ratio,
        "bulge_axis_ratio": rng.uniform(0.6, 1.0, n),
        "angle": rng.uniform(0, np.pi, n),
        "knot_share": _some(rng, is_disc, 0.6, 0.03, 0.25),
        "clump_share": _some(rng, is_disc, 0.6, 0.05, 0.5),
        "companion_share": _some(rng, np.ones(n, bool), 1 / 12, 0.05, 0.5),
        "seed": rng.integers(1, 2**30, n),
    }


def _some(rng: np.random.Generator, candidates: np.ndarray, chance: float, low: float, high: float) -> np.ndarray:
    """Shares between `low` and `high` for some of the candidates, 0 for the rest."""
    chosen = candidates & (rng.uniform(size=len(candidates)) < chance)
    return np.where(chosen, rng.uniform(low, high, len(candidates)), 0.0)


def galaxy_profile(row: dict) -> galsim.GSObject:
    """The profile, of flux 1, of one galaxy of `sample_parameters`."""
    rng = np.random.default_rng(int(row["seed"]))
    radius, angle = row["radius_arcsec"], row["angle"] * galsim.radians
    smooth = (1.0 - row["knot_share"]) * (1.0 - row["clump_share"])
    disc = galsim.Sersic(row["sersic_index"], half_light_radius=radius, flux=smooth)
    if row["knot_share"] > 0:
        disc += galsim.RandomKnots(
            int(rng.integers(4, 40)), half_light_radius=radius, flux=row["knot_share"] * (1.0 - row["clump_share"]),
            rng=galsim.BaseDeviate(int(row["seed"])),
        )  # fmt: skip
    if row["clump_share"] > 0:
        disc += _clumps(rng, radius, row["clump_share"])
    profile = disc.shear(q=row["axis_ratio"], beta=angle)
    if row["bulge_share"] > 0:
        bulge = galsim.DeVaucouleurs(half_light_radius=row["bulge_radius_arcsec"], flux=row["bulge_share"])
        profile = (1.0 - row["bulge_share"]) * profile + bulge.shear(q=row["bulge_axis_ratio"], beta=angle)
    if row["companion_share"] > 0:
        away, turned = rng.uniform(0.3, 0.9), rng.uniform(0, 2 * np.pi)
        companion = galsim.Exponential(half_light_radius=radius * rng.uniform(0.3, 0.8)).shear(
            q=rng.uniform(0.4, 1.0), beta=rng.uniform(0, np.pi) * galsim.radians
        )
        companion = companion.shift(away * np.cos(turned), away * np.sin(turned))
        profile = (1.0 - row["companion_share"]) * profile + row["companion_share"] * companion
    return profile.withFlux(1.0)


def _clumps(rng: np.random.Generator, radius: float, flux: float) -> galsim.GSObject:
    """One to six Gaussian clumps of a disc, brighter and fainter ones, within about its half-light radius."""
    n = int(rng.integers(1, 7))
    shares = rng.dirichlet(np.ones(n))
    return galsim.Add(
        [
            galsim.Gaussian(half_light_radius=radius * rng.uniform(0.1, 0.5), flux=flux * share).shift(
                *rng.normal(0, 0.7 * radius, 2)
            )
            for share in shares
        ]
    )


def parametric_stamp(row: dict, frame: StampFrame) -> np.ndarray:
    """One parametric galaxy in its frame, without noise (size, size)."""
    return frame.draw(galsim.Convolve(galaxy_profile(row), frame.psf))


def space_telescope_psf(pixel_arcsec: float) -> galsim.GSObject:
    """An obscured 2.4 m aperture at 814 nm, with the pixel: what parametric galaxies pretend to be observed with."""
    return galsim.Convolve(galsim.OpticalPSF(lam=814, diam=2.4, obscuration=0.33), galsim.Pixel(pixel_arcsec))


def real_stamps(folder: str, catalog: str, frame: StampFrame, mag_max: float, min_snr: float) -> StampSet:
    """Galaxies of a GalSim RealGalaxyCatalog in our frame: their own PSF taken out, the effective one put in.

    The noise is what the space image had, filtered alike, and ends where the catalogue's own stamp does.
    Raises ValueError when no galaxy passes the cuts.
    """
    book = galsim.RealGalaxyCatalog(catalog, dir=str(Path(folder).resolve()))
    rows = []
    for index in range(book.nobjects):
        if book.mag[index] > mag_max:
            continue
        galaxy = galsim.Convolve(galsim.RealGalaxy(book, index=index), frame.psf)
        image = frame.draw(galaxy)
        variance = galaxy.noise.getVariance() * _noise_share(book, index, frame)
        flux = image.sum()
        if flux < min_snr * variance.sum() ** 0.5:
            continue
        original = frame.draw(book.getPSF(index))
        rows.append((image / flux, original / original.sum(), variance / flux**2, book.mag[index], index))
    if not rows:
        raise ValueError(
            f"{catalog}: none of {book.nobjects} galaxies is brighter than {mag_max:g} with a flux above {min_snr:g} "
            "times the noise of its stamp (config keys `mag_max`, `min_snr` of `render_stamps`)"
        )
    images, psfs, variances, mags, ids = (np.array(column, np.float32) for column in zip(*rows, strict=True))
    return StampSet(
        image=images, effective_psf=frame.psf_image(), original_psf=psfs, variance=variances,
        mask=np.zeros(images.shape, np.uint32), mag=mags, id=ids.astype(np.int64),
        split=np.full(len(images), SPLITS.index("test"), np.int8), pixel_arcsec=frame.pixel_arcsec,
    )  # fmt: skip


def split_at_random(rng: np.random.Generator, found: StampSet, numbers: dict[str, int]) -> StampSet:
    """The set, a PSF of each galaxy's own in it, with as many of each split as `numbers` says, at random; what is left
    over is left out.

    Raises ValueError when there are fewer.
    """
    wanted = sum(numbers.values())
    if wanted > len(found.image):
        raise ValueError(
            f"{wanted} galaxies are wanted to learn from, {len(found.image)} pass the cuts (config keys `learn_from`, "
            "`render_stamps`)"
        )
    chosen = rng.permutation(len(found.image))[:wanted]
    rows = {name: getattr(found, name)[chosen] for name in ("image", "original_psf", "variance", "mask", "mag", "id")}
    split = np.repeat([SPLITS.index(name) for name in numbers], list(numbers.values())).astype(np.int8)
    return found._replace(**rows, split=split)


def _noise_share(book: galsim.RealGalaxyCatalog, index: int, frame: StampFrame) -> np.ndarray:
    """Variance of the frame's pixels (size, size) over that of one of the catalogue's pixels, 0 beyond its stamp.

    A pixel of ours holds so many times the light, and noise, of a smaller one of theirs.
    # ASSUME: the catalogue's noise is no larger than the scatter at the edge of its stamp, whatever it says
    """
    image, pixel_arcsec = book.getGalImage(index).array, book.pixel_scale[index]
    edge = np.concatenate(
        [image[:EDGE_PX].ravel(), image[-EDGE_PX:].ravel(), image[:, :EDGE_PX].ravel(), image[:, -EDGE_PX:].ravel()]
    )
    scatter = 1.4826 * np.median(np.abs(edge - np.median(edge)))
    less = min(1.0, scatter**2 / book.variance[index])
    places = np.abs(np.arange(frame.size_px) - (frame.size_px - 1) / 2) * frame.pixel_arcsec
    inside = np.outer(*(places < 0.5 * n * pixel_arcsec for n in image.shape))
    return inside * less * (frame.pixel_arcsec / pixel_arcsec) ** 4


def parametric_stamps(
    rng: np.random.Generator, frame: StampFrame, numbers: dict[str, int], mag_min: float, mag_max: float
) -> StampSet:
    """As many galaxies of each split as `numbers` says, noise-free; none is in two splits."""
    parameters = sample_parameters(rng, sum(numbers.values()), mag_min, mag_max)
    rows = [dict(zip(parameters, values, strict=True)) for values in zip(*parameters.values(), strict=True)]
    images = np.array([parametric_stamp(row, frame) for row in progress(rows, "stamps")], np.float32)
    original = frame.draw(space_telescope_psf(frame.pixel_arcsec)).astype(np.float32)
    return StampSet(
        image=images, effective_psf=frame.psf_image(), original_psf=original[None] / original.sum(),
        variance=np.zeros((len(rows), 1, 1), np.float32), mask=np.zeros(images.shape, np.uint32),
        mag=parameters["mag"].astype(np.float32), id=np.arange(len(rows)),
        split=np.repeat([SPLITS.index(name) for name in numbers], list(numbers.values())).astype(np.int8),
        pixel_arcsec=frame.pixel_arcsec,
    )  # fmt: skip
