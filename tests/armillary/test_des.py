"""DES tiles: names, files, Rice strips against astropy, noise estimates, bad files; DECam exposures where the
mirror is.
"""

from pathlib import Path

import numpy as np
import pytest

from armillary.des import (
    TileImages,
    estimate_sky_sigma,
    find_tile_images,
    tile_file_name,
    tile_header,
    tile_name,
    tile_position,
)
from armillary.files import write_compressed_image, write_image
from armillary.strips import ImageStrips
from armillary.windows import stream_windows

TILE = "DES0456-5914"


@pytest.mark.parametrize(
    ("ra", "dec", "name"),
    [
        (74.0, -59.2334, "DES0456-5914"),
        (359.999, -0.5, "DES2359-0030"),
        (-0.01, 0.02, "DES2359+0001"),
        (360.0, -0.001, "DES0000-0000"),
        (15.0, 3.0, "DES0100+0300"),
    ],
)
def test_tile_names_cut_off_minutes_and_wrap(ra, dec, name):
    assert tile_name(ra, dec) == name


def test_tile_names_and_positions_are_inverse():
    for minutes in range(0, 1440, 7):
        for dec in (-66.95, -0.5, 0.0, 4.9):
            name = tile_name(minutes / 4, dec)
            assert tile_name(*tile_position(name)) == name


@pytest.mark.parametrize("name", ["DES456-5914", "DES2460-5914", "DES2400+0000", "0456-5914"])
def test_wrong_tile_names_are_refused(name):
    with pytest.raises(ValueError, match="DES tile name"):
        tile_position(name)


def test_find_tile_images_takes_the_last_and_reports_missing_bands(tmp_path):
    (tmp_path / TILE).mkdir()
    for name in (
        f"{TILE}_r0001p01_g_nobkg.fits.fz",
        f"{TILE}_r4939p02_g_nobkg.fits.fz",
        f"{TILE}_z_nobkg.fits.fz",
    ):
        (tmp_path / TILE / name).touch()
    found = find_tile_images(str(tmp_path), TILE, ["g", "i", "z"], allow_missing=True)
    assert found[0].endswith("r4939p02_g_nobkg.fits.fz")
    assert found[1] is None
    assert found[2].endswith(f"{TILE}_z_nobkg.fits.fz")
    with pytest.raises(FileNotFoundError, match="band i of tile"):
        find_tile_images(str(tmp_path), TILE, ["g", "i"], allow_missing=False)
    with pytest.raises(FileNotFoundError, match="band r of tile"):
        find_tile_images(str(tmp_path), TILE, ["r"], allow_missing=True)


def _sky(shape, sigma=2.0, seed=0):
    image = np.random.default_rng(seed).standard_normal(shape).astype(np.float32) * np.float32(sigma)
    image[30:40, 30:40] += 5000
    return image


def _write_tile(folder, bands="gr", size=300):
    paths = []
    for seed, band in enumerate(bands):
        path = folder / tile_file_name(TILE, band)
        write_compressed_image(str(path), _sky((size, size), seed=seed), tile_header(TILE, band, size))
        paths.append(str(path))
    return paths


def test_rice_strips_are_astropys_pixels(tmp_path):
    fits = pytest.importorskip("astropy.io.fits")
    path = _write_tile(tmp_path, "g", 333)[0]
    strips = ImageStrips(path, 1)
    assert strips.layout is not None
    rows = np.empty((200, 333), np.float32)
    strips.read(57, rows)
    np.testing.assert_array_equal(rows, fits.getdata(path, 1)[57:257])


@pytest.mark.parametrize("method", ["SUBTRACTIVE_DITHER_1", "SUBTRACTIVE_DITHER_2", "NO_DITHER"])
def test_rice_with_blanks_zeros_and_constant_rows(tmp_path, method):
    fitsio = pytest.importorskip("fitsio")
    image = _sky((60, 257))
    image[5, 7:20] = np.nan
    image[6, :] = np.nan
    image[7, :] = 3.25
    image[8, ::3] = 0.0
    image[9, 40:50] = [1e7, -1e7] * 5
    image[10, :] = 0.0
    path = str(tmp_path / "x.fits.fz")
    with fitsio.FITS(path, "rw", clobber=True) as out:
        out.write(image, compress="RICE", qlevel=16, qmethod=method, dither_seed=9876)
    rows = np.empty_like(image)
    ImageStrips(path, 1).read(0, rows)
    np.testing.assert_array_equal(rows, fitsio.read(path))
    assert np.isnan(rows[6]).all()


def test_uncompressed_and_gzip_images_are_read_too(tmp_path):
    fitsio = pytest.importorskip("fitsio")
    image = _sky((50, 40))
    write_image(str(tmp_path / "plain.fits"), image, {})
    with fitsio.FITS(str(tmp_path / "gzip.fits.fz"), "rw", clobber=True) as out:
        out.write(image, compress="GZIP_2", qlevel=0)
    for name in ("plain.fits", "gzip.fits.fz"):
        rows = np.empty((13, 40), np.float32)
        ImageStrips(str(tmp_path / name)).read(20, rows)
        np.testing.assert_array_equal(rows, image[20:33])


def test_streamed_tile_is_the_whole_read_and_cut(tmp_path):
    fits = pytest.importorskip("astropy.io.fits")
    paths = _write_tile(tmp_path)
    tile = TileImages([paths[0], None, paths[1]])
    whole = [fits.getdata(path, 1) for path in paths]
    for window in stream_windows(tile.readers, tile.shape, window_size=128, min_overlap=8, n_threads=2):
        for band, image in zip((0, 2), whole, strict=True):
            cut = image[window.y : window.y + 128, window.x : window.x + 128]
            np.testing.assert_array_equal(window.images[band], cut)
        assert np.isnan(window.images[1]).all()


def test_mask_and_weight_planes_make_pixels_invalid(tmp_path):
    fitsio = pytest.importorskip("fitsio")
    path = str(tmp_path / tile_file_name(TILE, "g"))
    write_compressed_image(path, _sky((100, 100)), tile_header(TILE, "g", 100))
    mask, weight = np.zeros((100, 100), np.int16), np.ones((100, 100), np.float32)
    mask[3, 4], weight[50:, 50:] = 8, 0
    with fitsio.FITS(path, "rw") as out:
        out.write(mask, compress="RICE", extname="MSK")
        out.write(weight, compress="RICE", extname="WGT", qlevel=16, qmethod="SUBTRACTIVE_DITHER_2")
    rows = np.empty((100, 100), np.float32)
    TileImages([path]).readers[0](0, rows)
    expected = (mask != 0) | (weight == 0)
    np.testing.assert_array_equal(np.isnan(rows), expected)
    TileImages([path], use_mask=False, use_weight=False).readers[0](0, rows)
    assert np.isfinite(rows).all()


@pytest.mark.parametrize("sigma", [0.5, 2.0, 8.8])
def test_sky_sigma_of_known_noise_with_sources_gradient_and_gaps(sigma):
    image = _sky((400, 500), sigma)
    y, x = np.mgrid[:400, :500]
    image += (0.001 * x + 0.002 * y + 7).astype(np.float32)
    image[100:120] = np.nan
    assert estimate_sky_sigma(image) == pytest.approx(sigma, rel=0.01)


def test_sky_sigma_of_correlated_noise_is_the_pixels_own(tmp_path):
    ndimage = pytest.importorskip("scipy.ndimage")
    noise = ndimage.gaussian_filter(_sky((600, 600), 3.0, seed=5)[100:], 0.8)
    assert estimate_sky_sigma(noise) == pytest.approx(noise.std(), rel=0.02)


def test_bad_files_give_one_line_that_names_them(tmp_path):
    good = _write_tile(tmp_path, "g")[0]
    content = Path(good).read_bytes()
    cut, text, bare, empty = (
        str(tmp_path / name) for name in ("cut.fits.fz", "text.fits.fz", "bare.fits.fz", "nan.fits.fz")
    )
    Path(cut).write_bytes(content[: len(content) // 2])
    Path(text).write_text("not a FITS file")
    write_compressed_image(bare, _sky((300, 300)), {})
    write_compressed_image(empty, np.full((300, 300), np.nan, np.float32), tile_header(TILE, "g", 300))
    for path, words in [(cut, "truncated"), (text, "not a FITS"), (bare, "WCS")]:
        with pytest.raises(ValueError, match=words) as caught:
            TileImages([path])
        assert path in str(caught.value)
        assert "\n" not in str(caught.value)
    with pytest.raises(ValueError, match="all NaN") as caught:
        TileImages([empty]).sky_sigma()
    assert empty in str(caught.value)
    with pytest.raises(FileNotFoundError):
        TileImages([str(tmp_path / "absent.fits.fz")])


def test_a_damaged_row_is_noticed(tmp_path):
    path = _write_tile(tmp_path, "g")[0]
    layout = ImageStrips(path, 1).layout
    content = bytearray(Path(path).read_bytes())
    start = layout.heap_offset + int(layout.starts[10])
    content[start + 4 : start + int(layout.sizes[10])] = b"\xff" * (int(layout.sizes[10]) - 4)
    Path(path).write_bytes(bytes(content))
    with pytest.raises(ValueError, match="row 10 .* damaged") as caught:
        ImageStrips(path, 1).read(0, np.empty((300, 300), np.float32))
    assert path in str(caught.value)


def test_real_decam_exposures_on_one_grid(mirror):
    from armillary.exposures import DECAM_ZERO_POINTS, common_grid, read_exposure, resample

    folder = mirror / "clusters/decam/testcase9"
    exposures = []
    for image in sorted(folder.glob("*_ooi_?_ls9.???.fits")):
        weight, mask = (str(image).replace("_ooi_", f"_{kind}_") for kind in ("oow", "ood"))
        sky = str(next(folder.glob(image.name.replace(".", "-", 1).replace(".fits", "-splinesky.fits"))))
        exposures.append(
            read_exposure(str(image), weight, mask, sky, zero_points=DECAM_ZERO_POINTS, pixel_arcsec=0.262)
        )
    assert sorted(exposure.band for exposure in exposures) == ["g", "r", "z"]
    wcs = common_grid(exposures, 128, 0.262)
    for exposure in exposures:
        resampled = resample(exposure, wcs, 128)
        assert 0.4 < np.isfinite(resampled).mean() < 1
        assert estimate_sky_sigma(exposure.image) > 1
