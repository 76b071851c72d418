"""Make the sets that networks and probes see: one cutout an object, no sky shared between the sets."""

from contextlib import ExitStack

import numpy as np

from armillary.cutouts import SPLITS, first_of_duplicates, joined, sky_cells, split_cells
from armillary.files import write_json
from armillary.files_cutouts import create_cutouts, open_cutouts
from armillary.metrics import measurement
from armillary.step import announce, progress, run

GROUP_BYTES = 2_000_000_000


def sample_cutouts(
    files: list[str], train: str, validation: str, probe: str, report: str, *, bands: list[str], cell_deg: float,
    tolerance_arcsec: float, validation_fraction: float, probe_fraction: float, dtype: str, seed: int,
) -> None:  # fmt: skip
    """Duplicates within `tolerance_arcsec` go first, then cells of sky are dealt out; rows come in random order,
    file groups of GROUP_BYTES one after the other."""
    with ExitStack() as stack:
        opened = [stack.enter_context(open_cutouts(path, bands)) for path in files]
        ra, dec = (np.concatenate([file.column(name) for file in opened]) for name in ("ra", "dec"))
        kept = first_of_duplicates(ra, dec, tolerance_arcsec)
        rng = np.random.default_rng(seed)
        fractions = {"validation": validation_fraction, "probe": probe_fraction}
        split = split_cells(sky_cells(ra, dec, cell_deg), fractions, rng)
        example = opened[0].read(0, 1)
        made = {
            name: stack.enter_context(create_cutouts(path, int((kept & (split == name)).sum()), example, dtype))
            for name, path in zip(SPLITS, (train, validation, probe), strict=True)
        }
        starts = np.cumsum([0, *(len(file) for file in opened)])
        written = dict.fromkeys(SPLITS, 0)
        for group in progress(_groups(opened), "groups of files"):
            held = [(opened[k].read_stored(), slice(starts[k], starts[k + 1])) for k in group]
            for name in SPLITS:
                parts = [cutouts.rows(kept[here] & (split[here] == name)) for cutouts, here in held]
                together = joined(parts)
                together = together.rows(rng.permutation(len(together.images)))
                made[name].fill(written[name], together)
                written[name] += len(together.images)
    counts = {name: written[name] for name in SPLITS}
    announce(f"{len(ra)} cutouts of {int(kept.sum())} objects: {counts}")
    note = f"of {len(ra)} cutouts, within {tolerance_arcsec:g} arcsec of an earlier one"
    numbers = {f"data_n_{name}": measurement(count, n=count, unit="cutouts") for name, count in counts.items()}
    numbers["data_duplicates"] = measurement(float(1 - kept.mean()), n=len(ra), note=note)
    write_json(report, numbers)


def _groups(files: list) -> list[list[int]]:
    """Numbers of files that are held in memory together, GROUP_BYTES at most: within a group rows are mixed."""
    groups, n_bytes = [[]], 0
    for number, file in enumerate(files):
        if groups[-1] and n_bytes + file.n_bytes > GROUP_BYTES:
            groups.append([])
            n_bytes = 0
        groups[-1].append(number)
        n_bytes += file.n_bytes
    return groups


if __name__ == "__main__":
    run(sample_cutouts, snakemake)
