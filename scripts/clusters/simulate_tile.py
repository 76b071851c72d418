"""Simulate a DES coadd tile with DR2's names, compression, WCS and zero point, and clusters where DES Y3 has them."""

import pandas as pd

from armillary.catalogs import MEMBER_UNITS, TRUTH_UNITS, member_table, prepare_prior, sample_field
from armillary.des import PIXEL_ARCSEC, tile_header, tile_position
from armillary.files import read_catalog, read_catalog_meta, write_catalog, write_compressed_image
from armillary.haloes import RICHNESS_CLUSTER
from armillary.redmapper import read_clusters
from armillary.rendering import render_field
from armillary.step import announce, run

MINUTES_OF_SKY = 24 * 60
HALO_COLUMNS = ["ra", "dec", "redshift", "richness", "cluster_id"]
# ASSUME: two clusters are never closer than this (physical, projected); in DES Y3 3 % lie within R_lambda of another.
MIN_SEPARATION_MPC = 1.0


def simulate_tile(
    red_sequence: str,
    embedded: str,
    clusters: list[str],
    psfex_models: list[str],
    images: list[str],
    truth: str,
    members: str,
    *,
    tile: str,
    bands: list[str],
    image_size: int,
    quantize_level: float,
    prior: dict,
    rendering: dict,
    seed: int,
) -> None:
    """Write the images of a tile, its true clusters (also those just outside, whose members leak in) and their members.

    `clusters` names a list of observed clusters to put in; where it is empty, tiles of the table `embedded` get the
    clusters of that table and any other tile gets clusters of the prior at their natural rate, centres at least
    MIN_SEPARATION_MPC apart. Groups (richness 5 to 20) always come from the prior at their natural rate.
    `psfex_models`, one a band, replace the PSF profile of `rendering` where there are any.
    """
    haloes, source = clusters_of_tile(tile, image_size, embedded, clusters)
    catalog, true_haloes = simulated_sky(read_catalog(red_sequence), haloes, tile, image_size, prior, seed)
    true_clusters = true_haloes[true_haloes["richness"] >= RICHNESS_CLUSTER]
    announce(
        f"{tile}: {len(catalog)} sources, {len(true_clusters)} clusters of richness >= {RICHNESS_CLUSTER:g}: {source}"
    )
    models = dict(zip(bands, psfex_models, strict=True)) if psfex_models else None
    for band, path in zip(bands, images, strict=True):
        drawn, psfs = render_field(
            catalog,
            survey="des",
            bands=[band],
            image_size=image_size,
            seed=seed,
            field=tile_number(tile),
            name=tile,
            psfex_models=models and [models[band]],
            **rendering,
        )
        header = tile_header(tile, band, image_size) | {"SEEING": psfs[0].fwhm_arcsec}
        write_compressed_image(path, drawn[0], header, quantize_level)
        announce(f"{tile} {band}: seeing {psfs[0].fwhm_arcsec:.2f} arcsec")
        del drawn
    meta = {"tile": tile, "image_size": image_size, "simulated": True, "source": source, "from_prior": haloes is None}
    write_catalog(truth, true_clusters, TRUTH_UNITS, meta)
    write_catalog(members, member_table(catalog), MEMBER_UNITS, meta)


def clusters_of_tile(tile: str, image_size: int, embedded: str, clusters: list[str]) -> tuple[pd.DataFrame | None, str]:
    """The observed clusters to put into a tile (HALO_COLUMNS), None for those of the prior, and their source in words.

    Raises ValueError where `image_size` is more than the embedded table covers.
    """
    if clusters:
        listed = read_clusters(clusters[0])[HALO_COLUMNS]
        return listed[listed["richness"] >= RICHNESS_CLUSTER], f"clusters of the list {clusters[0]}"
    table, meta = read_catalog(embedded), read_catalog_meta(embedded)
    listed = table.loc[table["tile"] == tile, HALO_COLUMNS]
    if listed.empty:
        return None, "clusters of the prior at their natural rate"
    if image_size > meta["image_size"]:
        raise ValueError(
            f"image_size is {image_size} px; {embedded} lists the clusters of {tile} to {meta['image_size']} px: lower "
            "`simulate_tile: image_size`, or name a whole list in `simulate_tile: clusters_file`"
        )
    return listed, f"DES Y3 clusters of {embedded}"


def simulated_sky(
    red_sequence: pd.DataFrame, haloes: pd.DataFrame | None, tile: str, image_size: int, prior: dict, seed: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Sources and haloes of a tile: `haloes` or, where it is None, clusters of the prior; no clusters are boosted."""
    ra_deg, dec_deg = tile_position(tile)
    prepared = prepare_prior(
        red_sequence,
        survey="des",
        image_size=image_size,
        pixel_arcsec=PIXEL_ARCSEC,
        settings=prior | {"cluster_rate": "natural"},
    )
    return sample_field(
        prepared,
        field=tile_number(tile),
        seed=seed,
        ra_deg=ra_deg,
        dec_deg=dec_deg,
        haloes=haloes,
        min_separation_mpc=MIN_SEPARATION_MPC,
    )


def tile_number(tile: str) -> int:
    """A whole number for each tile name, the field number of its random streams and of its cluster ids."""
    ra_deg, dec_deg = tile_position(tile)
    return int(round(ra_deg * 4)) + MINUTES_OF_SKY * int(round((dec_deg + 90) * 60)) + 1_000_000


if __name__ == "__main__":
    run(simulate_tile, snakemake)
