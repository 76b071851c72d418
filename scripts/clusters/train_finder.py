"""Tune the red-sequence finder on the training fields; its knobs on the first `n_tuning_fields` of them, to
save time."""

from armillary.files import read_catalog, read_catalog_meta, read_table, write_arrays
from armillary.finder_training import train
from armillary.step import announce, progress, run
from armillary.surveys import survey_constants


def train_finder(
    photometry: list[str], catalogs: list[str], truth: list[str], red_sequence: str, finder: str, *,
    survey: str, image_size: int, tile_size: int, min_flux_for_loss: float, n_tuning_fields: int,
) -> None:  # fmt: skip
    """`photometry` and `truth` are those of the training batches, `catalogs` the .dat files of their
    fields."""
    table = read_catalog(red_sequence)
    fields = _read_fields(photometry, catalogs, truth)
    tuned, score = train(
        table[table["survey"] == survey], fields, n_tuning_fields=n_tuning_fields,
        pixel_arcsec=survey_constants(survey).pixel_arcsec, image_size=image_size, tile_size=tile_size,
        min_flux_for_loss=min_flux_for_loss, report=announce,
    )  # fmt: skip
    announce(f"tile PR-AUC {score:.4f} on {len(fields)} training fields")
    write_arrays(finder, **tuned)


def _read_fields(photometry: list[str], catalogs: list[str], truth: list[str]) -> list[dict]:
    """Galaxies, catalogue and haloes of each field of `catalogs`."""
    galaxies, haloes = {}, {}
    for path in photometry:
        galaxies |= dict(iter(read_table(path).groupby("field")))
    for path in truth:
        haloes |= dict(iter(read_catalog(path).groupby("field")))
    fields = []
    for path in progress(catalogs, "read catalogues"):
        number = read_catalog_meta(path)["field"]
        if number not in galaxies:
            raise ValueError(f"field {number} of {path} has no source in {photometry[0]} ... {photometry[-1]}")
        none = next(iter(haloes.values())).iloc[:0] if haloes else read_catalog(truth[0])
        fields.append({"galaxies": galaxies[number], "catalog": read_catalog(path), "truth": haloes.get(number, none)})
    return fields


if __name__ == "__main__":
    run(train_finder, snakemake)
