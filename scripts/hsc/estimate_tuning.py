"""Choose on validation galaxies after how many steps the fits of free pixels stop."""

import jax
import jax.numpy as jnp
import numpy as np

from armillary.files import read_arrays, write_json
from armillary.files_hsc import read_set
from armillary.inverse.pixel_fits import PIXEL_FITS, fitted_pixels
from armillary.inverse.scenes import scenes_of
from armillary.stamp_basis import StampBasis
from armillary.stamp_scores import psnr_db
from armillary.stamp_sets import Observations, StampSet, missing_pixels, shifted_images
from armillary.step import announce, progress, run


def estimate_tuning(
    observations: str, stamps: str, basis: str, tuned: str, *, n_steps: list[int], mask_planes: dict,
    missing_planes: list[str], background_share: float,
) -> None:  # fmt: skip
    sets, seen = read_set(stamps, StampSet), read_set(observations, Observations)
    size = sets.image.shape[-1]
    missing = missing_pixels(seen.mask, mask_planes, missing_planes)
    scenes = scenes_of(seen, missing, sets.effective_psf, size, sets.pixel_arcsec, background_share)
    linear, pixel = StampBasis(**read_arrays(basis)), float(sets.pixel_arcsec)
    prior = jnp.asarray(linear.stack, jnp.float32), jnp.asarray(linear.covariance, jnp.float32)
    found = {}
    for method in PIXEL_FITS:
        rows = []
        for number in progress(range(len(seen.image)), method):
            scene = jax.tree.map(lambda part, number=number: part[number], scenes)
            images, places = fitted_pixels(scene, *prior, size, method, tuple(n_steps))
            images = shifted_images(np.asarray(images), np.asarray(places - scene.position), pixel)
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
