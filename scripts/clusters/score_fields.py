"""Score the encoder and the baseline finder on held-out fields, with cuts tuned on validation fields."""

import numpy as np
import pandas as pd

from armillary.completeness import choose_operating_point
from armillary.evaluation import cluster_metrics, prefixed, tile_curves
from armillary.files import read_arrays, read_catalog, write_arrays, write_json
from armillary.metrics import measurement, resample_counts, validate_metrics
from armillary.scoring import best_f1_threshold, score_tiles, tile_metrics
from armillary.splits import field_detections, field_truth, flat_tiles, require_same_tiles, with_whole
from armillary.step import announce, run


def score_fields(
    predictions_validation: str,
    predictions_test: str,
    finder_validation: str,
    finder_test: str,
    detections_validation: str,
    detections_test: str,
    finder_detections_validation: str,
    finder_detections_test: str,
    truth: list[str],
    metrics: str,
    curves: str,
    *,
    image_size: int,
    pixel_arcsec: float,
    seed: int,
    n_resamples: int,
    n_calibration_bins: int,
    match_radius_mpc: float,
    match_dz: float | None,
    outlier_dz: float,
    richness_edges: list[float],
    redshift_edges: list[float],
    richness_target: float,
    purity_target: float,
    purity_min_richness: float,
    purity_group_richness: float,
) -> None:
    halos = pd.concat([read_catalog(path) for path in truth], ignore_index=True)
    tuned = {"encoder": _tiles_of(predictions_validation), "finder": _tiles_of(finder_validation)}
    tiles = {"encoder": _tiles_of(predictions_test), "finder": _tiles_of(finder_test)}
    require_same_tiles(*tiles.values(), (predictions_test, finder_test))
    fields, unit, true = (tiles["encoder"][name] for name in ("field", "unit", "truth"))
    counts = resample_counts(len(fields), n_resamples, np.random.default_rng(seed))

    scores, thresholds, arrays = {}, {}, {}
    for method, each in tiles.items():
        thresholds[method] = best_f1_threshold(tuned[method]["probability"], tuned[method]["truth"])
        scores[method] = score_tiles(each["probability"], true, thresholds[method], unit, counts, n_calibration_bins)
        arrays |= prefixed(method, tile_curves(each, counts, n_calibration_bins))
        arrays |= {f"{method}_pr_auc": scores[method]["pr_auc"][0], f"{method}_ece": scores[method]["ece"][0]}
    report = tile_metrics(scores["encoder"], scores["finder"], true, unit, counts)
    for prefix, threshold in zip(("", "finder_"), thresholds.values(), strict=True):
        report[f"{prefix}tile_threshold"] = measurement(threshold, note="best F1 on validation fields")
    arrays["base_rate"] = report["tile_base_rate"]["value"]

    shared = {"pure_richness": purity_min_richness, "richness_above": richness_target,
              "match_radius_mpc": match_radius_mpc, "match_dz": match_dz}  # fmt: skip
    area_deg2 = len(fields) * (image_size * pixel_arcsec / 3600) ** 2
    files = {
        "encoder": (detections_validation, detections_test),
        "finder": (finder_detections_validation, finder_detections_test),
    }
    frames = {"bins": [], "trade": [], "matches": []}
    for method, (validation, test) in files.items():
        fields_tuned = tuned[method]["field"]
        operating = choose_operating_point(
            field_detections(read_catalog(validation), fields_tuned, validation),
            field_truth(halos, fields_tuned, image_size, "the truth tables"),
            redshift_range=(redshift_edges[0], redshift_edges[-1]), **shared,
        )  # fmt: skip
        announce(f"{method}: operating point on {len(fields_tuned)} validation fields: {operating}")
        part, drawn = cluster_metrics(
            with_whole(field_detections(read_catalog(test), fields, test), image_size, pixel_arcsec),
            with_whole(field_truth(halos, fields, image_size, "the truth tables"), image_size, pixel_arcsec),
            operating,
            counts,
            prefix="" if method == "encoder" else "finder_",
            area_deg2=area_deg2,
            richness_edges=richness_edges,
            redshift_edges=redshift_edges,
            group_richness=purity_group_richness,
            purity_target=purity_target,
            outlier_dz=outlier_dz,
            **shared,
        )
        report |= part
        for name, frame in drawn.items():
            frames[name].append(frame.assign(method=method))

    for key, entry in report.items():
        if entry["baseline"] is None and f"finder_{key}" in report:
            entry["baseline"] = f"finder_{key}"
    report["area_deg2"] = measurement(area_deg2, n=len(fields), unit="deg^2", note="held-out test fields")
    report["n_fields_test"] = measurement(len(fields), n=len(fields))
    report["n_fields_validation"] = measurement(len(tuned["encoder"]["field"]), n=len(tuned["encoder"]["field"]))
    validate_metrics(report, metrics)
    write_json(metrics, report)
    for name, parts in frames.items():
        arrays |= prefixed(name, pd.concat(parts, ignore_index=True))
    write_arrays(curves, **arrays)


def _tiles_of(path: str) -> dict:
    """Flat tiles of a prediction file."""
    return flat_tiles(read_arrays(path), path)


if __name__ == "__main__":
    run(score_fields, snakemake)
