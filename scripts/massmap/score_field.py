"""Score the maps of a field by its own data: sign of the shear, E against B, rotated shapes, the stack at clusters."""

import numpy as np

from armillary.files import read_arrays, read_named_images, write_arrays, write_json
from armillary.files_maps import read_positions, read_shear_map, read_stack
from armillary.mass_nulls import check_sign, compare_signs, excess_variance, signal_to_noise, stacked_signal
from armillary.metrics import measurement
from armillary.shear_catalogs import Grid, ShearMap
from armillary.step import announce, run


def score_field(
    shear: str, rotations: str, maps: list[str], nulls: list[str], clusters: list[str], metrics: str, curves: str, *,
    field: str, methods: list[str], null_methods: list[str], cluster_columns: list[int], sign_smoothing_arcmin: float,
) -> None:  # fmt: skip
    measured, grid, _ = read_shear_map(shear)
    turned = read_stack(rotations).astype(float)
    positions = _positions(clusters, cluster_columns)
    smoothing_px = sign_smoothing_arcmin / measured.pixel_arcmin
    signs = compare_signs(measured, smoothing_px, positions, grid)
    found = _shear_metrics(field, measured, turned, smoothing_px)
    excess = [found[f"{field}_{mode}_excess"]["value"] for mode in "eb"]
    check_sign(signs, positions is not None, *excess, field)
    arrays = {
        "signs": np.array(list(signs)),
        "sign_scores": np.array(list(signs.values())),
        "methods": np.array(methods),
    }
    for method, path in zip(methods, maps, strict=True):
        image = {name: one.astype(float) for name, one, _ in read_named_images(path)}
        arrays[f"{method}_rms"] = np.array([image[name][measured.mask].std() for name in ("KAPPA_E", "KAPPA_B")])
        found |= _map_metrics(field, method, image, measured.mask, positions, grid)
        if positions is not None:
            arrays[f"{method}_stack"] = np.array([found[f"{field}_{method}_stack_{mode}"]["value"] for mode in "eb"])
    for method, path in zip(null_methods, nulls, strict=True):
        null = read_stack(path).astype(float)
        arrays[f"{method}_null_rms"] = np.array([one[measured.mask].std() for one in null])
        if positions is not None:
            stacks = [signal_to_noise(one, measured.mask, positions, grid) for one in null]
            arrays[f"{method}_null_stack"] = np.array(stacks)
        found |= _null_metrics(field, method, arrays)
    announce(
        f"{field}: " + ", ".join(f"{key} {entry['value']:.2f}" for key, entry in found.items() if "_stack_" in key)
    )
    write_json(metrics, found)
    write_arrays(curves, **arrays)


def _sign_note(positions: np.ndarray | None, smoothing_arcmin: float) -> str:
    what = "(var E - var B) / (var E + var B)" if positions is None else "stack at clusters"
    return f"{what}, Kaiser-Squires through {smoothing_arcmin:g} arcmin"


def _shear_metrics(field: str, measured: ShearMap, turned: np.ndarray, smoothing_px: float) -> dict:
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


def _null_metrics(field: str, method: str, arrays: dict) -> dict:
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


def _positions(clusters: list[str], columns: list[int]) -> np.ndarray | None:
    """Ra and dec of the clusters of a field (n, 2); None where there is no list."""
    if not clusters:
        return None
    return (
        read_arrays(clusters[0])["clusters"] if clusters[0].endswith(".npz") else read_positions(clusters[0], *columns)
    )


def _map_metrics(field: str, method: str, image: dict, mask: np.ndarray, positions, grid: Grid) -> dict:
    """B over E of one method's maps, and its stacks at clusters."""
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
                f"mean {mode.upper()} {mean:.4f} at clusters",
            )
    return found


if __name__ == "__main__":
    run(score_field, snakemake)
