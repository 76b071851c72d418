"""Score the maps of a field by its own data: sign of the shear, E against B, rotated shapes, the stack at clusters."""

import numpy as np

from armillary.files import read_arrays, read_named_images, write_arrays, write_json
from armillary.files_maps import read_plain_image, read_positions, read_shear_map, read_stack
from armillary.mass_field_metrics import map_metrics, null_metrics, shear_metrics, sign_metrics, truth_metrics
from armillary.mass_nulls import check_sign, compare_signs, pattern_signal_to_noise
from armillary.step import announce, run


def score_field(
    shear: str, rotations: str, maps: list[str], nulls: list[str], clusters: list[str], truths: list[str], metrics: str,
    curves: str, *, field: str, methods: list[str], null_methods: list[str], cluster_columns: list[int],
    sign_smoothing_arcmin: float, aperture_arcmin: float,
) -> None:  # fmt: skip
    measured, grid, _ = read_shear_map(shear)
    turned = read_stack(rotations).astype(float)
    positions, truth = _positions(clusters, cluster_columns), _truth(truths)
    smoothing_px = sign_smoothing_arcmin / measured.pixel_arcmin
    signs = compare_signs(measured, smoothing_px, positions, grid)
    found = shear_metrics(field, measured, turned, smoothing_px)
    excess = [found[f"{field}_{mode}_excess"]["value"] for mode in "eb"]
    check_sign(signs, positions is not None, *excess, field)
    found |= sign_metrics(field, signs, positions is not None, sign_smoothing_arcmin)
    arrays = {
        "signs": np.array(list(signs)),
        "sign_scores": np.array(list(signs.values())),
        "methods": np.array(methods),
    }
    for method, path in zip(methods, maps, strict=True):
        image = {name: one.astype(float) for name, one, _ in read_named_images(path)}
        arrays[f"{method}_rms"] = np.array([image[name][measured.mask].std() for name in ("KAPPA_E", "KAPPA_B")])
        found |= map_metrics(field, method, image, measured.mask, positions, grid, aperture_arcmin)
        if truth is not None:
            found |= truth_metrics(field, method, image["KAPPA_E"], truth, measured.mask)
        if positions is not None:
            arrays[f"{method}_stack"] = np.array(
                [found[f"{field}_{method}_pattern_{mode}"]["value"] or np.nan for mode in "eb"]
            )
    for method, path in zip(null_methods, nulls, strict=True):
        null = read_stack(path).astype(float)
        arrays[f"{method}_null_rms"] = np.array([one[measured.mask].std() for one in null])
        if positions is not None:
            stacks = [pattern_signal_to_noise(one, measured.mask, positions, grid)[0] for one in null]
            arrays[f"{method}_null_stack"] = np.array(stacks)
        found |= null_metrics(field, method, arrays)
    announce(
        f"{field}: "
        + ", ".join(
            f"{key} {entry['value']:.2f}" for key, entry in found.items() if "_pattern_" in key and entry["value"]
        )
    )
    write_json(metrics, found)
    write_arrays(curves, **arrays)


def _truth(truths: list[str]) -> np.ndarray | None:
    """The true convergence of the field itself (n_y, n_x); None where it is not known."""
    if not truths:
        return None
    return (
        read_arrays(truths[0])["field"][0].astype(float) if truths[0].endswith(".npz") else read_plain_image(truths[0])
    )


def _positions(clusters: list[str], columns: list[int]) -> np.ndarray | None:
    """Ra and dec of the clusters of a field (n, 2); None where there is no list."""
    if not clusters:
        return None
    return (
        read_arrays(clusters[0])["clusters"] if clusters[0].endswith(".npz") else read_positions(clusters[0], *columns)
    )


if __name__ == "__main__":
    run(score_field, snakemake)
