"""Tile truth in one orientation, pixel coding within its error, files that refuse other settings."""

import numpy as np
import pandas as pd
import pytest
import torch

from armillary import tiles
from armillary.windows import check_tiling

COLUMNS = (
    "RA DEC X Y MEM FLUX_G FLUX_R FLUX_I FLUX_Z HLR FRACDEV G1 G2 Z SOURCE_TYPE CLUSTER_ID MASS RICHNESS CLUSTER_Z"
).split()
SETTINGS = {
    "image_size": 512,
    "tile_size": 128,
    "bands": ["g", "r", "i", "z"],
    "min_flux_for_loss": 0.0,
    "name": "one.dat",
}


def catalog_of(*sources: dict) -> pd.DataFrame:
    return pd.DataFrame([{**dict.fromkeys(COLUMNS, 0.0), "FLUX_I": 100.0, **source} for source in sources])


def haloes_of(**columns) -> pd.DataFrame:
    return pd.DataFrame(
        {"cluster_id": [7], "x": [400.0], "y": [30.0], "redshift": [0.4], "richness": [33.0], "weight": [0.1]} | columns
    )


def test_asymmetric_source_lands_in_its_row_and_column():
    member = {"X": 400.0, "Y": 30.0, "MEM": 1.0, "CLUSTER_ID": 7, "RICHNESS": 33.0, "CLUSTER_Z": 0.4}
    truth = tiles.tile_catalog(catalog_of(member), haloes_of(), **SETTINGS)
    assert np.argwhere(truth["membership"][..., 0, 0]).tolist() == [[0, 3]]
    np.testing.assert_allclose(truth["locs"][0, 3, 0], [30 / 128, (400 - 384) / 128])
    np.testing.assert_allclose(truth["centre_offset"][0, 3, 0], [(400 - 384) / 128, 30 / 128])
    assert truth["ln_richness"][0, 3, 0, 0] == pytest.approx(np.log(33))
    assert truth["weight"][0, 3, 0, 0] == pytest.approx(0.1)


def test_brightest_source_describes_its_tile_and_faint_members_do_not_count():
    sources = [
        {"X": 10.0, "Y": 10.0, "FLUX_I": 50.0, "MEM": 1.0, "CLUSTER_ID": 7, "RICHNESS": 33.0},
        {"X": 12.0, "Y": 12.0, "FLUX_I": 90.0},
    ]
    truth = tiles.tile_catalog(catalog_of(*sources), haloes_of(), **SETTINGS)
    assert truth["fluxes"][0, 0, 0, 2] == 90
    assert truth["n_sources"].sum() == 1
    assert truth["membership"].sum() == 1
    without = tiles.tile_catalog(catalog_of(*sources), haloes_of(), **(SETTINGS | {"min_flux_for_loss": 60.0}))
    assert without["membership"].sum() == 0


def test_source_outside_and_empty_catalogue_are_refused():
    with pytest.raises(ValueError, match=r"one\.dat: source 1 at X=512"):
        tiles.tile_catalog(catalog_of({"X": 1.0, "Y": 1.0}, {"X": 512.0, "Y": 1.0}), haloes_of(), **SETTINGS)
    with pytest.raises(ValueError, match=r"one\.dat is an empty catalogue"):
        tiles.tile_catalog(catalog_of({}).iloc[:0], haloes_of(), **SETTINGS)


def test_sizes_must_divide():
    assert check_tiling(2560, 256, 2) == 10
    with pytest.raises(ValueError, match="not a multiple of tile_size 256"):
        check_tiling(2500, 256, 1)


def test_coding_error_is_a_thousandth_of_the_noise(rng):
    counts = np.concatenate([rng.normal(0, 4, 10_000), 10 ** rng.uniform(1, 6, 1000)]).astype(np.float32)
    coded = torch.from_numpy(tiles.encode_pixels(counts, 4.0))
    again = 4.0 * torch.sinh(tiles.decode_pixels(coded).double()).numpy()
    faint = np.abs(counts) < 8
    assert np.abs(again - counts)[faint].max() < 1e-3 * 4.0
    assert (np.abs(again - counts) / np.abs(counts))[~faint].max() < 5e-4


def test_invalid_pixels_survive_coding_and_binning():
    image = np.ones((8, 8), np.float32)
    image[:2, :2] = np.nan
    image[2, 2] = np.nan
    binned = tiles.bin_image(image, 2)
    assert np.isnan(binned).sum() == 1
    assert binned[1, 1] == 1
    decoded = tiles.decode_pixels(torch.from_numpy(tiles.encode_pixels(binned, 1.0)))
    assert torch.isnan(decoded).sum() == 1


def test_binning_keeps_the_mean(rng):
    image = rng.normal(size=(64, 64)).astype(np.float32)
    assert tiles.bin_image(image, 4).mean() == pytest.approx(image.mean(), abs=1e-6)


def test_file_round_trip_and_refusals(tmp_path):
    truth = tiles.tile_catalog(catalog_of({"X": 1.0, "Y": 1.0}), haloes_of(), **SETTINGS)
    field = {"field": 5, "images": np.zeros((4, 8, 8), np.int16), "sky_sigma": np.ones(4, np.float32),
             "tile_catalog": truth, "wcs": {"CRVAL1": 1.0}, "truth": {"richness": [33.0]}}  # fmt: skip
    path = str(tmp_path / "file_data_00000.pt")
    tiles.write_file_data(path, [field], survey="des", tile_size=128)
    data = tiles.read_file_data(path)
    assert data["field"].tolist() == [5]
    assert data["tile_catalog"]["membership"].shape == (1, 4, 4, 1, 1)
    with pytest.raises(ValueError, match="made for survey = des, but clusters: survey is hsc"):
        tiles.check_same_settings([data], [path], {"survey": "hsc"})
    whole = (tmp_path / "file_data_00000.pt").read_bytes()
    (tmp_path / "cut.pt").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"cut\.pt is not a complete \.pt file"):
        tiles.read_file_data(str(tmp_path / "cut.pt"))
