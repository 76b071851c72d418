"""Tile catalogues: what is true of each tile of a field, and the `.pt` files that hold them with the images.

All tile arrays are indexed [row, column] like the images, row = floor(y / tile_size). Images are stored
as int16 of asinh(counts / sky sigma), which keeps noise to 3e-4 sigma and bright stars to 3e-4 of themselves.
"""

import numpy as np
import torch

ASINH_STEP = 5e-4
INVALID = np.int16(-32768)
CLUSTER_RICHNESS = 20.0


def bin_image(image: np.ndarray, factor: int) -> np.ndarray:
    """Mean of factor x factor pixels, (H, W) -> (H/factor, W/factor); invalid (NaN) where all of them are."""
    if factor == 1:
        return image
    parts = [image[dy::factor, dx::factor] for dy in range(factor) for dx in range(factor)]
    binned = sum(parts[1:], start=parts[0]) / np.float32(factor**2)
    if np.isfinite(binned).all():
        return binned
    height, width = image.shape
    blocks = image.reshape(height // factor, factor, width // factor, factor)
    valid = np.isfinite(blocks)
    total = np.where(valid, blocks, 0).sum((1, 3), dtype=np.float32)
    return np.where(valid.any((1, 3)), total / np.maximum(valid.sum((1, 3)), 1), np.nan).astype(np.float32)


def encode_pixels(counts: np.ndarray, sky_sigma: float) -> np.ndarray:
    """int16 of asinh(counts / sky_sigma) / ASINH_STEP; non-finite pixels become INVALID."""
    ratio = np.abs(counts / np.float32(sky_sigma))
    # ln(x + sqrt(x^2 + 1)), several times faster than numpy's arcsinh and as exact as the step asks for
    coded = np.log(ratio + np.sqrt(ratio * ratio + np.float32(1))) / np.float32(ASINH_STEP)
    coded = np.copysign(np.minimum(np.rint(coded), np.float32(32767)), counts)
    return np.where(np.isfinite(counts), coded, np.float32(INVALID)).astype(np.int16)


def decode_pixels(coded: torch.Tensor) -> torch.Tensor:
    """float32 asinh(counts / sky_sigma) of `encode_pixels`, NaN where invalid."""
    return torch.where(coded == int(INVALID), torch.nan, coded.float() * ASINH_STEP)


def tile_catalog(
    catalog, haloes, *, image_size: int, tile_size: int, bands: list[str], min_flux_for_loss: float, name: str
):
    """Truth of one field by tile, a dict of numpy arrays of leading shape (T, T).

    As in the source system: n_sources (0 or 1), locs (row, column fractions of the brightest source), fluxes,
    membership, redshift, galaxy_params (HLR arcsec, G1, G2, FRACDEV), source_type. Ours: cluster_redshift and
    ln_richness of the cluster centred in the tile, else of the richest with a member there; weight (natural over
    sampled rate) of the richest with a member; centre and centre_offset (x, y fractions) of the richest cluster
    centred in it. Sources fainter than min_flux_for_loss (counts, i band) take no part.
    """
    n = image_size // tile_size
    outside = ~(catalog.X.between(0, image_size, inclusive="left") & catalog.Y.between(0, image_size, inclusive="left"))
    if len(catalog) == 0:
        raise ValueError(f"{name} is an empty catalogue")
    if outside.any():
        row = int(np.flatnonzero(outside)[0])
        x, y = catalog.X.iloc[row], catalog.Y.iloc[row]
        raise ValueError(
            f"{name}: source {row} at X={x:g}, Y={y:g} is outside the image of {image_size} px (clusters: image_size)"
        )
    bright = catalog[min_flux_for_loss <= catalog.FLUX_I]
    tiles = _empty_tiles(n, len(bands))
    _fill_brightest(tiles, bright, tile_size, bands)
    _fill_members(tiles, bright[bright.MEM > 0], haloes, tile_size)
    _fill_centres(tiles, haloes[haloes.richness >= CLUSTER_RICHNESS], image_size, tile_size)
    return tiles


def _empty_tiles(n: int, n_bands: int) -> dict[str, np.ndarray]:
    single = {"membership": bool, "centre": bool, "source_type": np.float32, "redshift": np.float32}
    single |= {"cluster_redshift": np.float32, "ln_richness": np.float32, "weight": np.float32}
    tiles = {name: np.zeros((n, n, 1, 1), dtype) for name, dtype in single.items()}
    tiles["n_sources"] = np.zeros((n, n), np.int64)
    for name, size in {"locs": 2, "fluxes": n_bands, "galaxy_params": 4, "centre_offset": 2}.items():
        tiles[name] = np.zeros((n, n, 1, size), np.float32)
    tiles["redshift"] -= 1
    return tiles


def _fill_brightest(tiles, catalog, tile_size: int, bands: list[str]) -> None:
    """Parameters of the brightest i-band source of each tile."""
    ordered = catalog.sort_values("FLUX_I")  # the brightest is written last and stays
    row, column = (ordered.Y // tile_size).astype(int), (ordered.X // tile_size).astype(int)
    tiles["n_sources"][row, column] = 1
    tiles["locs"][row, column, 0] = np.stack([ordered.Y / tile_size % 1, ordered.X / tile_size % 1], 1)
    tiles["fluxes"][row, column, 0] = ordered[[f"FLUX_{band.upper()}" for band in bands]]
    tiles["galaxy_params"][row, column, 0] = ordered[["HLR", "G1", "G2", "FRACDEV"]]
    tiles["source_type"][row, column, 0, 0] = ordered.SOURCE_TYPE
    tiles["redshift"][row, column, 0, 0] = ordered.Z


def _fill_members(tiles, members, haloes, tile_size: int) -> None:
    ordered = members.sort_values("RICHNESS")
    row, column = (ordered.Y // tile_size).astype(int), (ordered.X // tile_size).astype(int)
    tiles["membership"][row, column, 0, 0] = True
    tiles["cluster_redshift"][row, column, 0, 0] = ordered.CLUSTER_Z
    tiles["ln_richness"][row, column, 0, 0] = np.log(ordered.RICHNESS)
    weights = haloes.set_index("cluster_id").weight
    tiles["weight"][row, column, 0, 0] = weights.reindex(ordered.CLUSTER_ID).fillna(1.0).to_numpy()


def _fill_centres(tiles, clusters, image_size: int, tile_size: int) -> None:
    inside = clusters.x.between(0, image_size, inclusive="left") & clusters.y.between(0, image_size, inclusive="left")
    ordered = clusters[inside].sort_values("richness")
    row, column = (ordered.y // tile_size).astype(int), (ordered.x // tile_size).astype(int)
    tiles["centre"][row, column, 0, 0] = True
    tiles["centre_offset"][row, column, 0] = np.stack([ordered.x / tile_size % 1, ordered.y / tile_size % 1], 1)
    tiles["cluster_redshift"][row, column, 0, 0] = ordered.redshift
    tiles["ln_richness"][row, column, 0, 0] = np.log(ordered.richness)


def write_file_data(path: str, fields: list[dict], **meta) -> None:
    """One `.pt` file of fields, each: images int16 (C, h, w), tile_catalog, sky_sigma (C,), wcs, truth, field."""
    stacked = {
        "images": torch.from_numpy(np.stack([field["images"] for field in fields])),
        "sky_sigma": torch.from_numpy(np.stack([field["sky_sigma"] for field in fields])),
        "tile_catalog": {
            name: torch.from_numpy(np.stack([field["tile_catalog"][name] for field in fields]))
            for name in fields[0]["tile_catalog"]
        },
        "field": torch.tensor([field["field"] for field in fields]),
        "wcs": [field["wcs"] for field in fields],
        "truth": [field["truth"] for field in fields],
    }
    torch.save({**stacked, **meta, "asinh_step": ASINH_STEP}, path)


def read_file_data(path: str) -> dict:
    """A `.pt` file of `write_file_data`; images stay on disk until they are used."""
    try:
        data = torch.load(path, mmap=True, weights_only=True)
    except FileNotFoundError:
        raise FileNotFoundError(f"{path} does not exist") from None
    except Exception as error:  # torch raises many kinds for a damaged archive
        raise ValueError(f"{path} is not a complete .pt file: {str(error).splitlines()[0]}") from error
    if not isinstance(data, dict) or "tile_catalog" not in data:
        raise ValueError(f"{path} holds no tile catalogue; clusters_tile_images writes such files")
    return data


def check_same_settings(files: list[dict], names: list[str], wanted: dict) -> None:
    """Refuse `.pt` files of another survey, band list, tile size or binning than `wanted`."""
    for data, name in zip(files, names, strict=True):
        for key, value in wanted.items():
            if data[key] != value:
                raise ValueError(
                    f"{name} was made for {key} = {data[key]}, but clusters: {key} is {value}; tile it again"
                )
