"""Cut the real HSC image of the HST/HSC pair into scenes, one a band, with galaxies found in all bands together."""

import numpy as np

from armillary.files_hsc import write_set
from armillary.files_stamps import pixel_arcsec_of, read_user_image
from armillary.observed_stamps import Given, checked, found_positions, observations_of
from armillary.step import announce, run


def tile_pair(
    ground: str, ground_psf: str, observations: str, *, bands: list[str], pixel_arcsec: float,
    mask_planes: dict[str, int], missing_planes: list[str],
) -> None:  # fmt: skip
    given = []
    for number, band in enumerate(bands):
        image, header = read_user_image(f"{ground}[0][{number}]", "image")
        psf, _ = read_user_image(f"{ground_psf}[0][{number}]", "psf")
        one = Given(f"pair, {band}", image, psf, None, None, pixel_arcsec_of(header))
        given.append(checked(one, pixel_arcsec, mask_planes, missing_planes, True))
    positions = found_positions([one.image for one in given], pixel_arcsec)
    announce(f"{len(positions)} galaxies at {np.round(positions, 2).tolist()} arcsec from the middle")
    everywhere = np.repeat(positions[None], len(bands), 0)
    write_set(observations, observations_of(given, pixel_arcsec, everywhere))


if __name__ == "__main__":
    run(tile_pair, snakemake)
