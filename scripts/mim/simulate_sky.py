"""Simulate some fields full of labelled objects and cut the objects out, as overlapping patches list them."""

import numpy as np
import pandas as pd

from armillary.cutouts import EDGE, Cutouts, cut_images
from armillary.files import read_catalog
from armillary.files_cutouts import write_cutouts
from armillary.galaxies import prepare_red_sequence
from armillary.object_skies import (
    BANDS,
    electrons_per_count,
    patches_of_field,
    render_objects,
    sample_objects,
    survey_of_field,
)
from armillary.step import progress, run
from armillary.surveys import ZERO_POINT

OF_OBJECTS = ("spacing_px", "class_shares", "blend_share", "lens_share", "magnitude_range")
OF_IMAGES = ("noise_correlation_px", "saturation_magnitude", "n_trails")


def simulate_sky(
    red_sequence: str, cutouts: str, *, batch: str, settings: dict, cutout_px: int, dtype: str, seed: int
) -> None:
    """Field numbers run on from file to file; a field has its own depth, seeing and seed stream."""
    sequence, gain = prepare_red_sequence(read_catalog(red_sequence), "hsc"), electrons_per_count(settings["survey"])
    first = int(batch) * settings["n_fields_per_file"]
    fields = range(first, first + settings["n_fields_per_file"])
    parts = [_field(field, sequence, gain, settings, cutout_px, seed) for field in progress(fields, "fields")]
    columns = {name: np.concatenate([part.columns[name] for part in parts]) for name in parts[0].columns}
    planes = [np.concatenate([part[k] for part in parts]) for k in range(3)]
    write_cutouts(cutouts, Cutouts(*planes, columns, parts[0].facts), dtype)


def _field(field: int, sequence, gain: dict, settings: dict, cutout_px: int, seed: int) -> Cutouts:
    """Cutouts of one field, counts at the zero point of the settings."""
    rng = np.random.default_rng([seed, field])
    side = settings["image_size"]
    survey = survey_of_field(settings["survey"], rng, settings["depth_scatter"], settings["seeing_scatter"])
    objects = sample_objects(
        rng,
        sequence,
        image_size=side,
        pixel_arcsec=survey.pixel_arcsec,
        **{name: settings[name] for name in OF_OBJECTS},
    )
    rendered = render_objects(
        objects, survey, gain, image_size=side, seed=seed, field=field, **{name: settings[name] for name in OF_IMAGES}
    )
    listed = patches_of_field(
        objects.truth,
        field,
        image_size=side,
        pixel_arcsec=survey.pixel_arcsec,
        overlap_px=settings["overlap_px"],
        rng=rng,
    )
    factor = np.float32(10 ** (0.4 * (settings["zero_point"] - ZERO_POINT)))
    x, y = listed["x"].to_numpy(), listed["y"].to_numpy()
    images = cut_images(rendered.images * factor, x, y, cutout_px)
    images[_missing_planes(listed, settings["missing_band_share"], rng)] = np.nan
    facts = {"bands": list(BANDS), "zero_point": settings["zero_point"], "pixel_arcsec": survey.pixel_arcsec}
    columns = {name: listed[name].to_numpy() for name in listed if name not in "xy"}
    columns["object_id"] = field * 1_000_000 + np.arange(len(listed))
    columns["psf_fwhm_arcsec"] = np.repeat(rendered.psf_fwhm_arcsec[None].astype(np.float32), len(listed), 0)
    return Cutouts(
        images, cut_images(rendered.variance * factor**2, x, y, cutout_px),
        cut_images(rendered.mask, x, y, cutout_px, EDGE), columns, facts,
    )  # fmt: skip


def _missing_planes(listed: pd.DataFrame, share: float, rng: np.random.Generator) -> np.ndarray:
    """Boolean (N, 5): bands that a patch was never observed in; one of them at least was."""
    patches, place = np.unique(listed["patch"], return_inverse=True)
    missing = rng.uniform(size=(len(patches), len(BANDS))) < share
    missing[missing.all(1), 2] = False
    return missing[place]


if __name__ == "__main__":
    run(simulate_sky, snakemake)
