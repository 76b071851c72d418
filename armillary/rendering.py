"""A field's catalogue to its images: sources drawn on independent noise in every band.

Engine `kspace` is armillary.kspace; engine `galsim_loop` is the reference, one `drawImage` a source and band.
"""

import galsim
import numpy as np
import pandas as pd

from armillary.kspace import Plan, Scene, Sources, add_sources, plan_stamps
from armillary.noise import fill_noise
from armillary.psf import PsfexPsf, SeeingPsf, psf_cell, psf_of_cell, read_psf, sample_psf, stream
from armillary.sky import wcs_keywords
from armillary.surveys import Survey, check_bands, survey_constants

ENGINES = ("kspace", "galsim_loop")
STRICT_PEAK_FRACTION = 5e-4


def render_field(
    catalog: pd.DataFrame,
    *,
    survey: str,
    bands: list[str],
    image_size: int,
    seed: int,
    field: int,
    engine: str = "kspace",
    edge_sigma: float = 0.02,
    strict: bool = False,
    noise: bool = True,
    noise_correlation_pixels: float = 0.0,
    psf_profile: str = "kolmogorov",
    seeing_scatter: float = 0.07,
    psf_variation: float = 0.01,
    psf_cell_px: int = 640,
    psfex_models: list[str] | None = None,
    name: str = "the catalogue",
) -> tuple[np.ndarray, list[SeeingPsf | PsfexPsf]]:
    """Draw a catalogue in every band, on noise.

    Returns images (n_bands, image_size, image_size), float32 counts at zero point 30, and one PSF a band.
    Random streams belong to (seed, field, band, purpose): bands drawn one call at a time have the noise and
    seeing that they have together. `edge_sigma` is the light left out at a stamp's edge in units of the sky
    noise; `strict` bounds it by each source's own peak instead (STRICT_PEAK_FRACTION). The PSF is constant
    within cells of about `psf_cell_px` pixels. `name` is what errors call the catalogue.
    """
    constants = survey_constants(survey)
    _require_engine(engine)
    psfs = field_psfs(
        constants,
        bands,
        image_size=image_size,
        seed=seed,
        field=field,
        psf_profile=psf_profile,
        seeing_scatter=seeing_scatter,
        psf_variation=psf_variation,
        psfex_models=psfex_models,
    )
    sources = catalog_sources(catalog, bands, image_size, name)
    images = np.zeros((len(bands), image_size, image_size), np.float32)
    if noise:
        for image, band in zip(images, bands, strict=True):
            fill_noise(image, constants.sky_sigma[band], stream(seed, field, band, "noise"), noise_correlation_pixels)
    scene = field_scene(sources, constants, image_size, psf_cell_px)
    if engine == "kspace":
        add_sources(images, scene, plan_field(sources, constants, bands, psfs, edge_sigma, strict), psfs)
    else:
        for band, (image, psf) in enumerate(zip(images, psfs, strict=True)):
            add_sources_one_by_one(image, scene, band, psf)
    return images, psfs


def image_header(
    constants: Survey, band: str, psf: SeeingPsf | PsfexPsf, *, image_size: int, ra_deg: float, dec_deg: float
) -> dict:
    """FITS keywords of one band: TAN WCS, zero point, unit, seeing and noise."""
    return {
        **wcs_keywords(ra_deg, dec_deg, image_size, constants.pixel_arcsec),
        "MAGZERO": constants.zero_point,
        "BUNIT": "count",
        "SURVEY": constants.name,
        "FILTER": band,
        "PIXSCALE": constants.pixel_arcsec,
        "SEEING": psf.fwhm_arcsec,
        "SKYSIGMA": constants.sky_sigma[band],
    }


def catalog_sources(catalog: pd.DataFrame, bands: list[str], image_size: int, name: str) -> Sources:
    """The catalogue's columns as arrays; ValueError naming file and row for what cannot be drawn."""
    columns = ["X", "Y", "HLR", "FRACDEV", "G1", "G2", *(f"FLUX_{band.upper()}" for band in bands)]
    missing = [column for column in columns if column not in catalog.columns]
    if missing:
        raise ValueError(
            f"{name} lacks column {missing[0]}; rendering bands {' '.join(bands)} needs {' '.join(columns)}"
        )
    if len(catalog) == 0:
        raise ValueError(f"{name} has no sources; sample it again or drop it (config key `clusters: sample_catalog`)")
    values = catalog[columns].to_numpy(np.float64)
    _require_rows(
        np.isfinite(values).all(axis=1),
        name,
        "has a value that is not finite in {}",
        lambda row: columns[int(np.argmin(np.isfinite(values[row])))],
    )
    x, y, hlr, fracdev, g1, g2 = np.ascontiguousarray(values[:, :6].T)
    inside = (x >= 0) & (x < image_size) & (y >= 0) & (y < image_size)
    _require_rows(
        inside,
        name,
        f"is outside the image of {image_size} px: X, Y = {{}} (config key `image_size`)",
        lambda row: f"{x[row]:.2f}, {y[row]:.2f}",
    )
    _require_rows(
        (fracdev >= 0) & (fracdev <= 1) & (hlr >= 0),
        name,
        "needs HLR >= 0 and 0 <= FRACDEV <= 1: {}",
        lambda row: f"HLR {hlr[row]:g}, FRACDEV {fracdev[row]:g}",
    )
    _require_rows(
        g1**2 + g2**2 < 0.95**2,
        name,
        "has a shear of {}; |g| must be below 0.95",
        lambda row: f"{np.hypot(g1[row], g2[row]):.3f}",
    )
    return Sources(x, y, np.ascontiguousarray(values[:, 6:].T), hlr, np.where(hlr > 0, fracdev, 0.0), g1, g2)


def field_psfs(
    constants: Survey,
    bands: list[str],
    *,
    image_size: int,
    seed: int,
    field: int,
    psf_profile: str,
    seeing_scatter: float,
    psf_variation: float,
    psfex_models: list[str] | None,
) -> list[SeeingPsf | PsfexPsf]:
    """One PSF a band: random seeing, or the PSFEx model files named, one a band."""
    check_bands(constants, bands)
    if not psfex_models:
        return [
            sample_psf(
                constants,
                band,
                image_size=image_size,
                seed=seed,
                field=field,
                psf_profile=psf_profile,
                seeing_scatter=seeing_scatter,
                psf_variation=psf_variation,
            )
            for band in bands
        ]
    if len(psfex_models) != len(bands):
        raise ValueError(
            f"psfex_models lists {len(psfex_models)} files for {len(bands)} bands; name one a band, in the "
            "order of `bands` (config key `clusters: render_images: psfex_models`)"
        )
    return [read_psf(path, image_size) for path in psfex_models]


def field_scene(sources: Sources, constants: Survey, image_size: int, psf_cell_px: int) -> Scene:
    """A field's sources in cells of constant PSF, about `psf_cell_px` pixels a side."""
    n_psf_cells = -(-image_size // psf_cell_px)
    cell = psf_cell(sources.x, sources.y, image_size, n_psf_cells)
    return Scene(sources, cell, constants.pixel_arcsec, image_size, n_psf_cells)


def plan_field(
    sources: Sources,
    constants: Survey,
    bands: list[str],
    psfs: list[SeeingPsf | PsfexPsf],
    edge_sigma: float,
    strict: bool,
) -> Plan:
    """Stamp sizes and k bands of a field's sources for the survey's noise."""
    sky_sigma = [constants.sky_sigma[band] for band in bands]
    return plan_stamps(
        sources, psfs, sky_sigma, constants.pixel_arcsec, edge_sigma, STRICT_PEAK_FRACTION if strict else None
    )


def galsim_source(sources: Sources, row: int, gsparams: galsim.GSParams | None = None) -> galsim.GSObject:
    """The profile of a galaxy, unit flux, before the PSF, built from GalSim's public classes."""
    fracdev, hlr = sources.fracdev[row], sources.hlr_arcsec[row]
    parts = []
    if fracdev < 1:
        parts.append(galsim.Exponential(half_light_radius=hlr, flux=1 - fracdev, gsparams=gsparams))
    if fracdev > 0:
        parts.append(galsim.DeVaucouleurs(half_light_radius=hlr, flux=fracdev, gsparams=gsparams))
    profile = parts[0] if len(parts) == 1 else galsim.Sum(parts)
    return profile.shear(g1=sources.g1[row], g2=sources.g2[row])


def add_sources_one_by_one(
    image: np.ndarray,
    scene: Scene,
    band: int,
    psf: SeeingPsf | PsfexPsf,
    *,
    rows: np.ndarray | None = None,
    corner: tuple[int, int] = (0, 0),
    stamp_size: int | None = None,
    gsparams: galsim.GSParams | None = None,
) -> None:
    """Add sources to the image of the band-th band with one Convolve().drawImage() each: the reference engine.

    `stamp_size` None leaves the stamp to GalSim. `image` begins at pixel `corner` of the field.
    """
    sources, cell = scene.sources, scene.cell
    canvas = galsim.Image(image, xmin=corner[0] + 1, ymin=corner[1] + 1)
    psf_profiles = {
        number: psf_of_cell(psf, number, scene.image_size, scene.n_psf_cells) for number in np.unique(cell).tolist()
    }
    for row in range(sources.x.size) if rows is None else rows:
        profile = psf_profiles[int(cell[row])]
        if sources.hlr_arcsec[row] > 0:
            profile = galsim.Convolve([galsim_source(sources, row), profile], gsparams=gsparams)
        elif psf.includes_pixel:
            # Sampled directly, the interpolant of a pixelised model does not conserve flux.
            profile = galsim.Convolve([profile, galsim.DeltaFunction()], gsparams=gsparams)
        elif gsparams is not None:
            profile = profile.withGSParams(gsparams)
        # FITS coordinates (first pixel's centre at 1) are ours + 0.5.
        centre = galsim.PositionD(sources.x[row] + 0.5, sources.y[row] + 0.5)
        stamp = (profile * sources.flux[band, row]).drawImage(
            nx=stamp_size,
            ny=stamp_size,
            scale=scene.pixel_arcsec,
            center=centre,
            method="no_pixel" if psf.includes_pixel else "auto",
        )
        overlap = stamp.bounds & canvas.bounds
        if overlap.isDefined():
            canvas[overlap] += stamp[overlap]


def _require_engine(engine: str) -> None:
    if engine not in ENGINES:
        raise ValueError(f"engine is {engine!r}; known are {', '.join(ENGINES)} (config key `render_images: engine`)")


def _require_rows(good: np.ndarray, name: str, complaint: str, value) -> None:
    if not good.all():
        row = int(np.argmin(good))
        raise ValueError(f"{name}, source row {row}: {complaint.format(value(row))}")
