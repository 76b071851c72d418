"""Simulated fields full of labelled objects: galaxies, stars, quasars, blends and lenses over a faint background.

Objects of all classes share one distribution of i magnitudes, so that brightness does not tell the class. A field is
rendered whole by the engine of the cluster chain (`armillary.kspace`), with noise of sky and sources, saturated cores
and trails in its mask; cutouts are then taken from it.
"""

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pandas as pd

from armillary import galaxies
from armillary.cutouts import BAD, SATURATED
from armillary.kspace import Sources, add_sources
from armillary.noise import fill_noise
from armillary.psf import stream
from armillary.quasars import sample_quasar_magnitudes
from armillary.rendering import field_psfs, field_scene, plan_field
from armillary.sky import sky_of_pixel, tan_wcs
from armillary.surveys import ZERO_POINT, Survey, survey_constants

BANDS = ("g", "r", "i", "z", "y")
CLASSES = ("galaxy", "qso", "star")
MAGNITUDE_SLOPE = 0.25  # of the decadic logarithm of the number of objects
NEIGHBOURS_PER_ARCMIN2, NEIGHBOUR_SLOPE = 46.0, 0.31  # galaxies with i < 25, LSST Science Book
NEIGHBOUR_BRIGHT, NEIGHBOUR_FAINT = 21.0, 25.0
ARC_POINTS = 14
PSF_CELL_PX = 512
FIELD_SPACING_DEG = 1.0


class Objects(NamedTuple):
    """Sources to draw, with the object (index) each belongs to, -1 for neighbours; the truth of the objects."""

    sources: Sources
    truth: pd.DataFrame  # one row an object: x, y (pixels), class, zspec, blend, lens, ...


def sample_objects(
    rng: np.random.Generator, red_sequence: galaxies.RedSequence, *, image_size: int, pixel_arcsec: float,
    spacing_px: float, class_shares: list[float], blend_share: float, lens_share: float, magnitude_range: list[float],
) -> Objects:  # fmt: skip
    """Objects on a jittered grid of `spacing_px` and neighbours anywhere in a field of `image_size` pixels.

    `class_shares` are those of galaxies, quasars and stars; blends and lenses are shares of the galaxies and objects.
    """
    x, y = _jittered_grid(rng, image_size, spacing_px)
    n_objects = len(x)
    kind = rng.choice(3, n_objects, p=np.asarray(class_shares) / np.sum(class_shares))
    magnitude = _power_law(rng, n_objects, *magnitude_range, MAGNITUDE_SLOPE)
    is_galaxy = kind == 0
    lens = is_galaxy & (rng.uniform(size=n_objects) < lens_share / max(is_galaxy.mean(), 1e-9))
    blend = is_galaxy & ~lens & (rng.uniform(size=n_objects) < blend_share)
    companion_share = np.where(blend, rng.uniform(0.25, 0.5, n_objects), 0.0)
    own = magnitude - 2.5 * np.log10(1 - companion_share)
    hosts = _galaxies(rng, red_sequence, own, lens)
    companions = _galaxies(rng, red_sequence, (magnitude - 2.5 * np.log10(np.maximum(companion_share, 0.01)))[blend])
    point_magnitudes, point_redshift = _points(rng, kind, magnitude)
    distance, angle = rng.uniform(0.8, 2.0, n_objects) / pixel_arcsec, rng.uniform(0, 2 * np.pi, n_objects)
    parts = [
        _parts(hosts, x, y, is_galaxy),
        _parts(companions, (x + distance * np.cos(angle))[blend], (y + distance * np.sin(angle))[blend]),
        _point_parts(point_magnitudes[~is_galaxy], x[~is_galaxy], y[~is_galaxy]),
        _arcs(rng, x[lens], y[lens], magnitude[lens], pixel_arcsec),
        _neighbours(rng, red_sequence, image_size, pixel_arcsec),
    ]
    truth = pd.DataFrame({
        "x": x, "y": y, "class": kind, "zspec": np.where(is_galaxy, hosts["redshift"], point_redshift),
        "blend": np.where(is_galaxy, blend, -1), "lens": lens.astype(int),
        "bulge_fraction": np.where(is_galaxy, hosts["bulge"], np.nan),
        "ellipticity": np.where(is_galaxy, np.hypot(*hosts["shear"].T), np.nan), "magnitude_i": magnitude,
    })  # fmt: skip
    joined = [np.concatenate([getattr(part, name) for part in parts], axis=-1) for name in Sources._fields]
    inside = (joined[0] >= 0) & (joined[0] < image_size) & (joined[1] >= 0) & (joined[1] < image_size)
    return Objects(Sources(*(np.ascontiguousarray(value[..., inside]) for value in joined)), truth)


def _jittered_grid(rng, image_size: int, spacing_px: float) -> tuple[np.ndarray, np.ndarray]:
    """Positions half a spacing from each other and from the field's edge at least, at any sub-pixel phase."""
    n_side = int(image_size // spacing_px)
    if n_side < 1:
        raise ValueError(
            f"image_size is {image_size} px, below one spacing of {spacing_px} (config key `mim: simulate_sky`)"
        )
    rows, columns = np.divmod(np.arange(n_side**2), n_side)
    jitter = rng.uniform(-0.2, 0.2, (2, n_side**2))
    return (columns + 0.5 + jitter[0]) * spacing_px, (rows + 0.5 + jitter[1]) * spacing_px


def _power_law(rng, n: int, bright: float, faint: float, slope: float) -> np.ndarray:
    """Magnitudes whose number grows as 10^(slope m) between two limits."""
    low, high = 10 ** (slope * bright), 10 ** (slope * faint)
    return np.log10(rng.uniform(low, high, n)) / slope


def _galaxies(rng, red_sequence: galaxies.RedSequence, magnitude_i: np.ndarray, lens=None) -> dict[str, np.ndarray]:
    """Bulge and disc fluxes (n, 5), sizes, shapes and redshifts of galaxies of given i magnitudes.

    # ASSUME: p(z | i) ~ z^2 exp(-(z / z0)^1.5) with z0 = 0.13 + 0.1 (i - 19) between 0.05 and 1.15; a bulge has
    # red-sequence colours at its redshift, a disc those of a blue galaxy; lenses are red.
    """
    n = len(magnitude_i)
    scale = np.clip(0.13 + 0.1 * (magnitude_i - 19.0), 0.1, None)
    redshift = np.clip(scale * rng.gamma(2.0, size=n) ** (2 / 3), 0.05, 1.15)
    offset = magnitude_i - galaxies.mstar_i(red_sequence, redshift)
    is_red = rng.uniform(size=n) < galaxies.red_fraction_in_field(offset)
    is_red |= np.zeros(n, bool) if lens is None else lens
    bulge = galaxies.sample_bulge_fractions(rng, is_red, np.zeros(n, bool))
    red, blue = (galaxies.sample_colours(rng, red_sequence, redshift, np.full(n, flag)) for flag in (True, False))
    disc_colours = np.where(is_red[:, None], 0.6 * red + 0.4 * blue, blue)
    counts = 10 ** (0.4 * (ZERO_POINT - magnitude_i))[:, None]
    hlr = galaxies.sample_sizes_arcsec(rng, redshift, offset, is_red, np.zeros(n, bool))
    return {
        "redshift": redshift,
        "bulge": bulge,
        "bulge_flux": bulge[:, None] * counts * _relative_flux(rng, red),
        "disc_flux": (1 - bulge)[:, None] * counts * _relative_flux(rng, disc_colours),
        "hlr": np.clip(hlr, 0.05, 4.0),
        "shear": galaxies.sample_shears(rng, np.full(n, 0.25)),
    }


def _relative_flux(rng, colours: np.ndarray) -> np.ndarray:
    """Fluxes (n, 5) in g r i z y over that in i, from g-r, r-i, i-z.

    # ASSUME: z - y = 0.5 (i - z) with 0.03 mag of scatter, as of galaxies and stars alike.
    """
    gr, ri, iz = colours.T
    zy = 0.5 * iz + 0.03 * rng.standard_normal(len(iz))
    return 10 ** (-0.4 * np.stack([gr + ri, ri, 0 * ri, -iz, -iz - zy], 1))


def _points(rng, kind: np.ndarray, magnitude_i: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Magnitudes (n, 5) of quasars and stars, and redshifts: uniform from 0.3 to 4 for quasars, NaN for stars."""
    n = len(kind)
    redshift = rng.uniform(0.3, 4.0, n)
    quasars = sample_quasar_magnitudes(rng, redshift, magnitude_i)
    stars = magnitude_i[:, None] - 2.5 * np.log10(_relative_flux(rng, galaxies.sample_star_colours(rng, n)))
    is_quasar = kind == 1
    return np.where(is_quasar[:, None], quasars, stars), np.where(is_quasar, redshift, np.nan)


def _parts(of: dict, x: np.ndarray, y: np.ndarray, kept: np.ndarray | None = None) -> Sources:
    """Bulges and discs as sources of their own; a bulge has half the size of its galaxy and half its ellipticity."""
    kept = np.ones(len(x), bool) if kept is None else kept
    x, y, of = x[kept], y[kept], {name: value[kept] for name, value in of.items()}
    zeros = np.zeros(len(x))
    flux = np.concatenate([of["bulge_flux"], of["disc_flux"]]).T
    hlr, shear = np.append(0.6 * of["hlr"], of["hlr"]), np.concatenate([0.5 * of["shear"], of["shear"]])
    parts = Sources(np.append(x, x), np.append(y, y), flux, hlr, np.append(zeros + 1, zeros), *shear.T)
    visible = flux.sum(0) > 0
    return Sources(*(value[..., visible] for value in parts))


def _point_parts(magnitudes: np.ndarray, x: np.ndarray, y: np.ndarray) -> Sources:
    zeros = np.zeros(len(x))
    return Sources(x, y, 10 ** (0.4 * (ZERO_POINT - magnitudes.T)), zeros, zeros, zeros, zeros)


def _arcs(rng, x: np.ndarray, y: np.ndarray, magnitude_i: np.ndarray, pixel_arcsec: float) -> Sources:
    """Tangential blue arcs with a fainter counter-image: small discs along a circle around each lens.

    # ASSUME: Einstein radii of 0.9 to 1.7 arcsec, arcs of 70 to 170 degrees and 0.7 to 1.9 mag fainter than the lens.
    """
    n = len(x)
    radius = rng.uniform(0.9, 1.7, (n, 1)) / pixel_arcsec
    start, extent = rng.uniform(0, 2 * np.pi, (n, 1)), np.radians(rng.uniform(70, 170, (n, 1)))
    place = np.linspace(-0.5, 0.5, ARC_POINTS - 3)[None]
    angle = np.concatenate([start + place * extent, start + np.pi + np.linspace(-0.2, 0.2, 3)[None]], 1)
    share = np.append(np.full(ARC_POINTS - 3, 0.8 / (ARC_POINTS - 3)), np.full(3, 0.2 / 3))
    total = 10 ** (0.4 * (ZERO_POINT - magnitude_i - rng.uniform(0.7, 1.9, n)))
    colours = np.stack([rng.normal(0.25, 0.12, n), rng.normal(0.15, 0.08, n), rng.normal(0.1, 0.06, n)], 1)
    flux = (total[:, None] * _relative_flux(rng, colours))[:, None] * share[:, None]  # (n, ARC_POINTS, 5)
    zeros = np.zeros(n * ARC_POINTS)
    positions = (x[:, None] + radius * np.cos(angle)).ravel(), (y[:, None] + radius * np.sin(angle)).ravel()
    return Sources(*positions, flux.reshape(-1, len(BANDS)).T, zeros + 0.13, zeros, zeros, zeros)


def _neighbours(rng, red_sequence, image_size: int, pixel_arcsec: float) -> Sources:
    """Faint galaxies anywhere in the field, 46 per arcmin2 to i = 25 without the rare bright ones."""
    area_arcmin2 = (image_size * pixel_arcsec / 60) ** 2
    share = 1 - 10 ** (NEIGHBOUR_SLOPE * (NEIGHBOUR_BRIGHT - NEIGHBOUR_FAINT))
    n = rng.poisson(NEIGHBOURS_PER_ARCMIN2 * share * area_arcmin2)
    magnitude = _power_law(rng, n, NEIGHBOUR_BRIGHT, NEIGHBOUR_FAINT, NEIGHBOUR_SLOPE)
    x, y = rng.uniform(0, image_size, (2, n))
    return _parts(_galaxies(rng, red_sequence, magnitude), x, y)


class FieldImages(NamedTuple):
    """A rendered field: images and variance (5, size, size) in counts, mask bits, seeing (5,) in arcsec."""

    images: np.ndarray
    variance: np.ndarray
    mask: np.ndarray
    psf_fwhm_arcsec: np.ndarray


def render_objects(
    objects: Objects, survey: Survey, gain: dict[str, float], *, image_size: int, seed: int, field: int,
    noise_correlation_px: float, saturation_magnitude: float, n_trails: float,
) -> FieldImages:  # fmt: skip
    """Draw a field's sources, add the noise of sky and sources, mark saturated cores and trails of satellites.

    `gain` is electrons a count; a pixel saturates where a star of `saturation_magnitude` has its peak.
    """
    psfs = field_psfs(
        survey, list(BANDS), image_size=image_size, seed=seed, field=field, psf_profile="moffat", seeing_scatter=0.08,
        psf_variation=0.02, psfex_models=None,
    )  # fmt: skip
    images = np.zeros((len(BANDS), image_size, image_size), np.float32)
    plan = plan_field(objects.sources, survey, list(BANDS), psfs, 0.02, False)
    add_sources(images, field_scene(objects.sources, survey, image_size, PSF_CELL_PX), plan, psfs)
    fwhm = np.array([psf.fwhm_arcsec for psf in psfs])
    variance, mask = np.empty_like(images), np.zeros(images.shape, np.uint8)
    for number, (band, image) in enumerate(zip(BANDS, images, strict=True)):
        rng = stream(seed, field, band, "noise")
        variance[number] = survey.sky_sigma[band] ** 2 + np.maximum(image, 0) / gain[band]
        peak = 10 ** (0.4 * (ZERO_POINT - saturation_magnitude)) * 0.7 * (survey.pixel_arcsec / fwhm[number]) ** 2
        mask[number][image > peak] |= SATURATED
        noise = np.empty_like(image)
        fill_noise(noise, 1.0, rng, noise_correlation_px)
        image += noise * np.sqrt(variance[number])
        image[mask[number] > 0] = np.minimum(image[mask[number] > 0], peak)
        _add_trails(image, mask[number], survey.sky_sigma[band], rng, n_trails)
    return FieldImages(images, variance, mask, fwhm)


def _add_trails(image: np.ndarray, mask: np.ndarray, sigma: float, rng, n_trails: float) -> None:
    """Straight trails of 3 px, 10 to 40 sigma bright, marked BAD."""
    side = image.shape[0]
    for _ in range(rng.poisson(n_trails)):
        start, slope = rng.uniform(0, side), rng.uniform(-0.5, 0.5)
        columns = np.arange(side)
        rows = np.rint(start + slope * (columns - side / 2)).astype(int)
        for step in (-1, 0, 1):
            inside = (rows + step >= 0) & (rows + step < side)
            image[rows[inside] + step, columns[inside]] += rng.uniform(10, 40) * sigma
            mask[rows[inside] + step, columns[inside]] |= BAD


def survey_of_field(survey: str, rng: np.random.Generator, depth_scatter: float, seeing_scatter: float) -> Survey:
    """The survey with this field's own depth (ln scatter of the noise) and seeing, the same factor in all bands."""
    constants = survey_constants(survey)
    if not set(BANDS) <= set(constants.bands):
        raise ValueError(f"survey {survey!r} lacks one of {' '.join(BANDS)} (config key `mim: simulate_sky: survey`)")
    depth, seeing = np.exp(rng.standard_normal(2) * [depth_scatter, seeing_scatter])
    return replace(
        constants,
        sky_sigma={band: sigma * depth for band, sigma in constants.sky_sigma.items()},
        psf_fwhm_arcsec={band: fwhm * seeing for band, fwhm in constants.psf_fwhm_arcsec.items()},
    )


def electrons_per_count(survey: str) -> dict[str, float]:
    """Electrons of one count at zero point 30 over the full exposure of `hsc` or `lsst`, by band."""
    from surveycodex import get_survey

    book = get_survey(survey.upper())
    pages = {band: book.get_filter(band) for band in BANDS}
    return {
        band: float(page.full_exposure_time.value * 10 ** (0.4 * (page.zeropoint.value - ZERO_POINT)))
        for band, page in pages.items()
    }


def patches_of_field(
    truth: pd.DataFrame, field: int, *, image_size: int, pixel_arcsec: float, overlap_px: int, rng: np.random.Generator
) -> pd.DataFrame:
    """The objects as four overlapping patches list them: an object in an overlap comes more than once.

    Adds patch, ra and dec (deg, with 0.1 arcsec of scatter a patch) to the rows.
    """
    middle, reach = image_size / 2, overlap_px / 2
    wcs = tan_wcs(*object_field_centre(field), image_size, pixel_arcsec)
    listed = []
    for patch in range(4):
        sides = [
            (truth[axis] < middle + reach) if (patch >> bit) % 2 == 0 else (truth[axis] >= middle - reach)
            for bit, axis in enumerate("xy")
        ]
        rows = truth[sides[0] & sides[1]]
        scatter = rng.normal(0, 0.1 / pixel_arcsec, (2, len(rows)))
        ra, dec = sky_of_pixel(rows["x"] + scatter[0], rows["y"] + scatter[1], wcs)
        listed.append(rows.assign(ra=ra, dec=dec, patch=4 * field + patch))
    return pd.concat(listed, ignore_index=True)


def object_field_centre(field: int) -> tuple[float, float]:
    """(ra, dec) in degrees of a field: the middles of cells of one degree near the equator."""
    return 0.5 + FIELD_SPACING_DEG * (field % 360), -3.5 + FIELD_SPACING_DEG * (field // 360 % 8)
