"""Turn blends of HSC coadds into a file of cutouts, one for each source of the truth table."""

from armillary.files_cutouts import write_cutouts
from armillary.hsc_blends import read_blends
from armillary.step import announce, run


def tile_blends(blends: list[str], cutouts: str, *, cutout_px: int) -> None:
    found = read_blends(blends, cutout_px)
    announce(
        f"{len(found.images)} sources from {len(blends)} blends, {int((found.columns['class'] == 2).sum())} are stars"
    )
    write_cutouts(cutouts, found)


if __name__ == "__main__":
    run(tile_blends, snakemake)
