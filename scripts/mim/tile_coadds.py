"""Cut the objects of a catalogue out of FITS coadds, patch by patch."""

from pathlib import Path

import numpy as np
import pandas as pd

from armillary.coadd_cutouts import cut_patch
from armillary.cutouts import joined
from armillary.files import read_catalog, read_table
from armillary.files_cutouts import write_cutouts
from armillary.step import announce, progress, run


def tile_coadds(
    catalog: str, cutouts: str, *, pattern: str, patches: list[str], columns: dict, bands: list[str], cutout_px: int,
    min_bands: int, zero_point: float, pixel_arcsec: float, dtype: str,
) -> None:  # fmt: skip
    """`columns` gives for ra, dec and any label its name in the catalogue (.fits, .csv or ECSV)."""
    suffix = Path(catalog).suffix
    held = (
        read_table(catalog)
        if suffix in (".fits", ".fit")
        else pd.read_csv(catalog)
        if suffix == ".csv"
        else read_catalog(catalog)
    )
    missing = [name for name in columns.values() if name not in held]
    if missing:
        raise ValueError(
            f"{catalog} has no column {', '.join(missing)}; it has {', '.join(map(str, held.columns[:12]))} "
            "(config key `mim: tile_coadds: columns`)"
        )
    wanted = pd.DataFrame({ours: held[theirs].to_numpy() for ours, theirs in columns.items()})
    settings = {"cutout_px": cutout_px, "min_bands": min_bands, "zero_point": zero_point, "pixel_arcsec": pixel_arcsec}
    parts = [cut_patch(pattern, patch, bands, wanted, **settings) for patch in progress(patches, "patches")]
    parts = [part for part in parts if part is not None]
    if not parts:
        raise ValueError(
            f"no object of {catalog} lies in a patch of {pattern} with {min_bands} bands (key `mim: tile_coadds`)"
        )
    found = joined(parts)
    whole = np.isfinite(found.images).any(axis=(1, 2, 3))
    announce(f"{int(whole.sum())} cutouts from {len(parts)} of {len(patches)} patches")
    write_cutouts(cutouts, found.rows(whole), dtype)


if __name__ == "__main__":
    run(tile_coadds, snakemake)
