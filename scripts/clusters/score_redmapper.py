"""Score inferred tiles against the clusters of the same sky, at the cuts that the calibration fields chose."""

import re
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from armillary.completeness import between, in_range, judge
from armillary.evaluation import Details, Scoring, bin_frame, cluster_scores, prefixed
from armillary.files import read_catalog, read_json, write_arrays, write_catalog, write_json
from armillary.footprint import read_encoder_tiles, read_map
from armillary.metrics import Score, measurement, resample_counts, validate_metrics
from armillary.redmapper import read_clusters, read_members, usable_clusters, usable_members
from armillary.skyscores import (
    chance_scores,
    counts_per_tile,
    is_from_prior,
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

# Truth tables and lists of tiles hold no groups; and at the density of clusters of chosen tiles no catalogue is cut.
NOT_OF_TILES = re.compile(r"_halo\d+|_at_\d+_per_deg2")
NOT_OF_NATURAL_TILES = re.compile(r"_halo\d+")
UNITS = {"ra": "deg", "dec": "deg", "separation_arcsec": "arcsec"}


class Sky(NamedTuple):
    """Tiles that are scored together: their maps, detections and clusters, with the units of the bootstrap."""

    maps: list[dict]
    detections: pd.DataFrame
    truth: pd.DataFrame
    n_units: int


def score_redmapper(
    detections: list[str],
    probability_maps: list[str],
    cells: list[str],
    catalog: list[str],
    members: list[str],
    fields_metrics: str,
    best_training: str,
    metrics: str,
    curves: str,
    matches: str,
    *,
    seed: int,
    n_resamples: int,
    n_calibration_bins: int,
    n_shuffles: int,
    min_membership_probability: float,
    scoring: dict,
) -> None:
    """`catalog` is one list, or one truth table a tile; `best_training` has the number of the training at work.

    Tiles whose sky was drawn from the prior at the natural rate are scored apart (keys natural_sky_*) from those with
    listed clusters (keys redmapper_*).
    """
    settings, rng = Scoring(**scoring), np.random.default_rng(seed)
    cuts = cuts_of(fields_metrics, best_training)
    maps = [read_map(path) | {"name": Path(path).stem} for path in probability_maps]
    from_prior = is_from_prior(catalog, len(maps))
    report, arrays, tables, tallies = {}, {}, [], []
    for prefix, wanted in (("redmapper_", False), ("natural_sky_", True)):
        chosen = [index for index, flag in enumerate(from_prior) if flag == wanted]
        if not chosen:
            continue
        sky = read_sky(maps, detections, catalog, chosen, settings, may_be_empty=wanted)
        threshold = cuts["cluster_threshold"]
        scores, details = sky_scores(sky, threshold, settings, n_resamples=n_resamples, n_shuffles=n_shuffles, rng=rng)
        left_out = NOT_OF_TILES if prefix == "redmapper_" else NOT_OF_NATURAL_TILES
        scores = {name: score for name, score in scores.items() if not left_out.search(name)}
        report |= entries(scores, prefix) | size_entries(sky, settings, prefix)
        member_tables = [counted(usable_members, read_members(path), path) for path in of_tiles(members, chosen)]
        encoder_tiles = [read_encoder_tiles(cells[index]) for index in chosen]
        tiles = sky_tiles(sky.maps, encoder_tiles, sky.truth, member_tables, min_membership_probability)
        tile_entries, tile_arrays = tile_report(
            tiles,
            cuts["tile_threshold_natural"],
            prefix=prefix,
            n_calibration_bins=n_calibration_bins,
            n_resamples=n_resamples,
            rng=rng,
        )
        report |= tile_entries
        cut = sky.detections[sky.detections["probability"] >= threshold].reset_index(drop=True)
        judged, truth = judge(in_range(cut, settings.criteria), sky.truth, **settings.criteria.matching)
        tables.append(match_table(judged, truth, sky.maps))
        tables.append(unscored_detections(cut, sky, settings))
        tallies.append(counts_per_tile(judged, truth, sky.maps, **scored_span(settings)))
        if not arrays:
            arrays = tile_arrays | frames_of(details)
    validate_metrics(report, metrics)
    write_json(metrics, report)
    write_arrays(curves, **arrays, **prefixed("tiles", pd.concat(tallies, ignore_index=True)))
    write_catalog(matches, pd.concat(tables, ignore_index=True), UNITS)


def cuts_of(fields_metrics: str, best_training: str) -> dict[str, float]:
    """The encoder's cuts that the calibration fields chose, of the training whose checkpoint is at work."""
    start = f"encoder_{read_json(best_training)['training']}_"
    entries_of_fields = read_json(fields_metrics)
    return {
        key.removeprefix(start): entry["value"] for key, entry in entries_of_fields.items() if key.startswith(start)
    }


def counted(usable, table: pd.DataFrame, path: str) -> pd.DataFrame:
    """The usable rows of a table; those that are left out are told."""
    kept = usable(table, path)
    if len(kept) < len(table):
        announce(f"{path}: {len(table) - len(kept)} of {len(table)} rows are left out")
    return kept


def unscored_detections(cut: pd.DataFrame, sky: Sky, settings: Scoring) -> pd.DataFrame:
    """The match table's rows of detections outside the scored redshifts, matched on their own; they are not scored."""
    outside = cut[~between(cut["redshift"], *settings.criteria.redshift_range)].reset_index(drop=True)
    judged, truth = judge(outside, sky.truth, **settings.criteria.matching)
    table = match_table(judged, truth, sky.maps)
    return table[table["status"] != "missed"]


def of_tiles(paths: list[str], chosen: list[int]) -> list[str]:
    """The files of the chosen tiles, where there is one a tile; else all of them, which are of the whole sky."""
    return [paths[index] for index in chosen] if len(paths) > max(chosen) else paths


def read_sky(maps, detections, catalog, chosen: list[int], settings: Scoring, *, may_be_empty: bool) -> Sky:
    """Maps, detections and clusters of the chosen tiles; a drawn sky may hold no cluster, a list must."""
    own_maps, lists = [maps[index] for index in chosen], of_tiles(catalog, chosen)
    tables = [counted(usable_clusters, read_clusters(path), path) for path in lists]
    if len(tables) == len(own_maps):
        tables = [table.assign(listed_by=index) for index, table in enumerate(tables)]
    clusters = pd.concat(tables, ignore_index=True)
    truth = sky_truth(clusters, own_maps, lists[0], settings.match_radius_mpc, may_be_empty=may_be_empty)
    paths = [detections[index] for index in chosen]
    found = sky_detections([read_catalog(path) for path in paths], own_maps, paths)
    found, truth, n_units = with_units(found, truth, **settings.criteria.matching)
    return Sky(own_maps, found, truth, n_units)


def sky_scores(
    sky: Sky, threshold: float, settings: Scoring, *, n_resamples: int, n_shuffles: int, rng
) -> tuple[dict[str, Score], Details]:
    """Cluster scores, and those of the same detections at random places under names that begin with chance_."""
    counts = resample_counts(sky.n_units, n_resamples, rng)
    area_deg2 = observed_area_deg2(sky.maps)
    scores, details = cluster_scores(sky.detections, sky.truth, threshold, counts, settings, area_deg2=area_deg2)
    options = {"rng": rng, "n_shuffles": n_shuffles, "scoring": settings}
    chance = chance_scores(sky.detections, sky.truth, sky.maps, threshold, **options)
    return scores | {f"chance_{name}": score for name, score in chance.items()}, details


def entries(scores: dict[str, Score], prefix: str) -> dict[str, dict]:
    """Scores in the metrics form; the baseline of a score is that of chance, where there is one."""
    return {
        f"{prefix}{name}": score.entry(f"{prefix}chance_{name}" if f"chance_{name}" in scores else None)
        for name, score in scores.items()
    }


def size_entries(sky: Sky, settings: Scoring, prefix: str) -> dict[str, dict]:
    """Area, and number of clusters that count."""
    area_deg2, n_maps = observed_area_deg2(sky.maps), len(sky.maps)
    span = scored_span(settings)
    n_clusters = int(np.sum(sky.truth["inside"] & is_scored(sky.truth, **span)))
    announce(f"{prefix}: {n_maps} tiles, {area_deg2:.3f} deg2, {n_clusters} clusters, {len(sky.detections)} detections")
    low, high = span["redshift_range"]
    note = f"in the footprint, redshift {low:g} to {high:g}, richness >= {span['min_richness']:g}"
    return {
        f"{prefix}area_deg2": measurement(area_deg2, n=n_maps, unit="deg^2", note="observed, overlaps counted once"),
        f"{prefix}n_clusters": measurement(n_clusters, n=n_maps, note=note),
    }


def scored_span(settings: Scoring) -> dict:
    """Redshift range and least richness of the clusters that count."""
    return {"redshift_range": settings.criteria.redshift_range, "min_richness": settings.richness_edges[0]}


def frames_of(details: Details) -> dict:
    """Tables of the figures as flat arrays."""
    frames = {"bins": bin_frame(details.bins), "trade": details.trade, "matches": details.matches}
    arrays = {}
    for name, frame in frames.items():
        arrays |= prefixed(name, frame.assign(method="encoder"))
    return arrays


if __name__ == "__main__":
    run(score_redmapper, snakemake)
