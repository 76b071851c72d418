"""Draw every field of one batch, one FITS image a band, and check a sample of sources against GalSim."""

from concurrent.futures import ProcessPoolExecutor
from functools import partial

import pandas as pd

from armillary.files import read_catalog, read_catalog_meta, write_image, write_json
from armillary.psf import stream
from armillary.render_checks import compare_field
from armillary.rendering import image_header, render_field
from armillary.step import progress, run
from armillary.surveys import survey_constants


def render_images(
    catalogs: list[str],
    images: list[str],
    residuals: str,
    *,
    survey: str,
    bands: list[str],
    image_size: int,
    seed: int,
    engine: str,
    edge_sigma: float,
    strict: bool,
    noise: bool,
    noise_correlation_pixels: float,
    psf_profile: str,
    seeing_scatter: float,
    psf_variation: float,
    psf_cell_px: int,
    psfex_models: list[str] | None,
    n_compared: int,
    threads: int = 1,
) -> None:
    """`images` go field by field, band by band; `residuals` has one entry a compared source."""
    common = {
        "survey": survey,
        "bands": bands,
        "image_size": image_size,
        "edge_sigma": edge_sigma,
        "strict": strict,
        "psf_cell_px": psf_cell_px,
    }
    drawing = {
        "engine": engine,
        "noise": noise,
        "noise_correlation_pixels": noise_correlation_pixels,
        "psf_profile": psf_profile,
        "seeing_scatter": seeing_scatter,
        "psf_variation": psf_variation,
        "psfex_models": psfex_models,
    }
    n_bands, n_fields = len(bands), len(catalogs)
    jobs = [
        (
            catalog,
            images[k * n_bands : (k + 1) * n_bands],
            n_compared // n_fields + (k < n_compared % n_fields),
        )
        for k, catalog in enumerate(catalogs)
    ]
    draw = partial(_draw_field, common=common, drawing=drawing, seed=seed)
    if threads == 1:
        compared = list(progress(map(draw, jobs), "rendered fields", n_items=n_fields))
    else:
        with ProcessPoolExecutor(threads) as pool:
            compared = list(progress(pool.map(draw, jobs), "rendered fields", n_items=n_fields))
    write_json(residuals, {"engine": engine, **pd.concat(compared, ignore_index=True).to_dict("list")})


def _draw_field(job: tuple[str, list[str], int], *, common: dict, drawing: dict, seed: int) -> pd.DataFrame:
    """Draw and write one field; returns its comparison of the two engines."""
    path, images, n_compared = job
    catalog, meta = read_catalog(path), read_catalog_meta(path)
    missing = [key for key in ("field", "ra_deg", "dec_deg") if key not in meta]
    if missing:
        raise ValueError(
            f"{path} has no {missing[0]!r} in its meta line; sample it again (rule clusters_sample_catalog)"
        )
    field = meta["field"]
    drawn, psfs = render_field(catalog, **common, **drawing, seed=seed, field=field, name=path)
    constants = survey_constants(common["survey"])
    for image, band, psf, target in zip(drawn, common["bands"], psfs, images, strict=True):
        header = image_header(
            constants,
            band,
            psf,
            image_size=common["image_size"],
            ra_deg=meta["ra_deg"],
            dec_deg=meta["dec_deg"],
        ) | {"FIELD": field}
        write_image(target, image, header)
    generator = stream(seed, field, "", "sample")
    return compare_field(catalog, psfs, generator, **common, n_compared=n_compared, name=path).assign(field=field)


if __name__ == "__main__":
    run(render_images, snakemake)
