"""Draw a sky and a shear catalogue behind it: edges, star haloes, weights, biased shapes. No download."""

import numpy as np

from armillary.convergence_skies import SkyModel, draw_field, draw_galaxies, with_drawn_shift
from armillary.files import read_arrays, write_arrays, write_table
from armillary.shear_catalogs import Grid
from armillary.step import announce, run


def simulate_catalog(
    spectrum: str, catalog: str, truth: str, *, sky: str, shift_spread: float, true_shift: float | None, margin_px: int,
    pixel_arcmin: float, map_shape: list[int], centre: list[float], reduced_shear: bool, density_per_arcmin2: float,
    sigma_e: float, edge_arcmin: float, n_stars_per_deg2: float, m: float, c1: float, c2: float, n_clusters: int,
    seed: int,
) -> None:  # fmt: skip
    table = read_arrays(spectrum)
    model = SkyModel(table["multipole"], table["power"], sky, true_shift or float(table["shift"]), pixel_arcmin)
    grid = Grid(*centre, pixel_arcmin, tuple(map_shape))
    rng = np.random.default_rng([seed, 1])
    model = model if true_shift else with_drawn_shift(model, shift_spread, rng)
    field = draw_field(model, grid.shape, margin_px, reduced_shear, rng)
    galaxies = draw_galaxies(
        field, grid, density_per_arcmin2=density_per_arcmin2, sigma_e=sigma_e, edge_arcmin=edge_arcmin,
        n_stars_per_deg2=n_stars_per_deg2, m=m, c1=c1, c2=c2, rng=rng,
    )  # fmt: skip
    announce(f"{len(galaxies)} galaxies, kappa up to {field[0].max():.2f}")
    write_table(catalog, galaxies, {"ra": "deg", "dec": "deg"})
    write_arrays(truth, field=field, clusters=_clusters(field[0], grid, edge_arcmin, n_clusters))


def _clusters(kappa: np.ndarray, grid: Grid, edge_arcmin: float, n_clusters: int) -> np.ndarray:
    """(n, 2) ra and dec of the highest peaks of the true convergence through 0.5 arcmin: a stand-in for a cluster
    list.
    """
    from scipy.ndimage import gaussian_filter, maximum_filter

    from armillary.convergence_skies import sky_of_plane

    smoothed = gaussian_filter(kappa, 0.5 / grid.pixel_arcmin)
    edge = int(np.ceil(edge_arcmin / grid.pixel_arcmin))
    is_peak = smoothed == maximum_filter(smoothed, size=5)
    is_peak[:edge], is_peak[-edge:], is_peak[:, :edge], is_peak[:, -edge:] = False, False, False, False
    row, column = np.nonzero(is_peak)
    best = np.argsort(smoothed[row, column])[::-1][:n_clusters]
    n_y, n_x = grid.shape
    x, y = (column[best] + 0.5 - n_x / 2) * grid.pixel_arcmin, (row[best] + 0.5 - n_y / 2) * grid.pixel_arcmin
    return np.stack(sky_of_plane(x, y, grid), axis=-1)


if __name__ == "__main__":
    run(simulate_catalog, snakemake)
