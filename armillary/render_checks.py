"""What the k-space engine leaves out: stamps and images against GalSim at tight settings."""

import galsim
import numpy as np
import pandas as pd

from armillary.kspace import Plan, Sources, add_sources
from armillary.psf import PsfexPsf, SeeingPsf, psf_cell
from armillary.rendering import add_sources_one_by_one, catalog_sources, plan_field
from armillary.surveys import Survey, survey_constants

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
    n_psf_cells = -(-image_size // psf_cell_px)
    cell = psf_cell(sources.x, sources.y, image_size, n_psf_cells)
    rows = generator.choice(len(catalog), min(n_compared, len(catalog)), replace=False)
    numbers = generator.integers(len(bands), size=rows.size)
    frames = [
        compare_engines(
            sources,
            constants,
            band,
            psfs[number],
            sources.flux[number],
            plan,
            cell,
            image_size,
            n_psf_cells,
            rows[numbers == number],
        ).assign(band=band)
        for number, band in enumerate(bands)
    ]
    return pd.concat(frames, ignore_index=True)


def compare_engines(
    sources: Sources,
    constants: Survey,
    band: str,
    psf: SeeingPsf | PsfexPsf,
    flux: np.ndarray,
    plan: Plan,
    cell: np.ndarray,
    image_size: int,
    n_psf_cells: int,
    rows: np.ndarray,
) -> pd.DataFrame:
    """Draw sources `rows` alone with the k-space engine and with GalSim at tight settings on large stamps.

    Returns one line a source: `residual_sigma` (largest difference in sky sigma), `residual_peak` (in its own
    peak), `flux_error` (of the k-space stamp against the catalogue, relative) and `stamp_size`.
    """
    lines = []
    for row in rows:
        size = int(plan.size[row])
        width = int(min(max(2 * size, 128), 1024))
        corner = (int(sources.x[row]) - width // 2, int(sources.y[row]) - width // 2)
        one = Sources(*(np.ascontiguousarray(value[..., row : row + 1]) for value in sources._replace(flux=flux[None])))
        drawn, truth = np.zeros((1, width, width), np.float32), np.zeros((width, width), np.float64)
        add_sources(
            drawn,
            one,
            Plan(plan.size[row : row + 1], plan.band[row : row + 1]),
            [psf],
            cell[row : row + 1],
            constants.pixel_arcsec,
            image_size,
            n_psf_cells,
            corner,
        )
        add_sources_one_by_one(
            truth,
            sources,
            flux,
            psf,
            cell,
            constants.pixel_arcsec,
            image_size,
            n_psf_cells,
            rows=[row],
            corner=corner,
            stamp_size=width + 2,
            gsparams=TRUTH,
        )
        residual = np.abs(drawn[0] - truth).max()
        lines.append(
            (
                int(row),
                size,
                residual / constants.sky_sigma[band],
                residual / max(truth.max(), 1e-30),
                abs(drawn.sum(dtype=np.float64) / flux[row] - 1),
            )
        )
    return pd.DataFrame(lines, columns=["row", "stamp_size", "residual_sigma", "residual_peak", "flux_error"])


def corner_residual(
    image: np.ndarray,
    sources: Sources,
    flux: np.ndarray,
    psf: SeeingPsf | PsfexPsf,
    cell: np.ndarray,
    pixel_arcsec: float,
    image_size: int,
    n_psf_cells: int,
    size: np.ndarray,
    corner_px: int,
) -> tuple[float, int]:
    """Largest difference (counts) of an image's lower-left corner from the truth, with all blends; n sources.

    Only sources inside the corner are in the truth, so `image` must hold only those. `size` (N,) are stamp
    sizes that suffice; the truth's stamps are three times as large, at least 128 px.
    """
    rows = np.flatnonzero((sources.x < corner_px) & (sources.y < corner_px))
    truth = np.zeros((corner_px, corner_px))
    widths = np.clip(3 * size[rows], 128, 1024)
    for width in np.unique(widths):
        add_sources_one_by_one(
            truth,
            sources,
            flux,
            psf,
            cell,
            pixel_arcsec,
            image_size,
            n_psf_cells,
            rows=rows[widths == width],
            stamp_size=int(width),
            gsparams=TRUTH,
        )
    return float(np.abs(image[:corner_px, :corner_px] - truth).max()), rows.size
