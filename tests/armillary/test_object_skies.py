"""The simulated sky of cutouts: brightness tells no class, fluxes are kept, noise is what the variance says."""

import numpy as np
import pytest

from armillary.coadd_cutouts import cut_patch
from armillary.cutouts import SATURATED, Cutouts, cut_images, first_of_duplicates
from armillary.files import read_catalog, write_named_images
from armillary.galaxies import prepare_red_sequence
from armillary.hsc_blends import our_bits, psf_fwhm_arcsec
from armillary.object_photometry import aperture_magnitudes
from armillary.object_skies import (
    electrons_per_count,
    patches_of_field,
    render_objects,
    sample_objects,
    survey_of_field,
)
from armillary.quasars import forest_transmission, quasar_magnitudes
from armillary.sky import sky_of_pixel, tan_wcs, wcs_keywords
from armillary.surveys import survey_constants

SIZE, PIXEL = 320, 0.168


@pytest.fixture(scope="module")
def field():
    rng = np.random.default_rng(3)
    sequence = prepare_red_sequence(read_catalog("resources/red_sequence.ecsv"), "hsc")
    objects = sample_objects(
        rng, sequence, image_size=SIZE, pixel_arcsec=PIXEL, spacing_px=32, class_shares=[1, 1, 1], blend_share=0.3,
        lens_share=0.05, magnitude_range=[18.0, 22.0],
    )  # fmt: skip
    survey = survey_of_field("hsc", rng, 0.1, 0.05)
    images = render_objects(
        objects, survey, electrons_per_count("hsc"), image_size=SIZE, seed=1, field=0, noise_correlation_px=0.0,
        saturation_magnitude=18.6, n_trails=0.0,
    )  # fmt: skip
    return objects, survey, images


def test_brightness_does_not_tell_the_class():
    sequence = prepare_red_sequence(read_catalog("resources/red_sequence.ecsv"), "hsc")
    truth = sample_objects(
        np.random.default_rng(0), sequence, image_size=2000, pixel_arcsec=PIXEL, spacing_px=25,
        class_shares=[0.6, 0.2, 0.2], blend_share=0.25, lens_share=0.01, magnitude_range=[18.5, 22.5],
    ).truth  # fmt: skip
    means = truth.groupby("class")["magnitude_i"].mean()
    assert means.max() - means.min() < 0.08
    assert truth["zspec"].isna().equals(truth["class"] == 2)
    assert truth["lens"].mean() == pytest.approx(0.01, abs=0.004)
    galaxies = truth[truth["class"] == 0]
    assert np.corrcoef(galaxies["magnitude_i"], galaxies["zspec"])[0, 1] > 0.3


def test_stars_have_the_magnitudes_that_were_asked_for(field):
    objects, survey, images = field
    isolated = objects.truth[(objects.truth["class"] > 0) & (objects.truth["magnitude_i"] > 19.5)]
    planes = [cut_images(plane, isolated["x"], isolated["y"], 32, 0) for plane in images[:3]]
    magnitudes, concentrations = aperture_magnitudes(Cutouts(*planes, {}, {"zero_point": 30.0}))
    offset = magnitudes[:, 2] - isolated["magnitude_i"].to_numpy()
    assert np.nanmedian(offset) == pytest.approx(0.05, abs=0.06)  # a little light lies beyond the aperture
    assert np.isfinite(concentrations).all()


def test_noise_is_what_the_variance_says(field):
    objects, survey, images = field
    dark = images.variance[3] < 1.0005 * survey.sky_sigma["z"] ** 2
    assert images.images[3][dark].std() == pytest.approx(survey.sky_sigma["z"], rel=0.1)
    assert (images.mask & SATURATED).any()


def test_overlapping_patches_list_objects_twice_and_once_without_duplicates(field):
    truth = field[0].truth
    listed = patches_of_field(
        truth, 5, image_size=SIZE, pixel_arcsec=PIXEL, overlap_px=80, rng=np.random.default_rng(0)
    )
    assert len(listed) > len(truth)
    assert first_of_duplicates(listed["ra"], listed["dec"], 1.0).sum() == len(truth)


def test_a_power_law_without_lines_has_its_colours():
    z = np.array([0.5])
    flat = quasar_magnitudes(z, np.array([0.0]), np.array([0.0]))
    assert np.ptp(flat[:, 1:]) < 1e-9  # F_nu constant
    steep = quasar_magnitudes(z, np.array([-1.0]), np.array([0.0]))[0]
    centre = {"r": 6200.0, "z": 8905.0}
    assert steep[1] - steep[3] == pytest.approx(2.5 * np.log10(centre["z"] / centre["r"]), abs=0.01)
    assert forest_transmission(np.array([6000.0]), np.array([1300.0])) == 1
    assert forest_transmission(np.array([6000.0]), np.array([800.0])) < 0.01


def test_the_masks_and_seeing_of_hsc():
    assert our_bits(np.array([0, 1, 2, 32, 256])).tolist() == [0, 1, 2, 0, 1]
    y, x = np.indices((61, 61)) - 30
    sigma = 0.7 / 0.168 / 2.3548
    assert psf_fwhm_arcsec(np.exp(-0.5 * (x**2 + y**2) / sigma**2)[None])[0] == pytest.approx(0.7, rel=1e-3)


def test_objects_are_cut_out_of_coadds_where_the_wcs_says(tmp_path):
    import pandas as pd

    header = wcs_keywords(150.0, 2.0, 100, PIXEL)
    for number, band in enumerate("gr"):
        image = np.zeros((100, 100), np.float32)
        image[40, 70] = 50.0 + number
        hdus = [("IMAGE", image, header), ("MASK", np.zeros_like(image), header), ("VARIANCE", image + 1, header)]
        write_named_images(str(tmp_path / f"calexp-HSC-{band}-9813-5,5.fits"), hdus)
    ra, dec = sky_of_pixel([70.5, 5000.0], [40.5, 0.5], tan_wcs(150.0, 2.0, 100, PIXEL))
    catalog, pattern = (
        pd.DataFrame({"ra": ra, "dec": dec, "class": [0, 1]}),
        str(tmp_path / "calexp-HSC-{band}-{patch}.fits"),
    )
    settings = {"cutout_px": 9, "zero_point": 27.0, "pixel_arcsec": PIXEL}
    cutouts = cut_patch(pattern, "9813-5,5", ["g", "r", "i"], catalog, min_bands=2, **settings)
    assert cutouts.images.shape == (1, 3, 9, 9)
    assert cutouts.images[0, 0, 4, 4] == 50 and cutouts.images[0, 1, 4, 4] == 51
    assert np.isnan(cutouts.images[0, 2]).all()  # i was never observed
    assert cutouts.columns["class"].tolist() == [0]
    assert cut_patch(pattern, "9813-5,5", ["g", "r", "i"], catalog, min_bands=3, **settings) is None
    assert survey_constants("hsc").pixel_arcsec == PIXEL
