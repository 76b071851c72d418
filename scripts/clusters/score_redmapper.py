"""Score inferred tiles against a redMaPPer catalogue on the same sky, with the cut that simulated fields
chose."""

from pathlib import Path

import numpy as np

from armillary.completeness import judge
from armillary.evaluation import cluster_metrics, prefixed, tile_curves
from armillary.files import read_catalog, read_json, write_arrays, write_catalog, write_json
from armillary.footprint import cell_area_deg2, read_map
from armillary.metrics import estimate, measurement, resample_counts, validate_metrics
from armillary.redmapper import read_cluster_lists, read_members
from armillary.scoring import score_tiles, tile_note
from armillary.skyscores import (
    chance_metrics,
    counts_per_tile,
    match_table,
    sky_detections,
    sky_tiles,
    sky_truth,
    with_units,
)  # fmt: skip
from armillary.step import announce, run

UNITS = {"ra": "deg", "dec": "deg", "separation_arcsec": "arcsec"}


def score_redmapper(
    detections: list[str],
    probability_maps: list[str],
    catalog: list[str],
    members: list[str],
    fields_metrics: str,
    metrics: str,
    curves: str,
    matches: str,
    *,
    seed: int,
    n_resamples: int,
    n_calibration_bins: int,
    n_shuffles: int,
    match_radius_mpc: float,
    match_dz: float | None,
    outlier_dz: float,
    richness_edges: list[float],
    redshift_edges: list[float],
    richness_target: float,
    purity_target: float,
    purity_min_richness: float,
    purity_group_richness: float,
    min_membership_probability: float,
) -> None:
    prefix, rng = "redmapper_", np.random.default_rng(seed)
    maps = [read_map(path) | {"name": Path(path).stem} for path in probability_maps]
    tuned = {key: entry["value"] for key, entry in read_json(fields_metrics).items()}
    operating = {"threshold": tuned["cluster_threshold"]}
    criteria = {"match_radius_mpc": match_radius_mpc, "match_dz": match_dz}
    truth = sky_truth(read_cluster_lists(catalog), maps, catalog[0], match_radius_mpc)
    found = sky_detections([read_catalog(path) for path in detections], maps, detections)
    found, truth, n_units = with_units(found, truth, **criteria)
    cells = sky_tiles(maps, truth, read_members(members[0]) if members else None, min_membership_probability)
    area_deg2 = len(cells["probability"]) * np.mean([cell_area_deg2(each) for each in maps])
    announce(f"{len(maps)} tiles, {area_deg2:.3f} deg2, {truth['inside'].sum()} clusters, {len(found)} detections")

    blocks = resample_counts(cells["unit"].max() + 1, n_resamples, rng)
    counts = resample_counts(n_units, n_resamples, rng)
    scored = score_tiles(
        *(cells[k] for k in ("probability", "truth")),
        tuned["tile_threshold"],
        cells["unit"],
        blocks,
        n_calibration_bins,
    )
    rate, n = cells["truth"].mean(), len(cells["truth"])
    source = "members" if members else "discs of R_lambda"
    report = {
        f"{prefix}tile_{name}": estimate(*pair, n, note=f"{tile_note(name)}; truth from {source}")
        for name, pair in scored.items()
    }
    report[f"{prefix}tile_base_rate"] = measurement(
        rate, n=n, note=f"fraction of tiles with a member; truth from {source}"
    )
    report[f"{prefix}tile_pr_auc"]["baseline"] = f"{prefix}tile_base_rate"
    part, frames = cluster_metrics(
        found, truth, operating, counts, prefix=prefix, area_deg2=area_deg2, richness_edges=richness_edges,
        redshift_edges=redshift_edges, richness_above=richness_target, pure_richness=purity_min_richness,
        group_richness=purity_group_richness, purity_target=purity_target, outlier_dz=outlier_dz, **criteria,
    )  # fmt: skip
    chance = chance_metrics(
        found,
        truth,
        maps,
        operating,
        rng=rng,
        n_shuffles=n_shuffles,
        prefix=prefix,
        richness_edges=richness_edges,
        redshift_range=(redshift_edges[0], redshift_edges[-1]),
        pure_richness=purity_min_richness,
        **criteria,
    )
    report |= part | chance
    for key in chance:
        report[key.replace("chance_", "")]["baseline"] = key
    report[f"{prefix}area_deg2"] = measurement(
        area_deg2, n=len(maps), unit="deg^2", note="observed, overlaps counted once"
    )
    report[f"{prefix}n_clusters"] = measurement(
        int(truth["inside"].sum()), n=len(maps), note=f"of {Path(catalog[0]).name} in the footprint"
    )
    validate_metrics(report, metrics)

    judged, seen = judge(found, truth, **criteria)
    per_tile = counts_per_tile(judged, seen, maps, operating["threshold"], (redshift_edges[0], redshift_edges[-1]))
    arrays = prefixed("encoder", tile_curves(cells, blocks, n_calibration_bins)) | {"base_rate": rate}
    arrays |= {"encoder_pr_auc": scored["pr_auc"][0], "encoder_ece": scored["ece"][0]} | prefixed("tiles", per_tile)
    for name, frame in frames.items():
        arrays |= prefixed(name, frame.assign(method="encoder"))
    write_json(metrics, report)
    write_arrays(curves, **arrays)
    write_catalog(matches, match_table(judged, seen, maps, operating["threshold"]), UNITS)


if __name__ == "__main__":
    run(score_redmapper, snakemake)
