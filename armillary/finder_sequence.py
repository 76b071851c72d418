"""The red sequence that true members of training fields have in their own photometry.

A table of colours is only the start: what the finder compares galaxies with is measured from matched
members, with the biases and the scatter that detection, blending and seeing bring.
"""

import numpy as np
from scipy.spatial import cKDTree

from armillary.finder_filters import colour_arrays, intrinsic_covariance
from armillary.photometry import COLOURS

REDSHIFT_GRID = np.arange(0.1, 0.7501, 0.0125)
MATCH_PX = 3.0
KNOT_STEP = 0.05  # spacing in redshift of the tuned red sequence
KNOT_PRIOR = 3.0  # members by which a knot without data is held to the mean offset
MIN_MATCHED_MEMBERS = 30


def match_catalog(galaxies, catalog) -> np.ndarray:
    """Index of the brightest catalogue source within MATCH_PX of every detected source, -1 for none."""
    matched = np.full(len(galaxies), -1)
    if len(galaxies) == 0 or len(catalog) == 0:
        return matched
    flux = catalog["FLUX_I"].to_numpy()
    near = cKDTree(catalog[["X", "Y"]]).query_ball_point(galaxies[["x", "y"]].to_numpy(), MATCH_PX)
    for k, candidates in enumerate(near):
        if candidates:
            matched[k] = candidates[int(np.argmax(flux[candidates]))]
    return matched


def with_matches(field: dict) -> dict:
    """The field with what the catalogue says of each detected source: is_member, cluster_z, true_mag_i."""
    matched = match_catalog(field["galaxies"], field["catalog"])
    rows = field["catalog"].iloc[np.maximum(matched, 0)] if len(field["catalog"]) else None
    if rows is None:
        raise ValueError("the catalogue of a training field is empty: nothing can be tuned on it")
    galaxies = field["galaxies"].assign(
        is_member=(matched >= 0) & (rows["MEM"].to_numpy() > 0),
        cluster_z=rows["CLUSTER_Z"].to_numpy(),
        true_mag_i=30 - 2.5 * np.log10(np.maximum(rows["FLUX_I"].to_numpy(), 1e-6)),
    )
    return {**field, "galaxies": galaxies}


def initial_finder(red_sequence, pixel_arcsec: float, knobs: dict) -> dict:
    """A finder with a table's red sequence (columns redshift gr ri iz mstar_i), untuned knobs and no
    background."""
    table = red_sequence.sort_values("redshift")
    grid = REDSHIFT_GRID
    mean = np.stack([np.interp(grid, table["redshift"], table[pair]) for pair in COLOURS], 1)
    return {
        "redshift": grid, "colour_mean": mean, "colour_slope": np.zeros((len(grid), 3)),
        "colour_scatter": np.array([0.05, 0.03, 0.03]), "colour_correlation": 0.0,
        "mstar_i": np.interp(grid, table["redshift"], table["mstar_i"]),
        "pixel_arcsec": pixel_arcsec, "min_likelihood": 2.0, "min_richness": 3.0,
        **knobs,
    }  # fmt: skip


def tuned_red_sequence(finder: dict, members) -> dict:
    """The finder with colours, slope with magnitude, scatter and m* of the training members (true redshifts
    known).

    Colours are offsets from the table at knots in redshift (linear between), fitted with one slope each;
    outliers (blends) are left out at 3 sigma twice. Members: rows of matched photometry."""
    members = members[members["mag_i"] < np.interp(members["cluster_z"], finder["redshift"], finder["mstar_i"]) + 2]
    if len(members) < MIN_MATCHED_MEMBERS:
        return finder
    redshift = members["cluster_z"].to_numpy()
    shift = float(np.median(members["mag_i"] - members["true_mag_i"]))
    mstar = finder["mstar_i"] + shift
    knots = np.arange(finder["redshift"][0], finder["redshift"][-1] + KNOT_STEP, KNOT_STEP)
    hats = np.maximum(0, 1 - np.abs(redshift[:, None] - knots) / KNOT_STEP)  # (N, K)
    offset_mag = np.clip(members["mag_i"].to_numpy() - np.interp(redshift, finder["redshift"], mstar), -3, 3)
    design = np.column_stack([hats, offset_mag])
    grid_hats = np.maximum(0, 1 - np.abs(finder["redshift"][:, None] - knots) / KNOT_STEP)
    mean, slope, scatter = (
        finder["colour_mean"].copy(),
        finder["colour_slope"].copy(),
        finder["colour_scatter"].copy(),
    )
    for k, pair in enumerate(COLOURS):
        table = np.interp(redshift, finder["redshift"], finder["colour_mean"][:, k])
        residual = members[f"colour_{pair}"].to_numpy() - table
        fit = robust_line(design, residual, members[f"colour_{pair}_error"].to_numpy(), scatter[k])
        if fit is None:
            continue
        coefficients, scatter[k] = fit
        mean[:, k] += grid_hats @ coefficients[:-1]
        slope[:, k] = coefficients[-1]
    tuned = {
        **finder,
        "colour_mean": mean,
        "colour_slope": slope,
        "colour_scatter": scatter,
        "mstar_i": mstar,
    }
    return {**tuned, "colour_correlation": likeliest_correlation(tuned, members)}


def likeliest_correlation(finder: dict, members) -> float:
    """Correlation of the intrinsic scatters of two colours, by the likelihood of the members at their true
    redshifts."""
    trials = np.arange(0.0, 0.96, 0.05)
    colours, errors, n_colours = colour_arrays(members)
    redshift = members["cluster_z"].to_numpy()
    at_own = [np.interp(redshift, finder["redshift"], column) for column in finder["colour_mean"].T]
    offset = np.clip(members["mag_i"].to_numpy() - np.interp(redshift, finder["redshift"], finder["mstar_i"]), -3, 3)
    residual = colours - np.stack(at_own, 1) - offset[:, None] * finder["colour_slope"][0]
    clean = (n_colours == 3) & (
        np.abs(residual) < 3 * np.hypot(finder["colour_scatter"], np.sqrt(np.diagonal(errors, 0, 1, 2)))
    ).all(1)
    if clean.sum() < MIN_MATCHED_MEMBERS:
        return 0.0
    scores = []
    for trial in trials:
        total = errors[clean] + intrinsic_covariance({**finder, "colour_correlation": trial})
        chi2 = np.einsum("ni,ni->n", residual[clean], np.linalg.solve(total, residual[clean][:, :, None])[:, :, 0])
        scores.append(-0.5 * (chi2 + np.linalg.slogdet(total)[1]).sum())
    return float(trials[int(np.argmax(scores))])


def robust_line(design, values, errors, scatter: float):
    """Weighted ridge fit with 3-sigma rejection: coefficients and intrinsic scatter, or None without data."""
    usable = np.isfinite(values) & np.isfinite(errors) & (np.abs(values) < 0.5)
    if usable.sum() < MIN_MATCHED_MEMBERS:
        return None
    design, values, errors = design[usable], values[usable], errors[usable]
    coefficients = np.zeros(design.shape[1])
    coefficients[:-1] = np.median(values)
    for _ in range(6):
        residual = values - design @ coefficients
        total = np.sqrt(errors**2 + scatter**2)
        kept = np.abs(residual) < 3 * np.maximum(total, 1.4826 * np.median(np.abs(residual)) * 0.5)
        weight = kept / total**2
        ridge = np.full(design.shape[1], KNOT_PRIOR / scatter**2)
        normal = (design * weight[:, None]).T @ design + np.diag(ridge)
        centre = np.append(np.full(design.shape[1] - 1, np.median(values[kept])), 0.0)
        coefficients = centre + np.linalg.solve(normal, (design * weight[:, None]).T @ (values - design @ centre))
        scatter = intrinsic_scatter((values - design @ coefficients)[kept], errors[kept])
    return coefficients, scatter


def intrinsic_scatter(residual, errors) -> float:
    """Scatter s that makes the median of |residual| / sqrt(error^2 + s^2) that of a normal, between 0.01
    and 0.2."""
    grid = np.linspace(0.01, 0.2, 96)
    medians = [1.4826 * np.median(np.abs(residual) / np.sqrt(errors**2 + s**2)) for s in grid]
    return float(grid[int(np.argmin(np.abs(np.array(medians) - 1)))])
