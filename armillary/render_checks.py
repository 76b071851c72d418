"""What the k-space engine leaves out: stamps and images against GalSim at tight settings."""

import galsim
import numpy as np
import pandas as pd

from armillary.kspace import Plan, Scene, add_sources
from armillary.psf import PsfexPsf, SeeingPsf
from armillary.rendering import add_sources_one_by_one, catalog_sources, field_scene, plan_field
from armillary.surveys import survey_constants

TRUTH = galsim.GSParams(
    folding_threshold=1e-3,
    maxk_threshold=1e-5,
    kvalue_accuracy=1e-7,
    xvalue_accuracy=1e-7,
    maximum_fft_size=16384,
)


def compare_field(
    catalog: pd.DataFrame,
    psfs: list[SeeingPsf | PsfexPsf],
    generator: np.random.Generator,
    *,
    survey: str,
    bands: list[str],
    image_size: int,
    n_compared: int,
    edge_sigma: float,
    strict: bool,
    psf_cell_px: int,
    name: str,
) -> pd.DataFrame:
    """`compare_engines` for `n_compared` random sources of a field, each in a random band (column `band`)."""
    constants = survey_constants(survey)
    sources = catalog_sources(catalog, bands, image_size, name)
    plan = plan_field(sources, constants, bands, psfs, edge_sigma, strict)
    scene = field_scene(sources, constants, image_size, psf_cell_px)
    rows = generator.choice(len(catalog), min(n_compared, len(catalog)), replace=False)
    numbers = generator.integers(len(bands), size=rows.size)
    frames = [
        compare_engines(
            scene, number, psfs[number], plan, rows[numbers == number], sky_sigma=constants.sky_sigma[band]
        ).assign(band=band)
        for number, band in enumerate(bands)
    ]
    return pd.concat(frames, ignore_index=True)


def compare_engines(
    scene: Scene, band: int, psf: SeeingPsf | PsfexPsf, plan: Plan, rows: np.ndarray, *, sky_sigma: float
) -> pd.DataFrame:
    """Draw sources `rows` in the band-th band alone with the k-space engine and with GalSim at tight settings on large
    stamps.

    Returns one line a source: `residual_sigma` (largest difference in sky sigma), `residual_peak` (in its own
    peak), `flux_error` (of the k-space stamp against the catalogue, relative) and `stamp_size`.
    """
    sources, lines = scene.sources, []
    of_band = scene._replace(sources=sources._replace(flux=sources.flux[band : band + 1]))
    for row in rows:
        size = int(plan.size[row])
        width = int(min(max(2 * size, 128), 1024))
        corner = (int(sources.x[row]) - width // 2, int(sources.y[row]) - width // 2)
        drawn, truth = np.zeros((1, width, width), np.float32), np.zeros((width, width), np.float64)
        only = slice(row, row + 1)
        add_sources(drawn, of_band.part(only), Plan(plan.size[only], plan.band[only]), [psf], corner)
        add_sources_one_by_one(truth, scene, band, psf, rows=[row], corner=corner, stamp_size=width + 2, gsparams=TRUTH)
        residual = np.abs(drawn[0] - truth).max()
        lines.append(
            (
                int(row),
                size,
                residual / sky_sigma,
                residual / max(truth.max(), 1e-30),
                abs(drawn.sum(dtype=np.float64) / sources.flux[band, row] - 1),
            )
        )
    return pd.DataFrame(lines, columns=["row", "stamp_size", "residual_sigma", "residual_peak", "flux_error"])


def corner_residual(
    image: np.ndarray, scene: Scene, band: int, psf: SeeingPsf | PsfexPsf, size: np.ndarray, corner_px: int
) -> tuple[float, int]:
    """Largest difference (counts) of an image's lower-left corner from the truth, with all blends; n sources.

    Only sources inside the corner are in the truth, so `image` must hold only those. `size` (N,) are stamp
    sizes that suffice; the truth's stamps are three times as large, at least 128 px.
    """
    rows = np.flatnonzero((scene.sources.x < corner_px) & (scene.sources.y < corner_px))
    truth = np.zeros((corner_px, corner_px))
    widths = np.clip(3 * size[rows], 128, 1024)
    for width in np.unique(widths):
        add_sources_one_by_one(
            truth, scene, band, psf, rows=rows[widths == width], stamp_size=int(width), gsparams=TRUTH
        )
    return float(np.abs(image[:corner_px, :corner_px] - truth).max()), rows.size
