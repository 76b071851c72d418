"""Choose on validation galaxies after how many steps the fits of free pixels stop."""

import jax
import numpy as np

from armillary.files import write_json
from armillary.files_hsc import read_set
from armillary.inverse.pixel_fits import pixel_fit
from armillary.inverse.scenes import scenes_of
from armillary.stamp_scores import psnr_db
from armillary.stamp_sets import Observations, StampSet, missing_pixels
from armillary.step import announce, progress, run


def estimate_tuning(
    observations: str, stamps: str, tuned: str, *, n_steps: list[int], mask_planes: dict, missing_planes: list[str],
    background_share: float,
) -> None:  # fmt: skip
    sets, seen = read_set(stamps, StampSet), read_set(observations, Observations)
    size = sets.image.shape[-1]
    missing = missing_pixels(seen.mask, mask_planes, missing_planes)
    scenes = scenes_of(seen, missing, sets.effective_psf, size, sets.pixel_arcsec, background_share)
    found = {}
    for method, positive in (("ml", False), ("ml_positive", True)):
        rows = []
        for number in progress(range(len(seen.image)), method):
            scene = jax.tree.map(lambda part, number=number: part[number], scenes)
            images = np.asarray(pixel_fit(scene, size, positive, tuple(n_steps)))
            rows.append(psnr_db(images, seen.truth[number]).mean(1))
        mean = np.mean(rows, 0)
        found[method] = {
            "n_steps": n_steps,
            "psnr_db": mean,
            "best": n_steps[int(np.argmax(mean))],
            "last": n_steps[-1],
        }
        announce(
            f"{method}: best after {found[method]['best']} steps, {mean.max():.1f} dB; {mean[-1]:.1f} dB at the end"
        )
    write_json(tuned, found)


if __name__ == "__main__":
    run(estimate_tuning, snakemake)
