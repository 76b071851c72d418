"""Time a compressed tile's way to its windows against read + cat + unfold + reshape, in fresh processes by
turns.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from armillary.des import tile_file_name, tile_header
from armillary.files import write_compressed_image, write_json
from armillary.step import announce, run

TILE = "DES0000+0000"
SKY_SIGMA = {"g": 2.01, "r": 2.64, "i": 4.60, "z": 8.76}


def compare_windows(
    metrics: str,
    *,
    image_size: int,
    window_size: int,
    min_overlap: int,
    n_repeats: int,
    seed: int,
    threads: int,
) -> None:
    """Write `metrics`: speed-up, memory ratio and equality of windows of a simulated tile of noise."""
    with tempfile.TemporaryDirectory(dir=Path(metrics).parent) as folder:
        paths, small = (_write_noise_tile(Path(folder) / str(size), size, seed) for size in (image_size, 64))
        settings = {
            "paths": paths,
            "small_paths": small,
            "window_size": window_size,
            "min_overlap": min_overlap,
            "n_threads": threads,
        }
        checked = {way: _in_fresh_process(way=way, check=True, **settings) for way in ("strips", "whole")}
        timed = {"whole": [], "strips": []}
        for repeat in range(n_repeats):
            for way in ("whole", "strips"):
                timed[way].append(_in_fresh_process(way=way, check=False, **settings))
            announce(
                f"pair {repeat + 1}/{n_repeats}: {timed['whole'][-1]['seconds']:.2f} s against "
                f"{timed['strips'][-1]['seconds']:.2f} s"
            )
    identical = checked["whole"]["checksums"] == checked["strips"]["checksums"]
    write_json(metrics, summarise(timed, identical, image_size, threads))


def summarise(timed: dict[str, list[dict]], identical: bool, image_size: int, threads: int) -> dict:
    """The metrics form; ratios are medians over the pairs of neighbouring runs, with their 68 % range."""

    def entry(values, unit: str, note: str, baseline: str | None = None) -> dict:
        lo, middle, hi = np.percentile(values, [16, 50, 84])
        return {
            "value": middle,
            "lo": lo,
            "hi": hi,
            "n": len(values),
            "unit": unit,
            "baseline": baseline,
            "note": note,
        }

    runs = {
        way: {key: np.array([one[key] for one in ones], float) for key in ("seconds", "cpu_seconds", "peak_bytes")}
        for way, ones in timed.items()
    }
    whole, strips = runs["whole"], runs["strips"]
    what = f"{timed['whole'][0]['n_windows']} windows of 4 x {image_size}^2 px (Rice), {threads} threads"
    return {
        "tile_windows_speedup": entry(whole["seconds"] / strips["seconds"], "ratio", f"wall, imports excluded; {what}"),
        "tile_windows_memory_ratio": entry(strips["peak_bytes"] / whole["peak_bytes"], "ratio", "peak RSS of process"),
        "tile_windows_identical": entry([float(identical)], "bool", "CRC-32 of every window, both ways"),
        "tile_windows_seconds": entry(strips["seconds"], "s", what, "tile_windows_whole_seconds"),
        "tile_windows_whole_seconds": entry(whole["seconds"], "s", "astropy, cat, unfold, unfold, reshape"),
        "tile_windows_cpu_seconds": entry(strips["cpu_seconds"], "s", what, "tile_windows_whole_cpu_seconds"),
        "tile_windows_whole_cpu_seconds": entry(whole["cpu_seconds"], "s", "astropy, cat, unfold, unfold, reshape"),
        "tile_windows_peak_gb": entry(strips["peak_bytes"] / 1e9, "GB", what, "tile_windows_whole_peak_gb"),
        "tile_windows_whole_peak_gb": entry(whole["peak_bytes"] / 1e9, "GB", "astropy, cat, unfold, unfold, reshape"),
    }


def _write_noise_tile(folder: Path, image_size: int, seed: int) -> list[str]:
    folder.mkdir()
    paths = []
    for number, (band, sigma) in enumerate(SKY_SIGMA.items()):
        rng = np.random.default_rng([seed, number])
        image = rng.standard_normal((image_size, image_size), dtype=np.float32)
        image *= np.float32(sigma)
        paths.append(str(folder / tile_file_name(TILE, band)))
        write_compressed_image(paths[-1], image, tile_header(TILE, band, image_size))
    return paths


def _in_fresh_process(**settings) -> dict:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    command = [sys.executable, "-m", "armillary.window_timing", json.dumps(settings)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"timing of {settings['way']!r} failed: {done.stderr.strip().splitlines()[-1]}")
    return json.loads(done.stdout)


if __name__ == "__main__":
    run(compare_windows, snakemake)
