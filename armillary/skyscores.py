"""Scores of tiles of real or simulated sky against a cluster catalogue: who owns what, counted once.

The sky is not boosted: every weight is 1. The bootstrap resamples clusters (a cluster with the detection that
matched it, or a detection without one) for cluster scores, and blocks of sky for tile scores.
"""

import numpy as np
import pandas as pd

from armillary.completeness import between, fraction_in, judge
from armillary.evaluation import prefixed
from armillary.files import read_catalog_meta
from armillary.footprint import (
    NOBODY,
    cell_area_deg2,
    cell_centres,
    cells_of,
    member_presence,
    owners,
    restrict,
    truth_from_discs,
)
from armillary.matching import match_radius_arcsec, match_two_way
from armillary.metrics import Score, resample_counts
from armillary.scoring import Tiles, equal_mass_bins, reliability, tile_scores
from armillary.sky import separation_arcsec
from armillary.splits import DETECTION_COLUMNS

N_BLOCKS = 4  # blocks a side of a tile that the tile-level bootstrap resamples
TRUTH_NOTES = {
    "members": "truth: the tile holds a member",
    "discs": "no member list: every tile within R_lambda of a cluster counts as true, with or without a member in it",
}


def sky_detections(frames: list, maps: list[dict], names: list[str]) -> pd.DataFrame:
    """Detections of all tiles, each kept only where its own tile owns the sky; adds tile (index)."""
    kept = []
    for index, (frame, name) in enumerate(zip(frames, names, strict=True)):
        missing = [column for column in DETECTION_COLUMNS if column not in frame]
        if missing:
            raise ValueError(f"{name} has no column {', '.join(missing)}; it has {', '.join(map(str, frame.columns))}")
        numeric = frame[list(DETECTION_COLUMNS)].astype(float)
        owned = owners(numeric["ra"].to_numpy(), numeric["dec"].to_numpy(), maps) == index
        kept.append(numeric[owned].assign(tile=index))
    return pd.concat(kept, ignore_index=True)


def sky_truth(clusters, maps: list[dict], name: str, match_radius_mpc: float, *, may_be_empty=False) -> pd.DataFrame:
    """Clusters in or near the footprint, with tile (index of the owner, -1 outside), inside and weight 1.

    With a column `listed_by` (index of a map) each tile has a list of its own: what a list says of another tile's sky
    is left out. ValueError where no cluster lies in the footprint, unless it `may_be_empty`.
    """
    tile = owners(clusters["ra"].to_numpy(), clusters["dec"].to_numpy(), maps)
    if "listed_by" in clusters:
        own = (tile == NOBODY) | (tile == clusters["listed_by"].to_numpy())
        clusters, tile = clusters[own].reset_index(drop=True), tile[own]
    if not may_be_empty:
        restrict(clusters, tile != NOBODY, name)
    near = tile != NOBODY
    margin = match_radius_arcsec(clusters["redshift"].to_numpy(), match_radius_mpc)
    for each in maps:
        distance = separation_arcsec(each["ra"], each["dec"], clusters["ra"].to_numpy(), clusters["dec"].to_numpy())
        near |= distance <= each["radius_deg"] * 3600 + margin
    found = clusters.assign(tile=tile, inside=tile != NOBODY, weight=1.0)
    return found[near].reset_index(drop=True)


def with_units(detections, truth, *, match_radius_mpc, match_dz) -> tuple[pd.DataFrame, pd.DataFrame, int]:
    """Both frames with `unit`: the row of a cluster, which its detection shares; others have their own."""
    halo = match_two_way(detections, truth, match_radius_mpc=match_radius_mpc, match_dz=match_dz)
    own = len(truth) + np.arange(len(detections))
    unit = np.where(halo >= 0, halo, own)
    return (
        detections.assign(unit=unit),
        truth.assign(unit=np.arange(len(truth))),
        len(truth) + len(detections),
    )


def sky_tiles(maps: list[dict], encoder_tiles: list[tuple], clusters, members: list, min_probability: float) -> dict:
    """Flat probability, truth and unit (block of sky) of the encoder's tiles, each counted once, and the truth's name.

    encoder_tiles: (table, wcs) of each map. members: a table for each map, or one for all; empty: then `truth` is
    "discs", tiles within R_lambda of `clusters`, else "members", tiles whose probability to hold one reaches
    `min_probability`. An encoder tile belongs to the survey tile that owns its centre.
    """
    tables = members * len(maps) if len(members) == 1 else members or [None] * len(maps)
    parts, most = [], 0.0
    for index, (each, (tiles, wcs), own_members) in enumerate(zip(maps, encoder_tiles, tables, strict=True)):
        owned = owners(tiles["ra"], tiles["dec"], maps) == index
        if own_members is None:
            truth = truth_from_discs(clusters, tiles)
        else:
            presence = member_presence(own_members, tiles, wcs)
            truth, most = presence >= min_probability, max(most, presence[owned].max(initial=0.0))
        block = index * N_BLOCKS**2 + block_of(tiles, each)
        parts.append((tiles["probability"].to_numpy(float)[owned], truth[owned], block[owned]))
    if any(len(table) for table in members) and most == 0.0:
        raise ValueError(
            f"none of the {sum(map(len, members))} members lies on the observed part of the {len(maps)} tiles: "
            "give the member table of this sky (clusters: score_redmapper: members_file)"
        )
    probability, truth, block = (np.concatenate(column) for column in zip(*parts, strict=True))
    unit = np.unique(block, return_inverse=True)[1]
    return {"probability": probability, "truth": truth, "unit": unit, "source": "members" if members else "discs"}


def block_of(tiles, each: dict) -> np.ndarray:
    """Index (n,) of the block, of N_BLOCKS a side of the map, that the centre of each encoder tile lies in."""
    row, column, _ = cells_of(tiles["ra"], tiles["dec"], each)
    row, column = (
        np.clip(cell * N_BLOCKS // n, 0, N_BLOCKS - 1)
        for cell, n in zip((row, column), each["probability"].shape, strict=True)
    )
    return row * N_BLOCKS + column


def observed_area_deg2(maps: list[dict]) -> float:
    """Sky that at least one map observed."""
    area = 0.0
    for index, each in enumerate(maps):
        ra, dec = cell_centres(each)
        area += np.sum(owners(ra.ravel(), dec.ravel(), maps) == index) * cell_area_deg2(each)
    return float(area)


def tile_report(
    tiles: dict, threshold: float, *, prefix: str, n_calibration_bins: int, n_resamples: int, rng
) -> tuple[dict, dict]:
    """Metrics of `sky_tiles` and the arrays of their reliability.

    Keys begin with `<prefix>tile_` where truth is members and with `<prefix>disc_tile_` where it is discs.
    """
    counts = resample_counts(tiles["unit"].max() + 1, n_resamples, rng)
    flat = Tiles(tiles["probability"], tiles["truth"], tiles["unit"], np.ones(len(tiles["truth"])))
    bins = equal_mass_bins(flat.probability, n_calibration_bins)
    scores = tile_scores(flat, counts, bins=bins, suffix="", threshold=threshold)
    prefix, note = prefix + ("" if tiles["source"] == "members" else "disc_"), TRUTH_NOTES[tiles["source"]]
    baselines = {"tile_pr_auc": f"{prefix}tile_base_rate"}
    report = {
        f"{prefix}{name}": score._replace(note=f"{score.note}; {note}").entry(baselines.get(name))
        for name, score in scores.items()
    }
    return report, prefixed("encoder", reliability(flat, bins, counts))


def chance_scores(detections, truth, maps, threshold: float, *, rng, n_shuffles: int, scoring) -> dict[str, Score]:
    """Completeness and purity that the same detections reach at random observed positions: mean and spread."""
    kept = detections[detections["probability"] >= threshold].reset_index(drop=True)
    positions = np.concatenate(
        [np.column_stack([c.ravel() for c in cell_centres(m)])[np.isfinite(m["probability"]).ravel()] for m in maps]
    )
    results = {}
    for _ in range(n_shuffles):
        drawn = positions[rng.integers(len(positions), size=len(kept))]
        moved = kept.assign(ra=drawn[:, 0], dec=drawn[:, 1])
        for key, value in plain_scores(*judge(moved, truth, **scoring.criteria.matching), scoring).items():
            results.setdefault(key, []).append(value)
    note = "the same detections at random observed positions: mean and spread over shuffles"
    return {key: Score(_mean(values), np.array(values), n_shuffles, "", note) for key, values in results.items()}


def plain_scores(judged, truth, scoring) -> dict[str, float]:
    """Completeness above each richness edge and purity of the catalogue, NaN where undefined."""
    span, one = scoring.criteria.redshift_range, np.ones((1, _n_units(judged, truth)))
    true, counted = truth[truth["inside"]], judged[judged["counted"]]
    scores = {
        f"cluster_completeness_richness_gt{edge:g}": fraction_in(true, true["found"], (edge, np.inf), span, one).value
        for edge in scoring.richness_edges
    }
    pure = counted["true_richness"] >= scoring.pure_richness
    return scores | {"cluster_purity": fraction_in(counted, pure, (-np.inf, np.inf), span, one).value}


def _n_units(*frames) -> int:
    return 1 + max(int(frame["unit"].max()) if len(frame) else 0 for frame in frames)


def _mean(values) -> float:
    finite = np.array(values)[np.isfinite(values)]
    return float(np.mean(finite)) if len(finite) else np.nan


def match_table(judged, truth, maps: list[dict]) -> pd.DataFrame:
    """One row per detection of a judged catalogue and per cluster in the footprint that none matched.

    Columns: tile, status (matched, unmatched, missed), ra, dec, probability, redshift(_error),
    richness(_error), cluster_id (0 = none), redshift_true, richness_true, separation_arcsec; NaN where there
    is nothing to say.
    """
    names = np.array([each["name"] for each in maps] + ["outside"])
    matched = judged["halo"].to_numpy() >= 0
    halo = truth.reindex(judged["halo"].to_numpy()).reset_index(drop=True)  # a row of NaN for -1
    rows = judged[["ra", "dec", "probability", "redshift", "redshift_error", "richness", "richness_error"]].reset_index(
        drop=True
    )
    rows.insert(0, "tile", names[judged["tile"].to_numpy(dtype=int)])
    rows.insert(1, "status", np.where(matched, "matched", "unmatched"))
    separation = separation_arcsec(rows["ra"], rows["dec"], halo["ra"], halo["dec"])
    rows["cluster_id"] = np.where(matched, halo["cluster_id"], 0)
    for column, values in (
        ("redshift_true", halo["redshift"]),
        ("richness_true", halo["richness"]),
        ("separation_arcsec", separation),
    ):
        rows[column] = np.where(matched, values, np.nan)
    missed = truth[truth["inside"] & ~truth["found"]]
    lost = missed[["ra", "dec", "cluster_id"]].assign(
        redshift_true=missed["redshift"], richness_true=missed["richness"], status="missed"
    )
    lost["tile"] = names[missed["tile"].to_numpy(dtype=int)]
    return pd.concat([rows, lost], ignore_index=True)[list(rows)].astype({"cluster_id": int})


def is_scored(clusters, redshift_range, min_richness: float) -> np.ndarray:
    """Which clusters of a catalogue count: redshift in [low, high), richness >= `min_richness`, bool (n,)."""
    return between(clusters["redshift"], *redshift_range) & (clusters["richness"] >= min_richness).to_numpy()


def counts_per_tile(judged, truth, maps, redshift_range, min_richness: float) -> pd.DataFrame:
    """Per tile: n_detections and n_matched in the redshift range, n_clusters and n_found of the clusters scored."""
    kept = judged[between(judged["redshift"], *redshift_range)]
    true = truth[truth["inside"] & is_scored(truth, redshift_range, min_richness)]
    n = len(maps)

    def tally(frame, chosen):
        return np.bincount(frame["tile"].to_numpy(dtype=int)[np.asarray(chosen)], minlength=n)

    return pd.DataFrame({
        "tile": [each["name"] for each in maps],
        "n_detections": tally(kept, np.ones(len(kept), bool)),
        "n_matched": tally(kept, kept["halo"] >= 0),
        "n_clusters": tally(true, np.ones(len(true), bool)),
        "n_found": tally(true, true["found"]),
    })  # fmt: skip


def is_from_prior(catalog: list[str], n_tiles: int) -> list[bool]:
    """Which tiles have a sky drawn from the prior at the natural rate, by the truth tables of simulated tiles."""
    if len(catalog) != n_tiles or not all(path.endswith(".dat") for path in catalog):
        return [False] * n_tiles
    return [bool(read_catalog_meta(path).get("from_prior")) for path in catalog]
