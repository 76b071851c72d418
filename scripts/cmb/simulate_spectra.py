"""Compute the power spectra of one cosmology, or take them from a table of the user's."""

from armillary.cmb_spectra import camb_spectra, spectra_from_columns
from armillary.files import read_arrays, read_catalog, write_arrays
from armillary.step import announce, run


def simulate_spectra(table: list[str], spectra: str, *, parameters: dict, l_max: int) -> None:
    """`table` is empty for CAMB, else one NPZ or ECSV file."""
    if table:
        path = table if isinstance(table, str) else table[0]
        columns = read_arrays(path) if path.endswith(".npz") else dict(read_catalog(path).items())
        found = spectra_from_columns(columns, path)
    else:
        found = camb_spectra(parameters, l_max)
    announce(f"spectra up to l = {found.l_max}")
    write_arrays(spectra, **found._asdict())


if __name__ == "__main__":
    run(simulate_spectra, snakemake)
