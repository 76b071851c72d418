"""Time the k-space engine against GalSim's per-object loop, and measure what it leaves out."""

import time

import numpy as np

from armillary.dense_sky import sample_dense_sky
from armillary.files import write_json
from armillary.kspace import add_sources
from armillary.metrics import measurement
from armillary.psf import sample_psf
from armillary.render_checks import compare_engines, corner_residual
from armillary.rendering import add_sources_one_by_one, catalog_sources, field_scene, plan_field
from armillary.step import announce, run
from armillary.surveys import survey_constants


def compare_renderers(
    benchmark: str,
    *,
    n_sources: int,
    image_size: int,
    band: str,
    edge_sigma: float,
    n_pairs: int,
    corner_px: int,
    n_compared: int,
    seed: int,
) -> None:
    """Each pair times the whole image by the engine and 1 / n_pairs of its sources by the loop."""
    des, generator = survey_constants("des"), np.random.default_rng(seed)
    sources = catalog_sources(sample_dense_sky(n_sources, image_size, generator), [band], image_size, "the test sky")
    scene = field_scene(sources, des, image_size, image_size)
    inside = np.flatnonzero((sources.x < corner_px) & (sources.y < corner_px))
    some, results = generator.choice(n_sources, n_compared, replace=False), {}
    for profile in ("kolmogorov", "moffat"):
        psf = sample_psf(
            des,
            band,
            image_size=image_size,
            seed=seed,
            field=0,
            psf_profile=profile,
            seeing_scatter=0.0,
            psf_variation=0.0,
        )

        def draw(strict: bool, rows=slice(None), psf=psf):
            part = scene.part(rows)
            image = np.zeros((1, image_size, image_size), np.float32)
            plan = plan_field(part.sources, des, [band], [psf], edge_sigma, strict)
            add_sources(image, part, plan, [psf])
            return image[0], plan

        def compare(strict: bool, psf=psf, draw=draw):
            return compare_engines(scene, 0, psf, draw(strict)[1], some, sky_sigma=des.sky_sigma[band])

        loop, ratio, strict_ratio = _time_pairs(scene, psf, draw, n_pairs, generator)
        base = f"render_loop_sources_per_s_{profile}"
        results[base] = _summary(loop, "1/s", None, f"one drawImage a source, {profile} PSF, one core")
        note = f"edge {edge_sigma} sky sigma; {n_sources} sources in {image_size} px, one band, one core"
        results[f"render_speedup_{profile}"] = _summary(ratio, "ratio", base, note)
        results[f"render_strict_speedup_{profile}"] = _summary(strict_ratio, "ratio", base, "strict mode")
        residual, n = corner_residual(draw(False, inside)[0], scene, 0, psf, draw(False)[1].size, corner_px)
        results[f"render_max_residual_sigma_{profile}"] = measurement(
            residual / des.sky_sigma[band],
            n=n,
            unit="sky sigma",
            note=f"largest in a blended corner of {corner_px} px",
        )
        results[f"render_flux_error_{profile}"] = measurement(
            compare(False).flux_error.max(), n=n_compared, unit="relative", note="largest over random sources"
        )
        results[f"render_strict_residual_peak_{profile}"] = measurement(
            compare(True).residual_peak.max(),
            n=n_compared,
            unit="of own peak",
            note="largest over random sources",
        )
    for key in ("render_strict_speedup", "render_strict_residual_peak"):
        results[key] = results[f"{key}_kolmogorov"]
    write_json(benchmark, results)


def _time_pairs(scene, psf, draw, n_pairs: int, generator) -> np.ndarray:
    """Sources a CPU second by the loop, engine over loop, strict engine over loop: (3, n_pairs)."""
    draw(False), draw(True)  # compiles and fills tables
    lines, image = [], np.zeros((scene.image_size, scene.image_size), np.float32)
    for rows in np.array_split(generator.permutation(scene.cell.size), n_pairs):
        marks = [time.process_time()]
        for work in (
            lambda rows=rows: add_sources_one_by_one(image, scene, 0, psf, rows=rows),
            lambda: draw(False),
            lambda: draw(True),
        ):
            work()
            marks.append(time.process_time())
        loop, engine, strict = np.diff(marks)
        rate = rows.size / loop
        lines.append((rate, scene.cell.size / engine / rate, scene.cell.size / strict / rate))
        announce(f"{psf.profile}: loop {rate:.0f}/s, engine {lines[-1][1]:.1f} x, strict {lines[-1][2]:.1f} x")
    return np.array(lines).T


def _summary(values: np.ndarray, unit: str, baseline: str | None, note: str) -> dict:
    """Median and 68 % range of the pairs."""
    low, middle, high = np.quantile(values, (0.16, 0.5, 0.84))
    return measurement(middle, low, high, values.size, unit, baseline, f"{note}; CPU s, median of alternated pairs")


if __name__ == "__main__":
    run(compare_renderers, snakemake)
