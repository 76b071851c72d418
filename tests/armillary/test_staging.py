"""Tiles come one ahead and leave at once."""

from pathlib import Path
from threading import Event

import pytest

from armillary.staging import copy_tile, scratch_folder, staged_tiles


def test_at_most_two_tiles_lie_on_the_disk(tmp_path):
    tiles, seen = ["A", "B", "C", "D"], []
    staged = {tile: Event() for tile in tiles}

    def stage(tile, folder):
        folder.mkdir(parents=True)
        (folder / "image").write_text(tile)
        seen.append(sorted(path.name for path in tmp_path.iterdir()))
        staged[tile].set()
        return [str(folder / "image")]

    for number, (tile, images) in enumerate(staged_tiles(tiles, stage, str(tmp_path))):
        assert tile == tiles[number] == Path(images()[0]).read_text()
        assert all(staged[following].wait(10) for following in tiles[number + 1 : number + 2])  # while this one is used
    assert seen == [["A"], ["A", "B"], ["B", "C"], ["C", "D"]]
    assert list(tmp_path.iterdir()) == []


def test_a_tile_that_does_not_come_stops_no_other(tmp_path):
    def stage(tile, folder):
        if tile == "B":
            raise FileNotFoundError("no tile B")
        return [tile]

    came = {}
    for tile, images in staged_tiles(["A", "B", "C"], stage, str(tmp_path)):
        try:
            came[tile] = images()
        except FileNotFoundError as error:
            came[tile] = str(error)
    assert came == {"A": ["A"], "B": "no tile B", "C": ["C"]}


def test_the_nodes_own_disk_is_used(tmp_path, monkeypatch):
    monkeypatch.setenv("SLURM_TMPDIR", str(tmp_path))
    assert Path(scratch_folder()).parent == tmp_path
    monkeypatch.setenv("SLURM_TMPDIR", str(tmp_path / "not there"))
    assert Path(scratch_folder()).is_dir()


def test_a_folders_tile_is_copied_band_by_band(tmp_path):
    source = tmp_path / "source/DES0001-0001"
    source.mkdir(parents=True)
    (source / "DES0001-0001_r1p01_g_nobkg.fits.fz").write_text("g")
    paths = copy_tile("DES0001-0001", ["g", "r"], tmp_path / "copy", str(tmp_path / "source"))
    assert Path(paths[0]).read_text() == "g" and paths[1] is None
    with pytest.raises(FileNotFoundError, match="DES0002-0001"):
        copy_tile("DES0002-0001", ["g", "r"], tmp_path / "copy", str(tmp_path / "source"))
