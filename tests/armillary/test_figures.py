"""Every figure is drawn from tiny inputs, at its size, without a warning; sky pictures have closed forms."""

import struct
import subprocess
import sys
import warnings

import matplotlib
import numpy as np
import pandas as pd
import pytest

from armillary.figures.catalogs import draw_catalogs, magnitude
from armillary.figures.curves import draw_cluster_scores, draw_tile_scores, part
from armillary.figures.estimates import draw_estimates, richness_bias_bins
from armillary.figures.fields import draw_field
from armillary.figures.renders import draw_residuals
from armillary.figures.rgb import asinh_rgb, block_mean, block_rows, robust_sigma, sky_rgb
from armillary.figures.selection import draw_selection
from armillary.figures.style import page, redshift_colours
from armillary.figures.tiles import count_line, draw_tile, draw_tiles
from armillary.figures.training import draw_training


@pytest.fixture
def rng():
    return np.random.default_rng(5)


@pytest.fixture(autouse=True)
def no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def png_size(path) -> tuple[int, int]:
    """Width and height from the header chunk of a PNG."""
    start = path.read_bytes()[:24]
    assert start[:8] == b"\x89PNG\r\n\x1a\n"
    return struct.unpack(">II", start[16:24])


def drawn_size(tmp_path, draw, *arguments, **settings) -> tuple[int, int]:
    """Draw on a page and return the size of what was written."""
    with page(str(tmp_path / "figure.png"), 1600, 900) as sheet:
        draw(sheet, *arguments, **settings)
    return png_size(tmp_path / "figure.png")


def halo_table(n: int, rng) -> pd.DataFrame:
    columns = {"x": rng.uniform(-50, 300, n), "y": rng.uniform(-50, 300, n), "radius_px": np.full(n, 60.0)}
    richness = np.linspace(8.0, 50.0, n)
    return pd.DataFrame(columns | {"redshift": np.linspace(0.2, 0.6, n), "richness": richness, "weight": 0.5})


def source_table(n: int, rng) -> pd.DataFrame:
    mem = (rng.random(n) < 0.3).astype(float)
    return pd.DataFrame({
        "X": rng.uniform(0, 256, n), "Y": rng.uniform(0, 256, n), "MEM": mem, "CLUSTER_Z": 0.4 * mem,
        "FLUX_G": rng.uniform(0, 2e3, n), "FLUX_I": rng.uniform(1e2, 2e4, n), "Z": rng.uniform(0, 1.5, n),
        "HLR": rng.uniform(0.2, 1.5, n), "G1": rng.normal(0, 0.2, n), "G2": rng.normal(0, 0.2, n),
        "SOURCE_TYPE": np.where(mem > 0, 1, rng.integers(0, 2, n)),
    })  # fmt: skip


# the picture of the sky


def test_rgb_keeps_hue_and_order_of_brightness():
    flux = np.geomspace(0.01, 1e4, 50)[None, :]
    rgb = asinh_rgb(3 * flux, 2 * flux, 1 * flux, black=0.0, stretch=10.0)
    shown = rgb[rgb[..., 0] < 1.0]
    assert len(shown) > 10 and np.allclose(shown / shown[:, 2:], [3.0, 2.0, 1.0])
    assert np.all(np.diff(rgb.sum(axis=-1)) >= -1e-12)
    assert rgb.min() >= 0.0 and rgb.max() <= 1.0


def test_rgb_is_one_at_the_stretch_and_linear_when_faint():
    grey = np.array([[10.0, 1e-4]])
    bright, faint = asinh_rgb(grey, grey, grey, black=0.0, stretch=10.0, softening=8.0)[0, :, 0]
    assert bright == pytest.approx(1.0)
    assert faint == pytest.approx(8.0 * 1e-5 / np.arcsinh(8.0), rel=1e-6)


def test_rgb_of_bad_pixels_is_black():
    bad = np.array([[np.nan, np.inf, -np.inf, -5.0]])
    assert np.all(asinh_rgb(bad, bad, bad, black=0.0, stretch=1.0) == 0.0)


@pytest.mark.parametrize("n_bands", [1, 2, 3, 4])
def test_sky_rgb_of_any_number_of_bands(n_bands, rng):
    images = [rng.normal(0, 2, (21, 33)) for _ in range(n_bands)]
    rgb = sky_rgb(images, factor=2)
    assert rgb.shape == (10, 16, 3) and np.isfinite(rgb).all() and rgb.min() >= 0 and rgb.max() <= 1


def test_sky_rgb_survives_an_empty_band(rng):
    images = [rng.normal(0, 2, (8, 8)), np.full((8, 8), np.nan), np.zeros((8, 8))]
    assert np.isfinite(sky_rgb(images)).all()


def test_block_mean_keeps_the_mean(rng):
    image = rng.normal(size=(12, 8))
    assert block_mean(image, 4).mean() == pytest.approx(image.mean())
    assert block_mean(image, 4)[1, 0] == pytest.approx(image[4:8, :4].mean())


@pytest.mark.parametrize("height", [1, 7, 10000, 1025])
def test_block_rows_cover_whole_blocks_once(height):
    rows = [row for first, last in block_rows(height, 8) for row in range(first, last)]
    assert rows == list(range(height // 8 * 8))


def test_robust_sigma_ignores_bright_sources(rng):
    image = rng.normal(0, 3.0, (300, 300))
    image[:5] += 1e5
    assert robust_sigma(image) == pytest.approx(3.0, rel=0.05)


# the page


def test_page_leaves_no_global_state(tmp_path):
    before = matplotlib.rcParams.copy()
    with page(str(tmp_path / "figure.png")) as sheet:
        sheet.subplots().plot([0, 1])
    assert matplotlib.rcParams.copy() == before


def test_page_writes_the_same_bytes_twice(tmp_path):
    for name in ("one", "two"):
        with page(str(tmp_path / name), 300, 200) as sheet:
            sheet.subplots().plot([0, 1, 4])
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    assert png_size(tmp_path / "one") == (300, 200)


def test_page_writes_nothing_when_drawing_fails(tmp_path):
    with pytest.raises(KeyError), page(str(tmp_path / "figure.png")):
        raise KeyError("column")
    assert not (tmp_path / "figure.png").exists()


def test_redshift_colours_differ_at_the_ends_and_take_none():
    colours, scale = redshift_colours(np.array([0.2, 0.6]), on_sky=True)
    assert np.abs(np.subtract(colours(scale(0.2)), colours(scale(0.6)))).max() > 0.5
    assert redshift_colours(np.array([]), on_sky=False)[1].vmin == pytest.approx(0.17)


def test_import_needs_neither_pyplot_nor_pandas_nor_torch():
    modules = "selection catalogs curves estimates fields renders rgb style tiles training".split()
    code = f"import sys\nfor m in {modules}: __import__('armillary.figures.' + m)\nprint(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert not {"matplotlib.pyplot", "pandas", "torch", "jax", "astropy"} & set(loaded.split())


# the figures


@pytest.mark.parametrize("n_haloes", [0, 1, 5])
def test_draw_field(n_haloes, tmp_path, rng):
    sizes = {"image_size": 256, "pixel_arcsec": 0.263, "title": "field"}
    maps = (rng.random((4, 4)) > 0.5, rng.random((4, 4)))
    sky = (np.zeros((64, 64, 3)), source_table(30, rng), halo_table(n_haloes, rng))
    assert drawn_size(tmp_path, draw_field, *sky, *maps, **sizes) == (1600, 900)


@pytest.mark.parametrize("n_clusters", [0, 3])
def test_draw_tile(n_clusters, tmp_path, rng):
    truth, detections = tile_objects(n_clusters, rng)
    sizes = {"image_size": 256, "pixel_arcsec": 0.263, "cell_arcsec": 16.832}
    sizes |= {"title": "DES0000+0000, simulated sky", "cluster_label": "simulated cluster"}
    sky, probability = np.zeros((64, 64, 3)), rng.random((4, 4))
    probability[0, 0] = np.nan
    assert drawn_size(tmp_path, draw_tile, sky, probability, truth, detections, **sizes) == (1600, 900)


def tile_objects(n: int, rng) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Clusters and detections of a tile, every second matched, the last not counted."""
    flags = {"matched": np.arange(n) % 2 == 0, "counted": np.arange(n) < n - 1}
    truth = halo_table(n, rng).assign(**flags)
    return truth, truth[["x", "y", "matched", "counted"]].assign(probability=0.5)


@pytest.mark.parametrize("n_tiles", [1, 2, 5])
def test_draw_tiles(n_tiles, tmp_path, rng):
    tiles = []
    for number in range(n_tiles):
        truth, detections = tile_objects(number, rng)
        frame = {"image_size": 256, "pixel_arcsec": 0.263, "name": f"DES000{number}+0000", "kind": "simulated sky"}
        tiles.append(frame | {"rgb": np.zeros((64, 64, 3)), "truth": truth, "detections": detections})
    looks = {"title": "tiles", "cluster_label": "simulated cluster"}
    assert drawn_size(tmp_path, draw_tiles, tiles, **looks) == (1600, 900)


def test_counts_leave_out_what_is_not_counted(rng):
    assert count_line(*tile_objects(6, rng)) == "3 of 5 clusters found, 2 false detections"
    assert count_line(*tile_objects(3, rng)) == "1 of 2 clusters found, 1 false detection"
    assert count_line(*tile_objects(0, rng)) == "no clusters, 0 false detections"


def test_draw_tile_scores(tmp_path):
    line = np.linspace(0, 1, 5)
    curve = {"recall": line, "precision": 1 - 0.8 * line, "predicted": line, "observed": line, "lo": line - 0.1}
    curve |= {"hi": line + 0.1, "n_expected": np.array([0.0, 3.0, 30.0, 30.0, 30.0])}
    arrays = {f"{rate}_{name}": column for rate in ("boosted", "natural") for name, column in curve.items()}
    assert drawn_size(tmp_path, draw_tile_scores, {"encoder": arrays, "limit": arrays}) == (1600, 900)


@pytest.mark.parametrize("n_counted", [0, 7])
def test_draw_cluster_scores(n_counted, tmp_path):
    value = 0.8 if n_counted else np.nan
    bins = pd.DataFrame([
        {"method": method, "score": score, "against": against, "bin_low": low, "bin_high": high,
         "n": n_counted, "value": value, "value_low": value, "value_high": 0.9}
        for method in ("encoder", "finder") for score in ("completeness", "purity")
        for against, low, high in (("richness", 20, 30), ("richness", 30, np.inf), ("redshift", 0.2, 0.4))
    ])  # fmt: skip
    curve = {"completeness": [0, 0.9], "purity": [1, 0.5], "per_deg2": [1.0, 4.0]}
    trade = pd.DataFrame({"method": "encoder", "richness_above": 20.0} | curve)
    assert drawn_size(tmp_path, draw_cluster_scores, bins, trade[:n_counted]) == (1600, 900)


@pytest.mark.parametrize("n_epochs", [1, 40])
def test_draw_training(n_epochs, tmp_path):
    epoch = np.arange(1, n_epochs + 1)
    history = pd.DataFrame({
        "epoch": epoch, "step": 10 * epoch, "seconds": 3.0 * epoch, "learning_rate": 1e-3 / epoch,
        "train_loss": 1 / epoch, "validation_loss": np.where(epoch % 2, 1.1 / epoch, np.nan),
        "validation_pr_auc": 1 - 0.8 / epoch,
    })  # fmt: skip
    assert drawn_size(tmp_path, draw_training, history, base_rate=0.2) == (1600, 900)


def test_draw_residuals(tmp_path, rng):
    samples = {"residual_sigma": 10 ** rng.normal(-2, 1, 20), "residual_peak": np.array([])}
    samples["flux_error"] = np.array([0.0, np.nan, -1e-8])
    assert drawn_size(tmp_path, draw_residuals, samples, {"residual_sigma": 0.06}) == (1600, 900)


@pytest.mark.parametrize("n_matches", [0, 1, 20])
def test_draw_estimates(n_matches, tmp_path, rng):
    redshift, richness = rng.uniform(0.2, 0.6, n_matches), rng.uniform(20, 90, n_matches)
    matches = pd.DataFrame({
        "method": "encoder", "redshift_true": redshift, "redshift": redshift + 0.01, "redshift_error": 0.02,
        "offset_mpc": 0.1, "weight": 1.0,
        "richness_true": richness, "richness": 1.1 * richness, "richness_error": np.nan,
    })  # fmt: skip
    entry = {"value": 0.01, "lo": 0.0, "hi": 0.02} if n_matches else {"value": None, "lo": None, "hi": None}
    names = "redshift_bias redshift_scatter richness_slope richness_correlation richness_scatter richness_bias_20_25"
    measured = {f"{method}_{name}": entry for name in names.split() for method in ("encoder", "finder")}
    assert drawn_size(tmp_path, draw_estimates, matches, measured) == (1600, 900)


def test_draw_selection(tmp_path):
    rows = [
        {"method": method, "richness_low": low, "richness_high": 2 * low, "redshift_low": z, "redshift_high": z + 0.2,
         "p_found": p, "p_low": 0.4, "p_high": 0.9, "n": 3.0}
        for method in ("encoder", "finder") for low in (5, 10, 20) for z, p in ((0.2, 0.5), (0.4, np.nan))
    ]  # fmt: skip
    assert drawn_size(tmp_path, draw_selection, pd.DataFrame(rows)) == (1600, 900)


def test_richness_bias_is_read_bin_by_bin():
    entry = {"value": 0.1, "lo": 0.0, "hi": 0.2}
    measured = {"a_richness_bias_20_25": entry, "a_richness_bias_gt100": entry, "a_richness_bias": entry}
    measured |= {"a_richness_bias_25_30": {"value": None, "lo": None, "hi": None}}
    assert richness_bias_bins(measured, "a")[:, :2].tolist() == [[20, 25], [100, 200]]


@pytest.mark.parametrize("n_haloes", [0, 10])
def test_draw_catalogs(n_haloes, tmp_path, rng):
    tables = source_table(300, rng), halo_table(n_haloes, rng)
    assert drawn_size(tmp_path, draw_catalogs, *tables, area_deg2=0.01) == (1600, 900)


def test_magnitude_of_zero_point_and_of_no_flux():
    assert magnitude([1.0, 100.0]).tolist() == [30.0, 25.0]
    assert np.isnan(magnitude([0.0, -1.0])).all()


def test_part_takes_only_its_prefix():
    arrays = {"encoder_recall": 1, "encoder_pr_auc": 2, "finder_recall": 3, "base_rate": 4}
    assert part(arrays, "encoder") == {"recall": 1, "pr_auc": 2}
