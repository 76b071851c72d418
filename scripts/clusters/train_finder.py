"""Tune the red-sequence finder: red sequence and background on the training fields, knobs on the selection fields,
calibration on the calibration fields; and the limit, for which the haloes are known, on those, too."""

from itertools import islice

from armillary.files import read_catalog, read_catalog_meta, read_table, write_arrays
from armillary.finder_training import calibrated_limit, known_field, train
from armillary.sky import tan_wcs
from armillary.step import announce, progress, run
from armillary.surveys import survey_constants


def train_finder(
    photometry: list[str], catalogs: list[str], truth: list[str], red_sequence: str, finder: str, limit: str, *,
    survey: str, image_size: int, tile_size: int, min_flux_for_loss: float, n_fields: dict[str, int],
) -> None:  # fmt: skip
    """`photometry` and `truth` are those of all batches, `catalogs` the .dat files of their fields: the splits that
    `n_fields` counts, one after the other."""
    table = read_catalog(red_sequence)
    sizes = {"image_size": image_size, "tile_size": tile_size}
    pixel_arcsec = survey_constants(survey).pixel_arcsec
    known = _read_fields(photometry, catalogs, truth, pixel_arcsec, min_flux_for_loss=min_flux_for_loss, **sizes)
    fields = {name: list(islice(known, n)) for name, n in n_fields.items()}
    tuned, score = train(
        table[table["survey"] == survey], fields, pixel_arcsec=pixel_arcsec, report=announce, **sizes
    )  # fmt: skip
    announce(f"tile PR-AUC {score:.4f} on {len(fields['calibration'])} calibration fields")
    write_arrays(finder, **tuned)
    write_arrays(limit, **calibrated_limit(tuned, fields["calibration"], **sizes))


def _read_fields(photometry: list[str], catalogs: list[str], truth: list[str], pixel_arcsec: float, **sizes):
    """Yield the fields of `catalogs` in turn."""
    galaxies, haloes = {}, {}
    for path in photometry:
        galaxies |= dict(iter(read_table(path).groupby("field")))
    for path in truth:
        haloes |= dict(iter(read_catalog(path).groupby("field")))
    none = read_catalog(truth[0]).iloc[:0]
    for path in progress(catalogs, "read catalogues"):
        meta = read_catalog_meta(path)
        number = meta["field"]
        if number not in galaxies:
            raise ValueError(f"field {number} of {path} has no source in {photometry[0]} ... {photometry[-1]}")
        wcs = tan_wcs(meta["ra_deg"], meta["dec_deg"], sizes["image_size"], pixel_arcsec)
        of_field = galaxies[number].reset_index(drop=True), read_catalog(path), haloes.get(number, none)
        yield known_field(number, wcs, *of_field, **sizes)


if __name__ == "__main__":
    run(train_finder, snakemake)
