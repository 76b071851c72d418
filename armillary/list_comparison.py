"""Two cluster lists of the same sky compared: completeness both ways, redshifts, richnesses, positions.

The first list is the reference: pairs lie within a physical radius at the first list's redshift and within
|z2 - z1| <= match_dz (1 + z1). Completeness is the share of the first list's clusters with a counterpart in the second,
"purity" the share of the second's with one in the first; neither list is taken to be the truth. Chance matches are
measured by shifting the second list.
"""

import numpy as np
import pandas as pd

from armillary import matching
from armillary.cluster_lists import ClusterList, box_area_deg2, common_footprint, in_box, rolled, shifted
from armillary.completeness import between, richness_bins
from armillary.list_pairs import match_table, offset_metrics, redshift_metrics, richness_metrics
from armillary.matching import UNMATCHED, match_nearest, match_two_way
from armillary.metrics import estimate, fraction, measurement, resample_counts

SHIFT_DEG = (0.5, 1.0)  # beyond a cluster's own radius, within its survey
MIN_CELLS = 20  # with fewer occupied cells the bootstrap resamples clusters
ANY_REDSHIFT = 0.5  # turns an angle into Mpc and back where no list has redshifts


def match_lists(first, second, *, match_radius_mpc: float, match_dz: float, match_radius_arcsec: float) -> np.ndarray:
    """Row in second (n_first,) of each cluster of first, -1 for none; every cluster is used once.

    With redshifts in one list only, redshift differences are not looked at and the radius is that at its redshifts;
    with none, the radius is `match_radius_arcsec`.
    """
    if "redshift" in second and "redshift" not in first:
        return match_two_way(first, second, match_radius_mpc=match_radius_mpc, match_dz=None)
    if "redshift" in first:
        criteria = {"match_radius_mpc": match_radius_mpc, "match_dz": match_dz if "redshift" in second else None}
    else:
        first = first.assign(redshift=ANY_REDSHIFT)
        radius_mpc = match_radius_arcsec / matching.match_radius_arcsec(ANY_REDSHIFT, 1.0)
        criteria = {"match_radius_mpc": radius_mpc, "match_dz": None}
    return inverse(match_two_way(second, first, **criteria), len(first))


def inverse(partner, n_other: int) -> np.ndarray:
    """Partners of the other list (n_other,), -1 for none, from those of this one."""
    back = np.full(n_other, UNMATCHED)
    back[partner[partner != UNMATCHED]] = np.flatnonzero(partner != UNMATCHED)
    return back


def compared_sample(first, second, partner, redshift_range, footprint) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Both lists with `found`, `in_footprint` (the box, or where the other list looked) and `in_range` of redshift."""
    if footprint is None:
        inside = common_footprint(first, second, partner)
    else:
        inside = in_box(first, footprint), in_box(second, footprint)
    frames = []
    for clusters, found, within in zip((first, second), (partner, inverse(partner, len(second))), inside, strict=True):
        in_range = between(clusters["redshift"], *redshift_range) if "redshift" in clusters else True
        frames.append(clusters.assign(found=found != UNMATCHED, in_footprint=within, in_range=in_range))
    return frames[0], frames[1]


def counted(clusters) -> np.ndarray:
    """Clusters of a `compared_sample` that completeness or purity counts, bool (n,)."""
    return (clusters["in_footprint"] & clusters["in_range"]).to_numpy(bool)


def score_bins(first, second, richness_edges) -> list[dict]:
    """Rows of score, key, bin_low, bin_high (NaN: all) and `chosen` (n,), over the clusters that count.

    Completeness is binned in the richness of the first list, purity in that of the second.
    """
    rows = []
    for score, clusters in (("completeness", first), ("purity", second)):
        whole = counted(clusters)
        rows.append({"score": score, "key": score, "bin_low": np.nan, "bin_high": np.nan, "chosen": whole})
        bins = richness_bins(richness_edges) if "richness" in clusters else {}
        for label, (low, high) in bins.items():
            chosen = whole & between(clusters["richness"], low, high)
            rows.append({"score": score, "key": f"{score}_{label}", "bin_low": low, "bin_high": high, "chosen": chosen})
    return rows


def moved_lists(second, *, rng, n_shifts, cell_deg2, footprint):
    """The second list moved `n_shifts` times: by 0.5 to 1 deg in all directions, or at random round the box."""
    if footprint is None:
        angles = 2.0 * np.pi * (np.arange(n_shifts) + rng.uniform()) / n_shifts
        for angle, distance_deg in zip(angles, rng.uniform(*SHIFT_DEG, n_shifts), strict=True):
            yield shifted(second, distance_deg, angle, cell_deg2)
    else:
        for shares in rng.uniform(size=(n_shifts, 2)):
            yield rolled(second, footprint, *shares)


def chance_shares(first, moved, *, redshift_range, richness_edges, footprint, **criteria) -> dict:
    """key -> shares (n,) of `score_bins` found with each of the `moved` second lists; NaN where no cluster counts."""
    shares = {}
    for second in moved:
        both = compared_sample(first, second, match_lists(first, second, **criteria), redshift_range, footprint)
        for row in score_bins(*both, richness_edges):
            found = both[0 if row["score"] == "completeness" else 1]["found"].to_numpy()[row["chosen"]]
            shares.setdefault(row["key"], []).append(found.mean() if found.size else np.nan)
    return {key: np.array(values) for key, values in shares.items()}


def resampling_units(first, second, partner) -> tuple[np.ndarray, np.ndarray, str]:
    """Unit of each cluster of both lists for the bootstrap, and what a unit is.

    Units are cells of the sky; where fewer than `MIN_CELLS` hold clusters that count, a cluster with its counterpart.
    """
    cells, unit = np.unique(np.concatenate([first["cell"], second["cell"]]), return_inverse=True)
    if np.unique(first["cell"][counted(first)]).size >= MIN_CELLS:
        return unit[: len(first)], unit[len(first) :], f"errors from resampled cells of the sky ({len(cells)})"
    back = inverse(partner, len(second))
    second_unit = np.where(back != UNMATCHED, back, len(first) + np.arange(len(second)))
    return np.arange(len(first)), second_unit, "errors from resampled clusters"


def compare_lists(
    one: ClusterList,
    other: ClusterList,
    *,
    rng: np.random.Generator,
    footprint: dict | None,
    cell_deg2: float,
    redshift_range: list[float],
    richness_edges: list[float],
    n_resamples: int,
    n_shifts: int,
    match_radius_mpc: float,
    match_dz: float,
    match_radius_arcsec: float,
) -> tuple[dict, pd.DataFrame, pd.DataFrame]:
    """(metrics, table of bins, table of pairs and of clusters without a counterpart) of two lists.

    `footprint` is a box (`cluster_lists.in_box`) that both lists cover; None: cells that both occupy.
    Raises ValueError where the lists share no sky, or no cluster of a list is in the redshift range.
    """
    criteria = {
        "match_radius_mpc": match_radius_mpc,
        "match_dz": match_dz,
        "match_radius_arcsec": match_radius_arcsec,
    }
    partner = match_lists(one.clusters, other.clusters, **criteria)
    first, second = compared_sample(one.clusters, other.clusters, partner, redshift_range, footprint)
    _require_common_sky(one, other, first, second, footprint, cell_deg2, redshift_range)
    first_unit, second_unit, resampled = resampling_units(first, second, partner)
    counts = resample_counts(int(max(first_unit.max(), second_unit.max())) + 1, n_resamples, rng)
    moved = moved_lists(other.clusters, rng=rng, n_shifts=n_shifts, cell_deg2=cell_deg2, footprint=footprint)
    chance = chance_shares(
        one.clusters,
        moved,
        redshift_range=redshift_range,
        richness_edges=richness_edges,
        footprint=footprint,
        **criteria,
    )
    sides = {"completeness": (first, first_unit, one, other), "purity": (second, second_unit, other, one)}
    shares, bins = found_shares(score_bins(first, second, richness_edges), sides, chance, counts, resampled)
    matches = match_table(first.assign(unit=first_unit), second.assign(unit=second_unit), partner)
    pairs = matches[(matches["status"] == "matched") & matches["in_range"]].reset_index(drop=True)
    metrics = shares | list_metrics(one, other, first, second) | offset_metrics(pairs, counts, resampled)
    metrics |= redshift_metrics(pairs, counts, resampled) | area_metrics(first, second, footprint, cell_deg2)
    if one.has("redshift") and other.has("redshift"):
        metrics |= outlier_metrics(first, second, first_unit, counts, match_radius_mpc, match_dz)
    metrics |= richness_metrics(pairs, counts, resampled, limits_of(other))
    return metrics, bins, matches.drop(columns="unit")


def _require_common_sky(one, other, first, second, footprint, cell_deg2, redshift_range) -> None:
    for side, clusters in ((one, first), (other, second)):
        if "redshift" in clusters and not between(clusters["redshift"], *redshift_range).any():
            raise ValueError(
                f"no cluster of {side.name} has a redshift from {redshift_range[0]:g} to {redshift_range[1]:g} "
                f"(clusters: compare_catalogs: redshift_range); they are {_range(clusters['redshift'])}"
            )
    if footprint is not None:
        for side, clusters in ((one, first), (other, second)):
            if not counted(clusters).any():
                (west, east), (south, north) = footprint["ra"], footprint["dec"]
                raise ValueError(
                    f"the footprint, ra {west:g} to {east:g} and dec {south:g} to {north:g}, holds no cluster of "
                    f"{_extent(side)} (clusters: compare_catalogs: footprint)"
                )
    elif not (counted(first).any() and counted(second).any()):
        raise ValueError(
            f"{_extent(one)} and {_extent(other)} share no sky: no cell of {cell_deg2:g} deg2 holds clusters of both, "
            "counterparts aside (clusters: compare_catalogs: cell_deg2 or footprint for sparse lists)"
        )


def _extent(side: ClusterList) -> str:
    """Name of a list and the range of its positions; the range of ra is the shortest that holds all."""
    ra = np.sort(side.clusters["ra"].to_numpy())
    start = (int(np.argmax(np.diff(ra, append=ra[0] + 360.0))) + 1) % len(ra)
    dec = side.clusters["dec"]
    return f"{side.name} (ra {ra[start]:.1f} to {ra[start - 1]:.1f}, dec {dec.min():.1f} to {dec.max():.1f})"


def found_shares(rows, sides, chance, counts, resampled: str) -> tuple[dict, pd.DataFrame]:
    """Metrics of every row of `score_bins`, with chance as their baseline, and the same as a table."""
    metrics, table = {}, []
    chance_note = "the same with the positions of the second list moved, mean and spread of n shifts"
    for row in rows:
        clusters, unit, side, other = sides[row["score"]]
        key, chance_key, chosen = row["key"], f"chance_{row['key']}", row["chosen"]
        note = f"{side.name} clusters with a counterpart in {other.name}; {limits_of(other)}; {resampled}"
        found = clusters["found"].to_numpy()[chosen]
        metrics[key] = fraction(found, np.ones(found.size), unit[chosen], counts, note).entry(chance_key)
        by_chance = float(np.nanmean(chance[key])) if np.isfinite(chance[key]).any() else np.nan
        metrics[chance_key] = estimate(by_chance, chance[key], len(chance[key]), note=chance_note)
        table.append(
            {name: row[name] for name in ("score", "bin_low", "bin_high")}
            | {name: metrics[key][name] for name in ("value", "lo", "hi", "n")}
            | {"chance": by_chance}
        )
    return metrics, pd.DataFrame(table).astype({name: float for name in ("value", "lo", "hi", "n", "chance")})


def limits_of(side: ClusterList) -> str:
    """The range of richness and redshift of a list, for notes: a counterpart beyond it cannot be found."""
    parts = [f"{role} {_range(side.clusters[role])}" for role in ("richness", "redshift") if side.has(role)]
    return (
        f"{side.name} has {' and '.join(parts)}, no counterparts beyond"
        if parts
        else f"{side.name} has no richness and no redshift"
    )


def _range(values) -> str:
    return f"{values.min():.3g} to {values.max():.3g}"


def list_metrics(one, other, first, second) -> dict:
    """Rows read, left out and compared of both lists."""
    metrics = {}
    for label, side, clusters in (("first", one, first), ("second", other, second)):
        metrics[f"{label}_n_clusters"] = measurement(len(clusters), n=side.n_rows, note=f"usable rows of {side.name}")
        for kind, n_missing in side.n_missing.items():
            note = f"rows of {side.name} without a {kind}"
            metrics[f"{label}_n_without_{kind}"] = measurement(n_missing, n=side.n_rows, note=note)
        note = "in the common footprint and, with redshifts, in redshift_range"
        metrics[f"{label}_n_compared"] = measurement(int(counted(clusters).sum()), n=len(clusters), note=note)
    return metrics


def area_metrics(first, second, footprint, cell_deg2: float) -> dict:
    """The sky that both lists share."""
    n_cells = np.intersect1d(first["cell"], second["cell"]).size
    if footprint is None:
        area, note = n_cells * cell_deg2, f"n cells of about {cell_deg2:g} deg2 that hold clusters of both lists"
    else:
        area, note = box_area_deg2(footprint), "the footprint of the config"
    return {"common_area_deg2": measurement(area, n=n_cells, unit="deg^2", note=note)}


def outlier_metrics(first, second, first_unit, counts, match_radius_mpc: float, match_dz: float) -> dict:
    """Share of redshift outliers among mutual nearest neighbours on the sky, matched without a look at redshift."""
    partner = inverse(match_nearest(second, first, match_radius_mpc=match_radius_mpc), len(first))
    chosen = counted(first) & (partner != UNMATCHED)
    z1, z2 = first["redshift"].to_numpy()[chosen], second["redshift"].to_numpy()[partner[chosen]]
    note = f"|z2 - z1| / (1 + z1) > {match_dz:g} of mutual nearest neighbours on the sky, unrelated ones included"
    outlier = np.abs(z2 - z1) / (1.0 + z1) > match_dz
    return {"redshift_outliers": fraction(outlier, np.ones(len(z1)), first_unit[chosen], counts, note).entry()}
