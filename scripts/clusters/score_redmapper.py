"""Score inferred tiles against a redMaPPer catalogue on the same sky, with the cut that simulated fields
chose."""

from pathlib import Path

import numpy as np

from armillary.completeness import judge
from armillary.evaluation import cluster_metrics, prefixed
from armillary.files import read_catalog, read_json, write_arrays, write_catalog, write_json
from armillary.footprint import read_encoder_tiles, read_map
from armillary.metrics import measurement, resample_counts, validate_metrics
from armillary.redmapper import read_cluster_lists, read_members, usable_members
from armillary.skyscores import (
    chance_metrics,
    counts_per_tile,
    is_scored,
    match_table,
    observed_area_deg2,
    sky_detections,
    sky_tiles,
    sky_truth,
    tile_report,
    with_units,
)
from armillary.step import announce, run

UNITS = {"ra": "deg", "dec": "deg", "separation_arcsec": "arcsec"}


def score_redmapper(
    detections: list[str],
    probability_maps: list[str],
    cells: list[str],
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
    tables = [usable_members(read_members(path), path) for path in members]
    tiles = sky_tiles(maps, [read_encoder_tiles(path) for path in cells], truth, tables, min_membership_probability)
    area_deg2 = observed_area_deg2(maps)
    announce(f"{len(maps)} tiles, {area_deg2:.3f} deg2, {truth['inside'].sum()} clusters, {len(found)} detections")

    span = {"redshift_range": (redshift_edges[0], redshift_edges[-1]), "min_richness": richness_edges[0]}
    report, arrays = tile_report(
        tiles,
        tuned["tile_threshold"],
        prefix=prefix,
        n_calibration_bins=n_calibration_bins,
        n_resamples=n_resamples,
        rng=rng,
    )
    counts = resample_counts(n_units, n_resamples, rng)
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
        int(np.sum(truth["inside"] & is_scored(truth, **span))),
        n=len(maps),
        note=f"of {Path(catalog[0]).name} in the footprint, redshift {redshift_edges[0]:g} to {redshift_edges[-1]:g}, "
        f"richness >= {richness_edges[0]:g}",
    )
    validate_metrics(report, metrics)

    judged, seen = judge(found, truth, **criteria)
    arrays |= prefixed("tiles", counts_per_tile(judged, seen, maps, operating["threshold"], **span))
    for name, frame in frames.items():
        arrays |= prefixed(name, frame.assign(method="encoder"))
    write_json(metrics, report)
    write_arrays(curves, **arrays)
    write_catalog(matches, match_table(judged, seen, maps, operating["threshold"]), UNITS)


if __name__ == "__main__":
    run(score_redmapper, snakemake)
