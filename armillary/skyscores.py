"""Scores of tiles of real (or emulated) sky against a cluster catalogue: who owns what, counted once.

The sky is not boosted: every weight is 1. The bootstrap resamples clusters (a cluster with the detection that
matched it, or a detection without one) for cluster scores, and blocks of sky for tile scores.
"""

import numpy as np
import pandas as pd

from armillary.completeness import between, fraction_in, judge
from armillary.footprint import NOBODY, cell_centres, owners, restrict, truth_from_discs, truth_from_members
from armillary.matching import match_radius_arcsec, match_two_way
from armillary.metrics import Score
from armillary.sky import separation_arcsec
from armillary.splits import DETECTION_COLUMNS

N_BLOCKS = 4  # blocks a side of a tile that the tile-level bootstrap resamples


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


def sky_truth(clusters, maps: list[dict], name: str, match_radius_mpc: float) -> pd.DataFrame:
    """Clusters in or near the footprint, with tile (index of the owner, -1 outside), inside and weight 1."""
    tile = owners(clusters["ra"].to_numpy(), clusters["dec"].to_numpy(), maps)
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


def sky_tiles(maps: list[dict], clusters, members, min_probability: float) -> dict:
    """Flat probability, truth and unit (block of sky) of the observed cells, each owned by one tile."""
    parts = []
    for index, each in enumerate(maps):
        ra, dec = cell_centres(each)
        owned = (owners(ra.ravel(), dec.ravel(), maps) == index).reshape(ra.shape)
        if members is None:
            truth = truth_from_discs(clusters, each)
        else:
            truth = truth_from_members(members, each, min_probability)
        parts.append((each["probability"][owned], truth[owned], index * N_BLOCKS**2 + blocks(ra.shape)[owned]))
    probability, truth, block = (np.concatenate(column) for column in zip(*parts, strict=True))
    return {"probability": probability, "truth": truth, "unit": np.unique(block, return_inverse=True)[1]}


def blocks(shape) -> np.ndarray:
    """Index (ny, nx) of the block, of N_BLOCKS a side, that a cell is in."""
    rows, columns = (np.arange(n) * N_BLOCKS // n for n in shape)
    return rows[:, None] * N_BLOCKS + columns[None, :]


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
    halo = truth.iloc[np.where(matched, judged["halo"], 0)].reset_index(drop=True)
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


def counts_per_tile(judged, truth, maps, redshift_range) -> pd.DataFrame:
    """Per tile: n_detections, n_matched, n_clusters (of the catalogue) and n_found in the redshift range."""
    kept = judged[between(judged["redshift"], *redshift_range)]
    true = truth[truth["inside"] & between(truth["redshift"], *redshift_range)]
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
