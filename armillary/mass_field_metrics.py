"""The scores of a field by its own data as metrics: E against B, turned shapes, stacks at clusters, its own truth."""

import numpy as np

from armillary.convergence import smooth
from armillary.mass_nulls import (
    excess_variance,
    normal_scores,
    pattern_signal_to_noise,
    signal_to_noise,
    stacked_signal,
)
from armillary.mass_scores import correlation, squared_error
from armillary.metrics import measurement
from armillary.shear_catalogs import Grid, ShearMap


def shear_metrics(field: str, measured: ShearMap, turned: np.ndarray, smoothing_px: float) -> dict:
    """E and B power of the shear over that of turned shapes, and the noise of those over the noise map."""
    e_excess, b_excess, spread = excess_variance(measured, turned, smoothing_px)
    note = (
        f"Kaiser-Squires variance over that of turned shapes, smoothing {smoothing_px * measured.pixel_arcmin:g} arcmin"
    )
    ratio = (turned[:, 0] / np.where(measured.mask, measured.sigma1, 1.0))[:, measured.mask].std()
    return {
        f"{field}_e_excess": measurement(e_excess / spread, n=len(turned), unit="sigma", note=note),
        f"{field}_b_excess": measurement(
            b_excess / spread, None, None, len(turned), "sigma", f"{field}_e_excess", note
        ),
        f"{field}_noise_ratio": measurement(ratio, n=len(turned), note="noise of turned shapes over the noise map"),
    }


def sign_metrics(field: str, signs: dict[str, float], with_clusters: bool, smoothing_arcmin: float) -> dict:
    """What the data say to each choice of the signs of (e1, e2), relative to the one made."""
    what = "stack at clusters" if with_clusters else "(var E - var B) / (var E + var B)"
    note = f"{what}, Kaiser-Squires through {smoothing_arcmin:g} arcmin"
    words = {"+": "p", "-": "m"}
    return {
        f"{field}_signs_{words[name[1]]}{words[name[4]]}": measurement(
            value, unit="sigma" if with_clusters else "", note=f"signs {name}: {note}"
        )
        for name, value in signs.items()
    }  # fmt: skip


def null_metrics(field: str, method: str, arrays: dict) -> dict:
    """What a method makes of shapes turned at random: the rms of its map and the stack at clusters."""
    found = {}
    for name, unit in (("rms", ""), ("stack", "sigma")):
        values = arrays.get(f"{method}_null_{name}")
        if values is not None:
            spread = values.std(ddof=1)
            found[f"{field}_{method}_null_{name}"] = measurement(
                values.mean(),
                values.mean() - spread,
                values.mean() + spread,
                len(values),
                unit,
                None,
                "turned shapes; spread of one",
            )
    return found


def truth_metrics(field: str, method: str, kappa: np.ndarray, truth: np.ndarray, mask: np.ndarray) -> dict:
    """Error and correlation of the field's own map."""
    values = {"rmse": np.sqrt(squared_error(kappa, truth, mask)), "r": correlation(kappa, truth, mask)}
    return {
        f"{field}_{method}_own_{name}": measurement(
            value, n=1, baseline=f"{field}_kaiser_squires_own_{name}", note="the field's own map against its truth"
        )
        for name, value in values.items()
    }  # fmt: skip


def map_metrics(
    field: str, method: str, image: dict, mask: np.ndarray, positions, grid: Grid, aperture_arcmin: float
) -> dict:
    """B over E of one method's maps, and its stacks at clusters with three errors: the map's own rms, the shifted
    pattern, and the shifted pattern of ranks through an aperture, by which methods can be compared.
    """
    key = f"{field}_{method}"
    ratio = image["KAPPA_B"][mask].std() / image["KAPPA_E"][mask].std()
    found = {f"{key}_b_over_e": measurement(ratio, note="rms of the B map over that of the E map")}
    if positions is not None:
        for mode in "eb":
            kappa = image[f"KAPPA_{mode.upper()}"]
            mean, error, n = stacked_signal(kappa, mask, positions, grid)
            value = signal_to_noise(kappa, mask, positions, grid)
            found[f"{key}_stack_{mode}"] = measurement(
                value,
                value - 1,
                value + 1,
                n,
                "sigma",
                f"{field}_kaiser_squires_stack_{mode}",
                f"mean {mode.upper()} {mean:.4f} at clusters; error: the map's rms over the root of their number",
            )
            ranked = smooth(normal_scores(kappa, mask), aperture_arcmin / grid.pixel_arcmin)
            for name, one, what in (
                ("pattern", kappa, ""),
                ("ranked", ranked, f"ranks of the map through {aperture_arcmin:g} arcmin; "),
            ):
                value, n_shifts = pattern_signal_to_noise(one, mask, positions, grid)
                found[f"{key}_{name}_{mode}"] = measurement(
                    value, value - 1, value + 1, n, "sigma", f"{field}_kaiser_squires_{name}_{mode}",
                    f"{what}error: the clusters' pattern at {n_shifts} shifts of 6 arcmin or more",
                )  # fmt: skip
    return found
