"""Peaks of the centre probability become one row each, and their probability is learned where clusters are known."""

import numpy as np
import pandas as pd
import pytest

from armillary.calibration import NaturalPrior
from armillary.detection_training import fit_detections
from armillary.detections import COLUMNS, detect_clusters, find_peaks, peak_features
from armillary.sky import sky_of_pixel, wcs_keywords, wcs_of_header

UNCHANGED = {"richness_coefficients": [1.0, 0.0, 0.0], "richness_error_scale": 1.0, "redshift_bias": [0.0]}
CERTAIN = UNCHANGED | {"coefficients": [0.0] * 8 + [20.0]}  # every peak is a cluster
BY_CENTRE = UNCHANGED | {"coefficients": [1.0] + [0.0] * 8}  # the centre probability as it is
PIXEL = {"pixel_arcsec": 0.263}


def maps(size: int = 10, **places) -> dict[str, np.ndarray]:
    """Flat maps with centre probability 1e-4 and what `places` says: name -> {(row, column): value}."""
    flat = {"centre_probability": 1e-4, "probability": 1e-3, "offset_x": 0.5, "offset_y": 0.5, "redshift": 0.4,
            "redshift_error": 0.01, "ln_richness": np.log(30.0), "ln_richness_error": 0.2}  # fmt: skip
    filled = {name: np.full((size, size), value) for name, value in flat.items()}
    for name, values in places.items():
        for place, value in values.items():
            filled[name][place] = value
    return filled


def test_one_peak_is_one_cluster_in_its_place():
    prediction = maps(centre_probability={(2, 7): 0.9}, offset_x={(2, 7): 0.25})
    found = detect_clusters(prediction, BY_CENTRE, NaturalPrior(), tile_size=100, threshold=0.3, **PIXEL)
    assert list(found.columns) == COLUMNS
    assert len(found) == 1
    assert found.x[0] == pytest.approx(725, abs=1)
    assert found.y[0] == pytest.approx(250, abs=1)
    assert found.probability[0] == pytest.approx(0.9, abs=2e-3)
    assert found.richness[0] == pytest.approx(30)
    assert found.richness_error[0] == pytest.approx(6, rel=1e-3)


def test_probability_shared_across_an_edge_is_added_up():
    found = find_peaks(maps(centre_probability={(4, 4): 0.5, (4, 5): 0.5}), tile_size=100, **PIXEL)
    assert len(found) == 1
    assert found.centre_probability[0] == pytest.approx(0.75, abs=2e-3)
    assert found.x[0] == pytest.approx(500, abs=1)


def test_a_cluster_behind_another_is_another_peak():
    """Neighbouring tiles of two redshifts: neither lends the other its redshift."""
    found = find_peaks(
        maps(centre_probability={(4, 4): 0.8, (4, 5): 0.6}, redshift={(4, 4): 0.6, (4, 5): 0.2}),
        tile_size=100,
        **PIXEL,
    )
    assert found.redshift.tolist() == pytest.approx([0.6, 0.2], abs=2e-3)
    assert found.centre_probability.tolist() == pytest.approx([0.8, 0.6], abs=2e-3)


def test_expected_members_are_those_of_the_tiles_around():
    found = find_peaks(
        maps(centre_probability={(4, 4): 0.9}, probability={(4, 4): 0.5, (3, 5): 0.5}), tile_size=100, **PIXEL
    )
    assert found.n_members[0] == pytest.approx(2 * np.log(2), abs=0.01)


def test_two_separate_peaks_and_the_order():
    prediction = maps(centre_probability={(0, 0): 0.6, (9, 9): 0.8})
    found = detect_clusters(prediction, BY_CENTRE, NaturalPrior(), tile_size=10, threshold=0.3, **PIXEL)
    assert found.probability.is_monotonic_decreasing
    assert len(found) == 2


def test_nothing_found_is_an_empty_table():
    found = detect_clusters(maps(), CERTAIN, NaturalPrior(), tile_size=10, threshold=0.3, **PIXEL)
    assert list(found.columns) == COLUMNS
    assert len(found) == 0


def test_the_natural_rate_lowers_the_richness():
    prior = NaturalPrior(slope=-2.0)
    found = detect_clusters(
        maps(centre_probability={(2, 7): 0.9}), CERTAIN, prior, tile_size=100, threshold=0.3, **PIXEL
    )
    assert found.richness[0] == pytest.approx(30 * np.exp(-2 * 0.04))


def test_detections_are_calibrated_where_the_truth_is_known(rng):
    """Peaks of richness 30 lie on haloes of richness 30, peaks of richness 22 on groups: richness is what tells."""
    fields, predictions = [], []
    for number in range(30):
        header = wcs_keywords(10.0 + number, -30.0, 1000, 0.263)
        poor = bool(number % 2)
        halo = {"x": 450.0, "y": 550.0, "redshift": 0.4, "richness": 12.0 if poor else 30.0, "cluster_id": number,
                "field": number, "weight": 1.0 if poor else 0.1}  # fmt: skip
        ra, dec = sky_of_pixel(np.array([halo["x"]]), np.array([halo["y"]]), wcs_of_header(header, "a field"))
        fields.append({"field": number, "wcs": header, "truth": {
            name: [value] for name, value in (halo | {"ra": ra[0], "dec": dec[0]}).items()
        }})  # fmt: skip
        ln_richness = np.log(22.0 if poor else 30.0) + 0.03 * rng.standard_normal()
        places = {(5, 4): ln_richness}
        predictions.append(maps(centre_probability={(5, 4): 0.9}, ln_richness=places))
    models = fit_detections(predictions, fields, NaturalPrior(), image_size=1000, tile_size=100, **PIXEL)
    assert set(models) == {"training", "natural"}
    peaks = pd.concat([find_peaks(prediction, tile_size=100, **PIXEL) for prediction in predictions], ignore_index=True)
    by_prior = {}
    for prior, model in models.items():
        values = model["coefficients"]
        score = peak_features(peaks) @ np.array(values[:-1]) + values[-1]
        assert score[::2].min() > score[1::2].max()
        by_prior[prior] = score.mean()
    assert by_prior["natural"] < by_prior["training"]


def test_a_peak_near_the_edge_says_how_much_of_the_cluster_is_in_the_window():
    found = find_peaks(maps(centre_probability={(5, 0): 0.9}, offset_x={(5, 0): 0.01}), tile_size=200, **PIXEL)
    assert found.inside[0] == pytest.approx(0.5, abs=0.02)


def test_members_around_are_those_of_the_same_redshift():
    places = {(4, 4): 0.5, (2, 4): 0.5, (6, 4): 0.5}
    found = find_peaks(
        maps(centre_probability={(4, 4): 0.9}, probability=places, redshift={(6, 4): 0.6}), tile_size=100, **PIXEL
    )
    assert found.n_members_around[0] == pytest.approx(2 * np.log(2), abs=0.03)
    assert found.n_members[0] == pytest.approx(np.log(2), abs=0.01)


def test_richness_that_is_too_large_on_average_is_lowered():
    """Estimates a fifth above the truth of every cluster, at the rate of the fields and at that of the sky."""
    header = wcs_keywords(10.0, -30.0, 1000, 0.263)
    ra, dec = sky_of_pixel(np.array([450.0]), np.array([550.0]), wcs_of_header(header, "a field"))
    truth = {"x": [450.0], "y": [550.0], "redshift": [0.4], "richness": [25.0], "cluster_id": [1], "field": [0],
             "weight": [0.1], "ra": ra, "dec": dec}  # fmt: skip
    prediction = maps(centre_probability={(5, 4): 0.9}, ln_richness={(5, 4): np.log(30.0)})
    fields = [{"field": k, "wcs": header, "truth": truth | {"field": [k]}} for k in range(2)]
    models = fit_detections(2 * [prediction], fields, NaturalPrior(slope=-2.0), image_size=1000, tile_size=100, **PIXEL)
    for name, prior in (("training", NaturalPrior()), ("natural", NaturalPrior(slope=-2.0))):
        model = models[name] | {"coefficients": CERTAIN["coefficients"]}
        found = detect_clusters(prediction, model, prior, tile_size=100, threshold=0.3, **PIXEL)
        assert found.richness[0] == pytest.approx(25, rel=0.02) and found.redshift[0] == pytest.approx(0.4, abs=1e-6)
