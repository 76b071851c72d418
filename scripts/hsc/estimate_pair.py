"""Hold the operator, and HSC images reconstructed without HST, against the HST image of the same piece of sky."""

import numpy as np

from armillary.files import write_arrays, write_json
from armillary.files_hsc import read_posteriors, read_set
from armillary.files_stamps import read_user_image
from armillary.inverse.paired_images import (
    SpaceImage,
    as_seen,
    assembled,
    footprint,
    interpolated,
    middle_from_headers,
    registered_middle,
    smoothed_as,
)
from armillary.metrics import resample_counts
from armillary.observed_stamps import sky_of
from armillary.pair_scores import blocks_of, correlation_metrics
from armillary.stamp_psfs import psf_fwhm_arcsec
from armillary.stamp_sets import Observations, StampSet
from armillary.step import announce, run

BORDER_ARCSEC = 0.7  # of the HST image: what lies outside it and is smeared in is not known there
REACH_ARCSEC = 0.15  # of the registration about the headers' positions


def estimate_pair(
    space: str, space_psf: str, ground: str, observations: str, posteriors: str, stamps: str, metrics: str, images: str,
    *, bands: list[str], space_pixel_arcsec: float, n_resamples: int, seed: int,
) -> None:  # fmt: skip
    seen, found = read_set(observations, Observations), read_posteriors(posteriors)
    effective, fine = (getattr(read_set(stamps, StampSet), name) for name in ("effective_psf", "pixel_arcsec"))
    fine = float(fine)
    image, header = read_user_image(space, "image")
    psf, _ = read_user_image(space_psf, "psf")
    _, ground_header = read_user_image(f"{ground}[0][0]", "image")
    shape, pixel = seen.image.shape[1:], float(seen.pixel_arcsec)
    middle = middle_from_headers(header, image.shape, ground_header, shape, pixel)
    hst = SpaceImage(image.astype(float), psf, space_pixel_arcsec, middle)
    where = footprint(hst, shape, pixel, BORDER_ARCSEC)
    side = int((len(image) * space_pixel_arcsec - 2 * BORDER_ARCSEC) / fine) // 2 * 2 + 1
    rng, numbers, kept = np.random.default_rng([seed, 8]), {}, {}
    for band, one in enumerate(bands):

        def see(space, band=band):
            return as_seen(space, seen.psf[band], pixel, shape, pixel)

        placed = hst._replace(middle=registered_middle(hst, see, seen.image[band], where, REACH_ARCSEC))
        smooth = smoothed_as(placed, psf_fwhm_arcsec(seen.psf[band], pixel), pixel, shape)
        forward = {"smoothed": smooth, "forward": see(placed), "forward_by_headers": see(hst)}
        counts = resample_counts(blocks_of(shape, where)[1], n_resamples, rng)
        numbers |= correlation_metrics(f"pair_{one}", forward, seen.image[band], where, counts, "smoothed")
        truth = as_seen(placed, effective, fine, (side, side), fine)
        sharp = {"interpolated": interpolated(seen.image[band], pixel, (side, side), fine)}
        for method, posterior in found.items():
            sharp[method] = assembled(posterior["image"][band], seen.position[band], (side, side), fine)
        everywhere = np.ones((side, side), bool)
        counts = resample_counts(blocks_of((side, side), everywhere)[1], n_resamples, rng)
        ceiling = np.sqrt(max(1 - sky_of(truth)[1] ** 2 / truth.var(), 0.0))
        numbers |= correlation_metrics(f"pair_{one}", sharp, truth, everywhere, counts, "interpolated", ceiling)
        kept |= {f"{one}_{name}": values for name, values in (forward | sharp).items()}
        kept |= {f"{one}_hst": truth, f"{one}_hsc": seen.image[band], f"{one}_shift": placed.middle - middle}
        announce(f"{one}: " + ", ".join(f"{n} {numbers[f'pair_{one}_{n}_correlation']['value']:.3f}" for n in sharp))
    kept["methods"] = np.array(list(found))
    write_json(metrics, numbers)
    write_arrays(images, **kept)


if __name__ == "__main__":
    run(estimate_pair, snakemake)
