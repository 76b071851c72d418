"""Put real DECam exposures through the readers and the encoder: a check on real pixels, not a measurement."""

from pathlib import Path

import numpy as np
import torch

from armillary.des import PIXEL_ARCSEC, estimate_sky_sigma
from armillary.exposures import common_grid, read_exposure, resample
from armillary.files import write_json
from armillary.inference import check_fits, raw_windows, read_encoder, readable
from armillary.step import announce, run


def infer_exposures(
    exposures: list[str],
    checkpoint: str,
    summary: str,
    *,
    survey: str,
    bands: list[str],
    image_size: int,
    zero_points: dict,
    class_prior: str,
    threads: int,
) -> None:
    """`exposures` are the files of one field: image, weight, mask and sky of each band. A band without one is
    missing.
    """
    torch.set_num_threads(threads)
    encoder = read_encoder(checkpoint)
    check_fits(encoder, checkpoint, survey=survey, bands=bands, image_size=image_size)
    images = sorted(path for path in exposures if "_ooi_" in Path(path).name and len(Path(path).suffixes) == 2)
    read = [_read(path, exposures, zero_points) for path in images]
    by_band = {exposure.band: exposure for exposure in read}
    wcs = common_grid(read, image_size, PIXEL_ARCSEC)
    window = np.full((1, len(bands), image_size, image_size), np.nan, np.float32)
    sky_sigma = np.full(len(bands), np.nan)
    record = {}
    for index, band in enumerate(bands):
        if band not in by_band:
            record[band] = {"present": False}
            continue
        exposure = by_band[band]
        window[0, index] = resample(exposure, wcs, image_size)
        sky_sigma[index] = estimate_sky_sigma(exposure.image)
        record[band] = {
            "present": True,
            "shape": list(exposure.image.shape),
            "exposure_seconds": exposure.exposure_seconds,
            "seeing_arcsec": exposure.fwhm_arcsec,
            "sky_counts": exposure.sky_counts,
            "sky_sigma": sky_sigma[index],
            "n_valid_pixels": int(np.isfinite(window[0, index]).sum()),
        }
        announce(f"{band}: {record[band]}")
    prediction = readable(encoder, raw_windows(encoder, window, sky_sigma), class_prior=class_prior)
    probability = prediction["probability"][0]
    tile = encoder.tile_size
    seen = np.isfinite(window[0]).any(0).reshape(len(probability), tile, -1, tile).any((1, 3))
    values = {
        name: {"min": float(v.min()), "mean": float(v.mean()), "max": float(v.max())}
        for name, v in (("tiles_with_pixels", probability[seen]), ("all_tiles", probability))
    }
    write_json(
        summary,
        {
            "bands": record,
            "valid_fraction": float(np.isfinite(window).mean()),
            "probability": values,
            "finite": bool(np.isfinite(probability).all()),
            "tiles": list(probability.shape),
        },
    )


def _read(image: str, files: list[str], zero_points: dict):
    """One exposure with its weight, mask and, if it is there, sky spline."""
    weight, mask = (image.replace("_ooi_", f"_{kind}_") for kind in ("oow", "ood"))
    missing = [path for path in (weight, mask) if path not in files]
    if missing:
        raise FileNotFoundError(f"{image} comes without {', '.join(missing)} (infer_exposures: exposures)")
    stem = Path(image).name.removesuffix(".fits").replace(".", "-")
    sky = next((path for path in files if Path(path).name == f"{stem}-splinesky.fits"), None)
    return read_exposure(image, weight, mask, sky, zero_points=zero_points, pixel_arcsec=PIXEL_ARCSEC)


if __name__ == "__main__":
    run(infer_exposures, snakemake)
