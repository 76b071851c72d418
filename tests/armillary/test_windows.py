"""Windows: the unfold rule against torch, streams against slices, merged maps against closed forms."""

import numpy as np
import pytest

from armillary.windows import (
    MergedMaps,
    owner,
    resample_tiles,
    stream_windows,
    unique_detections,
    window_origins,
)


def test_des_windows_are_the_four_by_four_unfold():
    assert window_origins(10_000, 2560, 80).tolist() == [0, 2480, 4960, 7440]


@pytest.mark.parametrize(
    ("size", "window", "overlap"), [(10_000, 2560, 80), (5000, 1280, 40), (2500, 1280, 0), (640, 640, 3)]
)
def test_windows_cover_the_axis_with_the_overlap_asked_for(size, window, overlap):
    origins = window_origins(size, window, overlap)
    assert origins[0] == 0
    assert origins[-1] + window == size
    assert np.all(np.diff(origins) <= window - overlap + 0.5)


@pytest.mark.parametrize(("size", "window", "overlap"), [(100, 200, 0), (100, 50, 50), (100, 50, -1)])
def test_impossible_windows_are_refused_in_one_line(size, window, overlap):
    with pytest.raises(ValueError, match=r"window_size|min_overlap"):
        window_origins(size, window, overlap)


def _readers(image):
    def reader(band):
        def read(first_row, rows):
            rows[:] = band[first_row : first_row + len(rows)]

        return read

    return [reader(band) for band in image]


@pytest.mark.parametrize("n_threads", [1, 3])
def test_streamed_windows_are_torch_unfold(n_threads):
    torch = pytest.importorskip("torch")
    image = np.random.default_rng(1).standard_normal((2, 1000, 1000)).astype(np.float32)
    unfolded = torch.from_numpy(image).unfold(1, 256, 248).unfold(2, 256, 248).permute(1, 2, 0, 3, 4)
    streamed = stream_windows(_readers(image), (1000, 1000), window_size=256, min_overlap=8, n_threads=n_threads)
    windows = [window.images.copy() for window in streamed]
    np.testing.assert_array_equal(np.stack(windows), unfolded.reshape(-1, 2, 256, 256).numpy())


def test_a_missing_band_is_nan_and_a_readers_error_arrives():
    image = np.ones((1, 300, 300), np.float32)

    def broken(first_row, rows):
        raise ValueError("x.fits is truncated")

    options = {"window_size": 100, "min_overlap": 10, "n_threads": 2}
    windows = list(stream_windows([*_readers(image), None], (300, 300), **options))
    assert len(windows) == 16
    assert all(np.isnan(window.images[1]).all() and (window.images[0] == 1).all() for window in windows)
    with pytest.raises(ValueError, match="truncated"):
        list(stream_windows([broken], (300, 300), **options))


def _merge(function, size=1000, window=400, overlap=24, tile=64, pixel=16):
    """Merge maps whose tile (row, col) holds `function` at the tile's centre."""
    merged = MergedMaps((size, size), window_size=window, tile_size=tile, map_pixel_px=pixel)
    centres = (np.arange(window // tile) + 0.5) * tile
    for y in window_origins(size, window, overlap):
        for x in window_origins(size, window, overlap):
            merged.add(y, x, {"value": function(y + centres[:, None], x + centres[None, :])})
    return merged.result()["value"]


def test_a_constant_stays_constant_although_tile_grids_are_misaligned():
    merged = _merge(lambda y, x: np.full(np.broadcast_shapes(y.shape, x.shape), 0.37))
    assert merged.shape == (63, 63)
    np.testing.assert_allclose(merged, 0.37, rtol=1e-6)


def test_a_ramp_stays_continuous_and_true_away_from_the_border():
    merged = _merge(lambda y, x: 2 * x + 0 * y, window=384, tile=32, pixel=8)
    centres = (np.arange(merged.shape[1]) + 0.5) * 8
    np.testing.assert_allclose(merged[60, 4:-4], 2 * centres[4:-4], atol=33)
    assert np.abs(np.diff(merged, axis=1)).max() < 3 * 16  # a step of one map pixel is 16
    inside = (centres > 40) & (centres < 300)
    np.testing.assert_allclose(merged[60, inside], 2 * centres[inside], atol=1e-3)


def test_nan_tiles_are_left_out_and_only_they():
    tiles = np.arange(16.0).reshape(4, 4)
    tiles[1, 1] = np.nan
    sampled = resample_tiles(tiles, 10, np.array([15.0, 15.0]), np.array([5.0, 20.0]))
    assert sampled[0, 0] == tiles[1, 0]
    assert sampled[0, 1] == tiles[1, 2]
    assert np.isnan(resample_tiles(np.full((2, 2), np.nan), 10, np.array([5.0]), np.array([5.0]))).all()
    merged = MergedMaps((40, 40), window_size=40, tile_size=10, map_pixel_px=10)
    merged.add(0, 0, {"value": tiles})
    assert np.isnan(merged.result()["value"]).sum() == 1


def test_every_position_has_one_owner_that_holds_it():
    origins = window_origins(10_000, 2560, 80)
    positions = np.linspace(0, 9999.9, 5001)
    index = owner(positions, origins, 2560)
    assert np.all((positions >= origins[index]) & (positions < origins[index] + 2560))
    assert owner(np.array([2519.0, 2521.0]), origins, 2560).tolist() == [0, 1]


def test_doubles_of_two_windows_go_and_neighbours_of_one_window_stay():
    x, y = np.array([100.0, 110.0, 130.0, 900.0]), np.zeros(4)
    probability, owned = np.array([0.6, 0.9, 0.8, 0.5]), np.array([True, False, True, False])
    window, redshift = np.array([0, 1, 0, 1]), np.array([0.4, 0.42, 0.7, 0.4])
    kept = unique_detections(x, y, probability, owned, window, redshift, 50.0)
    assert kept.tolist() == [True, False, True, True]


def test_two_windows_may_see_two_clusters_on_one_line_of_sight():
    """0.05 (1 + 0.4) = 0.07 apart in redshift is where one cluster becomes two."""
    x, probability, window = np.array([100.0, 110.0]), np.array([0.9, 0.8]), np.array([0, 1])
    for redshift, n_kept in ((0.469, 1), (0.471, 2), (0.331, 2), (0.339, 1)):
        both = np.array([0.4, redshift])
        owned = np.array([True, False])
        assert unique_detections(x, np.zeros(2), probability, owned, window, both, 50.0).sum() == n_kept
