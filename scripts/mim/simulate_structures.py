"""Simulate fields of galaxies, some with faint arcs or tidal tails, and cut the galaxies out."""

import numpy as np

from armillary.cutouts import EDGE, Cutouts, cut_images, joined
from armillary.files import read_catalog
from armillary.files_cutouts import write_cutouts
from armillary.galaxies import RedSequence, prepare_red_sequence
from armillary.object_skies import (
    BANDS,
    electrons_per_count,
    object_field_centre,
    render_objects,
    sample_objects,
    survey_of_field,
)
from armillary.object_structures import Structures, add_structures
from armillary.sky import sky_of_pixel, tan_wcs
from armillary.step import announce, progress, run
from armillary.surveys import ZERO_POINT

STREAM = 29  # of random numbers, beside those of the sky that networks learn from
OF_IMAGES = ("noise_correlation_px", "saturation_magnitude", "n_trails")


def simulate_structures(red_sequence: str, cutouts: str, *, settings: dict, sky: dict, seed: int) -> None:
    """Fields as those of simulate_sky (`sky`), with galaxies alone; `settings` say how many have which structures."""
    sequence, gain = prepare_red_sequence(read_catalog(red_sequence), "hsc"), electrons_per_count(sky["survey"])
    fields = progress(range(settings["n_fields"]), "fields")
    found = joined([_field(field, sequence, gain, settings, sky, seed) for field in fields])
    mixed = found.rows(np.random.default_rng([seed, STREAM]).permutation(len(found.images)))
    n_arcs, n_tails = mixed.columns["arcs"].sum(), mixed.columns["tail"].sum()
    announce(f"{len(mixed.images)} galaxies, {n_arcs} with arcs, {n_tails} with tails")
    write_cutouts(cutouts, mixed, sky["dtype"])


def _field(field: int, sequence: RedSequence, gain: dict, settings: dict, sky: dict, seed: int) -> Cutouts:
    """The galaxies of one field, counts at the zero point of the sky."""
    rng, side = np.random.default_rng([seed, field, STREAM]), settings["image_size"]
    survey = survey_of_field(sky["survey"], rng, sky["depth_scatter"], sky["seeing_scatter"])
    plain = sample_objects(
        rng, sequence, image_size=side, pixel_arcsec=survey.pixel_arcsec, spacing_px=sky["spacing_px"],
        class_shares=[1.0, 0.0, 0.0], blend_share=0.0, lens_share=0.0, magnitude_range=settings["magnitude_range"],
    )  # fmt: skip
    of = Structures(settings["arc_share"], settings["tail_share"], tuple(settings["light_range"]))
    objects = add_structures(rng, plain, of, survey.pixel_arcsec)
    # ASSUME: the stream of a field's noise and PSF is that of its number; numbers here are beyond those of the sky
    number = sky["n_files"] * sky["n_fields_per_file"] + field
    rendered = render_objects(
        objects, survey, gain, image_size=side, seed=seed, field=number, **{name: sky[name] for name in OF_IMAGES}
    )
    truth, factor = objects.truth, np.float32(10 ** (0.4 * (sky["zero_point"] - ZERO_POINT)))
    x, y = truth["x"].to_numpy(), truth["y"].to_numpy()
    ra, dec = sky_of_pixel(x, y, tan_wcs(*object_field_centre(number), side, survey.pixel_arcsec))
    columns = {name: truth[name].to_numpy() for name in truth if name not in "xy"} | {"ra": ra, "dec": dec}
    facts = {"bands": list(BANDS), "zero_point": sky["zero_point"], "pixel_arcsec": survey.pixel_arcsec}
    planes = (rendered.images * factor, rendered.variance * factor**2)
    cut = [cut_images(plane, x, y, sky["cutout_px"]) for plane in planes]
    return Cutouts(*cut, cut_images(rendered.mask, x, y, sky["cutout_px"], EDGE), columns, facts)


if __name__ == "__main__":
    run(simulate_structures, snakemake)
