"""Compare two cluster lists of the same sky: completeness both ways, redshifts, richnesses, positions."""

import numpy as np

from armillary.cluster_lists import read_list
from armillary.files import write_catalog, write_json
from armillary.list_comparison import compare_lists
from armillary.metrics import validate_metrics
from armillary.step import announce, run

KEY = "clusters: compare_catalogs"
UNITS = {f"{side}_{name}": "deg" for side in ("first", "second") for name in ("ra", "dec")} | {
    "separation_arcsec": "arcsec",
    "separation_mpc": "Mpc",
}


def compare_catalogs(
    first_file: str,
    second_file: str,
    metrics: str,
    bins: str,
    matches: str,
    *,
    first: dict,
    second: dict,
    match_radius_mpc: float,
    match_dz: float,
    match_radius_arcsec: float,
    redshift_range: list[float],
    richness_edges: list[float],
    footprint: dict | None,
    cell_deg2: float,
    n_shifts: int,
    n_resamples: int,
    seed: int,
) -> None:
    one = read_list(first_file, first, f"{KEY}: first", cell_deg2)
    other = read_list(second_file, second, f"{KEY}: second", cell_deg2)
    if one.name == other.name:
        one, other = one._replace(name=f"{one.name} (first)"), other._replace(name=f"{other.name} (second)")
    for side in (one, other):
        announce(side.report())
    report, shares, pairs = compare_lists(
        one,
        other,
        rng=np.random.default_rng(seed),
        footprint=footprint,
        cell_deg2=cell_deg2,
        redshift_range=redshift_range,
        richness_edges=richness_edges,
        n_resamples=n_resamples,
        n_shifts=n_shifts,
        match_radius_mpc=match_radius_mpc,
        match_dz=match_dz,
        match_radius_arcsec=match_radius_arcsec,
    )
    validate_metrics(report, metrics)
    for score, side, against in (("completeness", one, other), ("purity", other, one)):
        entry = report[score]
        announce(f"{entry['value']:.3f} of {entry['n']:.0f} {side.name} clusters are in {against.name}")
    names = {"first": one.name, "second": other.name}
    write_json(metrics, report)
    write_catalog(bins, shares, meta=names)
    write_catalog(matches, pairs, UNITS, meta=names)


if __name__ == "__main__":
    run(compare_catalogs, snakemake)
