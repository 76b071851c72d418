"""The natural prior, and predictions that do not depend on how an image reaches the encoder."""

import numpy as np
import pytest
import torch

from armillary import inference
from armillary.networks.sources import OUTPUTS
from armillary.tiles import bin_image, encode_pixels
from armillary.training import build_network

UNCHANGED = {"richness_coefficients": [1.0, 0.0, 0.0], "richness_error_scale": 1.0, "redshift_bias": [0.0]}


@pytest.fixture
def checkpoint(tmp_path):
    network = build_network("sources", n_bands=4, tile_pixels=16, width=16, pixel_arcsec=0.526, seed=3)
    path = str(tmp_path / "best_encoder.ckpt")
    same = {"membership": (1.0, 0.0), "centre": (1.0, 0.0)}
    torch.save(
        {"architecture": "sources", "width": 16, "survey": "des", "bands": list("griz"), "image_size": 128,
         "tile_size": 32, "bin_factor": 2, "pixel_arcsec": 0.263, "state": network.state_dict(), "calibration": same,
         "redshift_error_scale": 1.0, "natural_prior": (-2.0, 0.0, 0.0, 0.0, 0.0),
         "natural_tiles": {factor: [1.0, *[0.0] * 5, -2.0] for factor in same},
         "detection": {prior: {"coefficients": [1.0, *[0.0] * 7, constant], **UNCHANGED}
                       for prior, constant in (("natural", -3.0), ("training", 0.0))}}, path,
    )  # fmt: skip
    return path


def test_windows_and_coded_images_agree(checkpoint, rng):
    encoder = inference.read_encoder(checkpoint)
    counts = rng.normal(0, 3, (2, 4, 128, 128)).astype(np.float32)
    sigma = np.full(4, 3.0)
    coded = np.array([[encode_pixels(bin_image(band, 2), 1.5) for band in image] for image in counts])
    one = inference.readable(encoder, inference.raw_windows(encoder, counts, sigma), class_prior="training")
    other = inference.readable(
        encoder,
        inference.raw_outputs(encoder, torch.from_numpy(coded), torch.full((2, 4), 1.5)),
        class_prior="training",
    )
    for name in one:
        np.testing.assert_allclose(one[name], other[name], rtol=1e-5)
    assert one["probability"].shape == (2, 4, 4)


def test_the_natural_rate_moves_log_odds(checkpoint, rng):
    encoder = inference.read_encoder(checkpoint)
    counts, sigma = rng.normal(size=(1, 4, 128, 128)).astype(np.float32), np.ones(4)
    raw = inference.raw_windows(encoder, counts, sigma)
    natural, training = (inference.readable(encoder, raw, class_prior=prior) for prior in ("natural", "training"))
    moved = np.log(natural["probability"] / (1 - natural["probability"])) - np.log(
        training["probability"] / (1 - training["probability"])
    )
    np.testing.assert_allclose(moved, -2.0, atol=1e-4)
    with pytest.raises(ValueError, match="class_prior is 'flat'"):
        inference.readable(encoder, raw, class_prior="flat")


def test_missing_band_and_all_missing_pixels_give_finite_answers(checkpoint):
    encoder = inference.read_encoder(checkpoint)
    counts = np.full((1, 4, 128, 128), np.nan, np.float32)
    raw = inference.raw_windows(encoder, counts, np.ones(4))
    answer = inference.readable(encoder, raw, class_prior="natural")
    assert all(np.isfinite(value).all() for value in answer.values())


def test_units_of_the_outputs(checkpoint):
    raw = np.zeros((1, len(OUTPUTS), 1, 1), np.float32)
    answer = inference.readable(inference.read_encoder(checkpoint), raw, class_prior="training")
    assert answer["probability"].item() == 0.5
    assert answer["redshift"].item() == pytest.approx(inference.REDSHIFT_SCALE[0])
    assert answer["redshift_error"].item() == pytest.approx(inference.REDSHIFT_SCALE[1])


def test_refusals_name_the_file(checkpoint, tmp_path):
    encoder = inference.read_encoder(checkpoint)
    with pytest.raises(ValueError, match=r"best_encoder\.ckpt was trained for survey = des, but survey is hsc"):
        inference.check_fits(encoder, checkpoint, survey="hsc")
    saved = torch.load(checkpoint, weights_only=True)
    torch.save({**saved, "architecture": "bliss"}, tmp_path / "other.ckpt")
    with pytest.raises(ValueError, match=r"other\.ckpt does not fit architecture 'bliss'"):
        inference.read_encoder(str(tmp_path / "other.ckpt"))
    (tmp_path / "cut.ckpt").write_bytes(b"PK" * 40)
    with pytest.raises(ValueError, match=r"cut\.ckpt is not a complete checkpoint"):
        inference.read_encoder(str(tmp_path / "cut.ckpt"))
    with pytest.raises(FileNotFoundError, match=r"none\.ckpt"):
        inference.read_encoder(str(tmp_path / "none.ckpt"))


def test_clusters_at_both_rates(checkpoint):
    encoder = inference.read_encoder(checkpoint)
    raw = np.full((len(OUTPUTS), 4, 4), -1.0, np.float32)
    raw[OUTPUTS.index("centre_logit")] = -8
    raw[OUTPUTS.index("centre_logit"), 1, 2] = 2
    many, few = (inference.clusters_of(encoder, raw, threshold=0.1, class_prior=p) for p in ("training", "natural"))
    assert many.probability[0] == pytest.approx(inference.expit(2.0), abs=0.01)
    assert few.probability[0] == pytest.approx(inference.expit(-1.0), abs=0.01)
    assert len(inference.clusters_of(encoder, raw, np.zeros((4, 4)), threshold=0.1, class_prior="training")) == 0


def test_a_written_encoder_reads_back(checkpoint, tmp_path):
    encoder = inference.read_encoder(checkpoint)
    copy = str(tmp_path / "copy.ckpt")
    inference.write_encoder(copy, encoder, architecture="sources", width=16, settings={})
    again = inference.read_encoder(copy)
    assert again._replace(network=None) == encoder._replace(network=None)
    for name, value in encoder.network.state_dict().items():
        assert torch.equal(value, again.network.state_dict()[name])
