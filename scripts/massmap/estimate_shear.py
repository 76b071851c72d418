"""Bin a shear catalogue, or take binned maps, into the shear map that all methods are given, with its noise, mask and
nulls.
"""

import numpy as np
import pandas as pd

from armillary.convergence_skies import field_of_sky, observed
from armillary.files_maps import read_column, read_columns, read_grid, read_plain_image, write_shear_map, write_stack
from armillary.shear_catalogs import (
    Grid,
    ShearMap,
    binned_shear,
    calibrated,
    drop_large_shapes,
    galaxies_by_role,
    grid_of,
    pixels_turned_at_random,
    turned_at_random,
)
from armillary.step import announce, run


def estimate_shear(
    catalogs: list[str], maps: list[str], shear: str, rotations: str, *, field: str, columns: dict, map_roles:
    list[str], shape: str, e1_sign: int, e2_sign: int, max_shape: float | None, pixel_arcmin: float, map_shape:
    list[int] | None, centre: list[float] | None, min_galaxies: int, reduced_shear: bool, n_rotations: int, seed: int,
) -> None:  # fmt: skip
    rng = np.random.default_rng([seed, 2])
    if maps:
        measured, counts, grid = _from_maps(
            dict(zip(map_roles, maps, strict=True)), field, pixel_arcmin, centre, reduced_shear, rng
        )
        turned = [pixels_turned_at_random(measured, rng) for _ in range(n_rotations)]
    else:
        galaxies = galaxies_by_role(_table(catalogs, columns), _names(catalogs, columns), field)
        if max_shape is not None:
            galaxies = drop_large_shapes(galaxies, max_shape, field)
        n_beyond = int((np.hypot(galaxies["e1"], galaxies["e2"]) > 1).sum())
        if n_beyond:
            announce(f"{n_beyond} galaxies have |e| > 1, as noise makes them (config key `max_shape` leaves them out)")
        galaxies = calibrated(galaxies, shape, e1_sign, e2_sign)
        grid = grid_of(galaxies, pixel_arcmin, map_shape, centre)
        measured, counts = binned_shear(galaxies, grid, min_galaxies, field)
        turned = [
            binned_shear(turned_at_random(galaxies, rng), grid, min_galaxies, field)[0] for _ in range(n_rotations)
        ]
        density = counts.sum() / (measured.mask.sum() * pixel_arcmin**2)
        announce(f"{len(galaxies)} galaxies, {density:.1f} an arcmin2 of the mask")
    announce(f"{field}: mask covers {measured.mask.mean():.2f} of {grid.shape[1]} x {grid.shape[0]} px")
    write_shear_map(shear, measured, counts, grid)
    write_stack(rotations, np.array([(one.g1, one.g2) for one in turned]))


def _table(catalogs: list[str], columns: dict) -> pd.DataFrame:
    """The catalogue: one table, or one file a column in the order of `columns`."""
    if len(catalogs) == 1:
        return read_columns(catalogs[0])
    return pd.DataFrame({role: read_column(path) for role, path in zip(columns, catalogs, strict=True)})


def _names(catalogs: list[str], columns: dict) -> dict[str, str]:
    """Role -> column of `_table`."""
    return columns if len(catalogs) == 1 else {role: role for role in columns}


def _from_maps(
    files: dict[str, str], field: str, pixel_arcmin: float, centre, reduced_shear: bool, rng: np.random.Generator
):
    """Shear map, counts (0) and grid from binned maps: g1 and g2 as they are, or made from a convergence map with
    noise.
    """
    images = {role: read_plain_image(path) for role, path in files.items()}
    shapes = {image.shape for image in images.values()}
    if len(shapes) > 1:
        raise ValueError(f"field {field}: its maps differ in shape: {', '.join(map(str, shapes))} (config key `maps`)")
    shape = shapes.pop()
    if "sigma" in images:  # of either component
        images["sigma1"] = images["sigma2"] = images["sigma"]
    if "cov" in images:  # the variance of both components together
        images["sigma1"] = images["sigma2"] = np.sqrt(images["cov"] / 2)
    if not ({"sigma1", "sigma2"} <= set(images) and ({"g1", "g2"} <= set(images) or "convergence" in images)):
        raise ValueError(
            f"field {field}: `maps` needs g1 and g2 (or convergence), and sigma1 and sigma2 (or sigma, or cov); "
            f"it has {', '.join(files)}"
        )
    sigmas = [images["sigma1"], images["sigma2"]]
    mask = np.all([np.isfinite(s) & (s > 0) for s in sigmas], axis=0) & (images.get("mask", np.ones(shape)) > 0)
    if "g1" in images:
        mask &= np.isfinite(images["g1"]) & np.isfinite(images["g2"])
    if not mask.any():
        raise ValueError(f"field {field}: all pixels are masked (config key `maps`: mask, sigma1, sigma2)")
    blank = np.zeros(shape)
    like = ShearMap(blank, blank, *(np.where(mask, s, 0.0) for s in sigmas), mask, pixel_arcmin)
    if "g1" in images:
        like = like._replace(g1=np.where(mask, images["g1"], 0.0), g2=np.where(mask, images["g2"], 0.0))
        if max(np.abs(like.g1).max(), np.abs(like.g2).max()) > 10 * max(1.0, sigmas[0][mask].max()):
            raise ValueError(
                f"field {field}: a pixel of g1 or g2 is far above 1: shear is expected (config key `maps`)"
            )
    else:
        like = observed(field_of_sky(images["convergence"], shape, reduced_shear), like, rng)
    grid = read_grid(next(iter(files.values())), shape) or Grid(*(centre or (0.0, 0.0)), pixel_arcmin, shape)
    return like, blank, grid


if __name__ == "__main__":
    run(estimate_shear, snakemake)
