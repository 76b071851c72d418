"""Make the sets that networks and probes see: one cutout an object, no sky shared between the sets."""

from contextlib import ExitStack

import numpy as np

from armillary.cutouts import SPLITS, first_of_duplicates, sky_cells, split_cells
from armillary.files import write_json
from armillary.files_cutouts import create_cutouts, open_cutouts
from armillary.metrics import measurement
from armillary.step import announce, progress, run


def sample_cutouts(
    files: list[str], train: str, validation: str, probe: str, report: str, *, bands: list[str], cell_deg: float,
    tolerance_arcsec: float, validation_fraction: float, probe_fraction: float, dtype: str, seed: int,
) -> None:  # fmt: skip
    """Duplicates within `tolerance_arcsec` go first, then cells of sky are dealt out; rows come in random order."""
    with ExitStack() as stack:
        opened = [stack.enter_context(open_cutouts(path, bands)) for path in files]
        ra, dec = (np.concatenate([file.column(name) for file in opened]) for name in ("ra", "dec"))
        kept = first_of_duplicates(ra, dec, tolerance_arcsec)
        rng = np.random.default_rng(seed)
        fractions = {"validation": validation_fraction, "probe": probe_fraction}
        split = split_cells(sky_cells(ra, dec, cell_deg), fractions, rng)
        places = {name: _places(kept & (split == name), rng) for name in SPLITS}
        example = opened[0].read(0, 1)
        made = {
            name: stack.enter_context(create_cutouts(path, int((places[name] >= 0).sum()), example, dtype))
            for name, path in zip(SPLITS, (train, validation, probe), strict=True)
        }
        start = 0
        for file in progress(opened, "files"):
            cutouts = file.read(0, len(file))
            for name in SPLITS:
                here = places[name][start : start + len(file)]
                made[name].fill(here[here >= 0], cutouts.rows(here >= 0))
            start += len(file)
    counts = {name: int((places[name] >= 0).sum()) for name in SPLITS}
    announce(f"{len(ra)} cutouts of {int(kept.sum())} objects: {counts}")
    note = f"of {len(ra)} cutouts, within {tolerance_arcsec:g} arcsec of an earlier one"
    numbers = {f"data_n_{name}": measurement(count, n=count, unit="cutouts") for name, count in counts.items()}
    numbers["data_duplicates"] = measurement(float(1 - kept.mean()), n=len(ra), note=note)
    write_json(report, numbers)


def _places(chosen: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Row of the set (N,) that each chosen object goes to, at random; -1 for the others."""
    places = np.full(len(chosen), -1)
    places[chosen] = rng.permutation(int(chosen.sum()))
    return places


if __name__ == "__main__":
    run(sample_cutouts, snakemake)
