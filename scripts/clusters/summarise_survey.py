"""Merge the shards of the survey: one cluster catalogue, each cluster once, and the footprint tile by tile."""

import pandas as pd

from armillary.files import read_catalog, read_json, read_named_images, write_catalog, write_json
from armillary.footprint import map_of
from armillary.metrics import estimate, measurement
from armillary.mosaic import most_probable, owned_areas_deg2, owned_clusters
from armillary.sky import wcs_of_header
from armillary.step import announce, run
from armillary.tile_results import UNITS

SUFFIX = "_probability"
CENTRE = "_centre_probability"
FOOTPRINT_UNITS = {"ra": "deg", "dec": "deg", "area_deg2": "deg2", "seconds": "s"}


def summarise_survey(
    maps: list[str],
    catalogs: list[str],
    summaries: list[str],
    clusters: str,
    footprint: str,
    metrics: str,
    *,
    duplicate_radius_arcsec: float,
    duplicate_dz: float,
    n_tiles: int,
) -> None:
    """`footprint` has a row for every tile of the shards, with what kept it from being inferred where something did."""
    records = [record for path in summaries for record in read_json(path).values()]
    tiles = [each for path in maps for each in _probability_maps(path)]
    announce(f"{len(records)} of {n_tiles} tiles, {len(tiles)} with pixels")
    found = pd.concat([read_catalog(path) for path in catalogs], ignore_index=True)
    found = found[owned_clusters(found, tiles)].reset_index(drop=True)
    found = found[most_probable(found, duplicate_radius_arcsec, duplicate_dz)]
    write_catalog(clusters, found.sort_values("probability", ascending=False, ignore_index=True), UNITS)
    table = _footprint(records, tiles)
    write_catalog(footprint, table, FOOTPRINT_UNITS)
    write_json(metrics, _metrics(table, len(found), n_tiles))


def _probability_maps(path: str):
    """The probability maps of a shard, named after their tiles."""
    for name, probability, header in read_named_images(path, SUFFIX):
        if not name.endswith(CENTRE):
            yield map_of(name.removesuffix(SUFFIX), probability, wcs_of_header(header, path))


def _footprint(records: list[dict], tiles: list[dict]) -> pd.DataFrame:
    """A row a tile: centre, area that it saw and owns, clusters, seconds, and the error of a tile without any."""
    areas = dict(zip([each["name"] for each in tiles], owned_areas_deg2(tiles), strict=True))
    centres = {each["name"]: (each["ra"], each["dec"]) for each in tiles}
    rows = []
    for record in records:
        tile = record["tile"]
        ra, dec = centres.get(tile) or (record["ra"], record["dec"])
        corners = {
            f"{axis}_{corner}": record[f"corners_{axis}"][corner] if tile in centres else float("nan")
            for corner in range(4)
            for axis in ("ra", "dec")
        }
        rows.append(
            {"tile": tile, "ra": ra, "dec": dec, "area_deg2": areas.get(tile, 0.0), "n_clusters": record["n_clusters"]}
            | {"seconds": record["seconds"], "error": record.get("error", "").replace(" ", "_") or "none"}
            | corners
        )
    return pd.DataFrame(rows)


def _metrics(table: pd.DataFrame, n_clusters: int, n_tiles: int) -> dict:
    seen = table[table.area_deg2 > 0]
    seconds = seen.seconds.to_numpy()
    median = float(seen.seconds.median()) if len(seen) else float("nan")
    return {
        "survey_tiles": measurement(len(seen), n=n_tiles, note="tiles inferred; n: tiles of the list"),
        "survey_area_deg2": measurement(table.area_deg2.sum(), n=len(seen), unit="deg2", note="seen, overlaps once"),
        "survey_clusters": measurement(n_clusters, n=len(seen), note="each once"),
        "survey_tile_seconds": estimate(median, seconds, len(seen), "s", note="to infer a tile; median"),
    }


if __name__ == "__main__":
    run(summarise_survey, snakemake)
