"""Read a user's images, PSFs, variances and masks, check them, and lay them out as scenes."""

import numpy as np

from armillary.files import write_json
from armillary.files_hsc import write_set
from armillary.files_stamps import pixel_arcsec_of, read_user_image, user_objects
from armillary.observed_stamps import Given, checked, found_positions, observations_of
from armillary.step import announce, run


def tile_observed(
    observations: str, scenes: str, *, sources: dict[str, str | None],
    objects: list[str], bands: list[str], pixel_arcsec: float, positions_arcsec: list[list[float]], n_sources: int,
    subtract_sky: bool, noise_correlation: float, mask_planes: dict[str, int], missing_planes: list[str],
) -> None:  # fmt: skip
    def read(key, words):
        return read_user_image(sources[key].format(**words), key) if sources[key] else (None, {})

    if 0 < len(positions_arcsec) < n_sources:
        raise ValueError(
            f"n_sources is {n_sources}, positions_arcsec names {len(positions_arcsec)}: [] takes the highest peaks "
            "(config keys `observed: n_sources`, `observed: positions_arcsec`)"
        )
    image = sources["image"]
    names = objects or (user_objects(image.split("{object}")[0] + "{object}", "image") if "{object}" in image else [""])
    given, positions, rows = [], [], []
    for name in names:
        here = []
        for band in bands:
            words = {"object": name, "band": band}
            pixels, header = read("image", words)
            planes = [read(key, words)[0] for key in ("psf", "variance", "mask")]
            one = Given(f"{name} {band}".strip(), pixels, *planes, pixel_arcsec_of(header))
            here.append(checked(one, pixel_arcsec, mask_planes, missing_planes, subtract_sky))
            rows.append({"object": name, "band": band})
        places = np.array(positions_arcsec, float)
        if not positions_arcsec:
            if len({one.image.shape for one in here}) > 1:
                raise ValueError(
                    f"{name}: images of its bands differ in shape, so that no galaxies are found in all of them: give "
                    "positions (config key `observed: positions_arcsec`)"
                )
            places = found_positions([one.image for one in here], pixel_arcsec)[:n_sources]
            if len(places) < n_sources:
                raise ValueError(
                    f"{name}: {len(places)} galaxies stand out, n_sources is {n_sources}: lower it, or give positions "
                    "(config keys `observed: n_sources`, `observed: positions_arcsec`)"
                )
        given += here
        positions += [places] * len(bands)
    write_set(observations, observations_of(given, pixel_arcsec, np.array(positions), noise_correlation))
    announce(f"{len(rows)} images of {len(names)} objects, {len(positions[0])} galaxies in each")
    write_json(scenes, rows)


if __name__ == "__main__":
    run(tile_observed, snakemake)
