"""Sample the catalogues of one batch of fields, and the table of haloes behind them."""

from functools import partial

import pandas as pd

from armillary.bootstrap import prepare_real_prior, sample_real_field
from armillary.catalogs import CATALOG_UNITS, DEFAULTS, TRUTH_UNITS, field_centre, prepare_prior, sample_field
from armillary.files import read_catalog, write_catalog
from armillary.galaxies import ZERO_POINT
from armillary.step import progress, run
from armillary.surveys import survey_constants


def sample_catalog(
    red_sequence: str, catalogs: list[str], truth: str, *, batch: str, split: str, survey: str,
    image_size: int, n_catalogs_per_file: int, seed: int, prior: str, cluster_rate: str,
    n_clusters_per_field: float, n_clusters_per_deg2: float, group_boost: float, richness_slope: float,
    sigma_intrinsic: float, redshift_min: float, redshift_max: float, margin_mpc: float,
    i_magnitude_limit: float, galaxy_density_per_arcmin2: float, star_density_per_arcmin2: float,
    members_file: str, clusters_file: str, sources_file: str, source_psf_fwhm_arcsec: float,
    source_density_per_arcmin2: float,
    stamp: float,
) -> None:  # fmt: skip
    """One .dat file per field of batch number `batch`, and one truth table for the whole batch.

    `stamp` changes nothing here: it is the time of the run where `overwrite` asks for new catalogues, else 0.
    """
    settings = {name: value for name, value in locals().items() if name in DEFAULTS}
    pixel_arcsec = survey_constants(survey).pixel_arcsec
    prepared = {
        "survey": survey,
        "image_size": image_size,
        "pixel_arcsec": pixel_arcsec,
        "settings": settings,
    }
    table = read_catalog(red_sequence)
    if prior == "physical":
        sample = partial(sample_field, prepare_prior(table, **prepared))
    elif prior == "real":
        files = {"members_file": members_file, "clusters_file": clusters_file, "sources_file": sources_file}
        real = prepare_real_prior(
            table, split=split, source_psf_fwhm_arcsec=source_psf_fwhm_arcsec, **files, **prepared
        )
        sample = partial(sample_real_field, real)
    else:
        raise ValueError(f"prior is {prior!r}; use physical or real (config key `sample_catalog: prior`)")
    truths = []
    for number, path in progress(list(enumerate(catalogs)), "fields"):
        field = int(batch) * n_catalogs_per_file + number
        catalog, haloes = sample(field=field, seed=seed)
        ra_deg, dec_deg = field_centre(field)
        meta = {
            "field": field, "survey": survey, "image_size": image_size, "pixel_arcsec": pixel_arcsec,
            "ra_deg": ra_deg, "dec_deg": dec_deg, "zero_point": ZERO_POINT, "seed": seed, "split": split,
            "prior": prior,
        }  # fmt: skip
        write_catalog(path, catalog, CATALOG_UNITS, meta)
        truths.append(haloes)
    write_catalog(truth, pd.concat(truths, ignore_index=True), TRUTH_UNITS, {"batch": batch, "split": split})


if __name__ == "__main__":
    run(sample_catalog, snakemake)
