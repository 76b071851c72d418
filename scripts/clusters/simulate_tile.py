"""Render an emulated DES coadd tile: DR2's names, compression, WCS and zero point, clusters where redMaPPer
found them.
"""

from armillary.catalogs import MEMBER_UNITS, TRUTH_UNITS, member_table, prepare_prior, sample_field
from armillary.des import PIXEL_ARCSEC, tile_header, tile_position
from armillary.files import read_catalog, write_catalog, write_compressed_image
from armillary.haloes import RICHNESS_CLUSTER
from armillary.redmapper import read_clusters
from armillary.rendering import render_field
from armillary.step import announce, run

MINUTES_OF_SKY = 24 * 60
HALO_COLUMNS = ["ra", "dec", "redshift", "richness", "cluster_id"]


def simulate_tile(
    red_sequence: str,
    redmapper: list[str],
    psfex_models: list[str],
    images: list[str],
    truth: str,
    members: str,
    *,
    tile: str,
    bands: list[str],
    image_size: int,
    quantize_level: float,
    n_mock_clusters: float,
    prior: dict,
    rendering: dict,
    seed: int,
) -> None:
    """`redmapper` holds the observed catalogue, or nothing: then clusters come from the prior, `n_mock_clusters` on
    average, as many rich as poor ones. Groups (richness 5 to 20) come from the prior at their natural rate in either
    case. `truth` is what a perfect catalogue of clusters holds, `members` their members inside the image. `psfex_models`, one a band, replace the PSF profile of
    `rendering` where there are any.
    """
    ra_deg, dec_deg = tile_position(tile)
    settings = {"survey": "des", "image_size": image_size, "pixel_arcsec": PIXEL_ARCSEC}
    mock = {
        "cluster_rate": "boosted",
        "n_clusters_per_field": n_mock_clusters,
        "richness_slope": 0.0,
        "group_boost": 1.0,
    }
    sky = prior | ({"cluster_rate": "natural"} if redmapper else mock)
    prepared = prepare_prior(read_catalog(red_sequence), **settings, settings=sky)
    field = tile_number(tile)
    haloes = read_clusters(redmapper[0])[HALO_COLUMNS] if redmapper else None
    catalog, true_haloes = sample_field(prepared, field=field, seed=seed, ra_deg=ra_deg, dec_deg=dec_deg, haloes=haloes)
    clusters = true_haloes[true_haloes["richness"] >= RICHNESS_CLUSTER]
    announce(f"{tile}: {len(catalog)} sources, {len(clusters)} clusters of richness >= {RICHNESS_CLUSTER:g}")
    models = dict(zip(bands, psfex_models, strict=True)) if psfex_models else None
    for band, path in zip(bands, images, strict=True):
        drawn, psfs = render_field(
            catalog,
            survey="des",
            bands=[band],
            image_size=image_size,
            seed=seed,
            field=field,
            name=tile,
            psfex_models=models and [models[band]],
            **rendering,
        )
        header = tile_header(tile, band, image_size) | {"SEEING": psfs[0].fwhm_arcsec}
        write_compressed_image(path, drawn[0], header, quantize_level)
        announce(f"{tile} {band}: seeing {psfs[0].fwhm_arcsec:.2f} arcsec")
        del drawn
    meta = {"tile": tile, "image_size": image_size, "source": redmapper[0] if redmapper else "prior"}
    write_catalog(truth, clusters, TRUTH_UNITS, meta)
    write_catalog(members, member_table(catalog), MEMBER_UNITS, meta)


def tile_number(tile: str) -> int:
    """A whole number for each tile name, the field number of its random streams and of its cluster ids."""
    ra_deg, dec_deg = tile_position(tile)
    return int(round(ra_deg * 4)) + MINUTES_OF_SKY * int(round((dec_deg + 90) * 60)) + 1_000_000


if __name__ == "__main__":
    run(simulate_tile, snakemake)
