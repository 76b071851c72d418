"""Peaks of the centre probability become one row each."""

import numpy as np
import pytest

from armillary.detections import COLUMNS, detect_clusters


def maps(size: int = 10, **places) -> dict[str, np.ndarray]:
    """Flat maps with centre probability 1e-4 and what `places` says: name -> {(row, column): value}."""
    flat = {"centre_probability": 1e-4, "offset_x": 0.5, "offset_y": 0.5, "redshift": 0.4, "redshift_error": 0.01,
            "ln_richness": np.log(30.0), "ln_richness_error": 0.2}  # fmt: skip
    filled = {name: np.full((size, size), value) for name, value in flat.items()}
    for name, values in places.items():
        for place, value in values.items():
            filled[name][place] = value
    return filled


def test_one_peak_is_one_cluster_in_its_place():
    found = detect_clusters(
        maps(centre_probability={(2, 7): 0.9}, offset_x={(2, 7): 0.25}), tile_size=100, threshold=0.3
    )
    assert list(found.columns) == COLUMNS
    assert len(found) == 1
    assert found.x[0] == pytest.approx(725, abs=1)
    assert found.y[0] == pytest.approx(250, abs=1)
    assert found.probability[0] == pytest.approx(0.9, abs=2e-3)
    assert found.richness[0] == pytest.approx(30)
    assert found.richness_error[0] == pytest.approx(6, rel=1e-3)


def test_probability_shared_across_an_edge_is_added_up():
    found = detect_clusters(maps(centre_probability={(4, 4): 0.5, (4, 5): 0.5}), tile_size=100, threshold=0.3)
    assert len(found) == 1
    assert found.probability[0] == pytest.approx(0.75, abs=2e-3)
    assert found.x[0] == pytest.approx(500, abs=1)


def test_two_separate_peaks_and_the_order():
    found = detect_clusters(maps(centre_probability={(0, 0): 0.6, (9, 9): 0.8}), tile_size=10, threshold=0.3)
    assert found.probability.is_monotonic_decreasing
    assert len(found) == 2


def test_nothing_found_is_an_empty_table():
    found = detect_clusters(maps(), tile_size=10, threshold=0.3)
    assert list(found.columns) == COLUMNS
    assert len(found) == 0
