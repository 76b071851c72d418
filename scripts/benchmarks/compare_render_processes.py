"""Time whole processes, start to file: five bands and noise by Armillary, one by the `galsim` command."""

import os
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

import armillary.files
from armillary.dense_sky import sample_dense_sky
from armillary.files import write_catalog, write_json
from armillary.metrics import measurement
from armillary.step import announce, run
from armillary.surveys import survey_constants

BANDS = "grizY"
PROCESS = """
import sys
from armillary.files import read_catalog, write_image
from armillary.rendering import render_field
catalog, target, n_images, image_size, edge_sigma = sys.argv[1:]
for field in range(int(n_images)):
    images, _ = render_field(
        read_catalog(catalog), survey="des", bands=[*"grizY"], image_size=int(image_size), seed=1,
        field=field, edge_sigma=float(edge_sigma), psf_variation=0.0, psf_cell_px=int(image_size),
    )
    write_image(target, images, {"MAGZERO": 30.0})
"""


def compare_render_processes(
    benchmark: str,
    *,
    n_sources: int,
    image_size: int,
    band: str,
    edge_sigma: float,
    n_pairs: int,
    n_more_images: int,
    seed: int,
) -> None:
    """Wall seconds of alternated processes; `n_more_images` give the cost of a further image."""
    with TemporaryDirectory(dir=Path(benchmark).parent) as name:
        folder = Path(name)
        catalog = sample_dense_sky(n_sources, image_size, np.random.default_rng(seed))
        # What the command line tells sources apart by: 0 star, 1 exponential, 2 de Vaucouleurs, 3 both.
        kind = np.select([catalog.HLR == 0, catalog.FRACDEV == 0, catalog.FRACDEV == 1], [0, 1, 2], 3)
        table = catalog.assign(KIND=kind, FITS_X=catalog.X + 0.5, FITS_Y=catalog.Y + 0.5, FRACEXP=1 - catalog.FRACDEV)
        write_catalog(str(folder / "sky.dat"), table)
        np.savetxt(folder / "sky.txt", table.to_numpy(), fmt="%.9g")
        write_json(str(folder / "galsim.json"), _galsim_settings(table, band, image_size, folder))
        ours = [sys.executable, "-c", PROCESS, str(folder / "sky.dat"), str(folder / "ours.fits")]
        theirs = [str(Path(sys.executable).with_name("galsim")), str(folder / "galsim.json")]
        sizes = [str(image_size), str(edge_sigma)]
        _seconds([*ours, "1", *sizes])  # fills numba's cache on disk, as any earlier run would have
        lines = []
        for _ in range(n_pairs):
            one, many = (_seconds([*ours, str(n), *sizes]) for n in (1, 1 + n_more_images))
            lines.append((_seconds(theirs), one, (many - one) / n_more_images))
            announce(
                "galsim {:.2f} s a band; ours {:.2f} s for five bands, {:.2f} s a further image".format(*lines[-1])
            )
    theirs_s, first_s, further_s = np.array(lines).T
    write_json(
        benchmark,
        {
            "render_process_galsim_s": _summary(
                theirs_s, "s", None, f"`galsim`, {n_sources} sources, one band, noise, file"
            ),
            "render_process_first_s": _summary(first_s, "s", None, "Armillary, five bands, noise, file"),
            "render_process_marginal_s": _summary(
                further_s, "s", None, "a further five-band image in the same process"
            ),
            "render_process_first_ratio": _summary(
                5 * theirs_s / first_s, "ratio", "render_process_galsim_s", "a band-image"
            ),
            "render_process_marginal_ratio": _summary(
                5 * theirs_s / further_s, "ratio", "render_process_galsim_s", "a band-image"
            ),
        },
    )


def _galsim_settings(table, band: str, image_size: int, folder: Path) -> dict:
    """The same sky, profiles, seeing and noise as settings of the `galsim` command."""
    des = survey_constants("des")

    def column(name: str, kind: str = "Catalog") -> dict:
        return {"type": kind, "col": table.columns.get_loc(name)}

    shear = {"type": "G1G2", "g1": column("G1"), "g2": column("G2")}
    exponential = {"type": "Exponential", "half_light_radius": column("HLR"), "shear": shear}
    de_vaucouleurs = {"type": "DeVaucouleurs", "half_light_radius": column("HLR"), "shear": shear}
    parts = [{**exponential, "flux": column("FRACEXP")}, {**de_vaucouleurs, "flux": column("FRACDEV")}]
    profiles = [{"type": "DeltaFunction"}, exponential, de_vaucouleurs, {"type": "Sum", "items": parts}]
    return {
        "input": {"catalog": {"file_name": str((folder / "sky.txt").resolve())}},
        "gal": {
            "type": "List",
            "items": profiles,
            "index": column("KIND"),
            "flux": column(f"FLUX_{band.upper()}"),
        },
        "psf": {"type": "Kolmogorov", "fwhm": des.psf_fwhm_arcsec[band]},
        "image": {
            "type": "Scattered",
            "size": image_size,
            "pixel_scale": des.pixel_arcsec,
            "nobjects": len(table),
            "image_pos": {"type": "XY", "x": column("FITS_X"), "y": column("FITS_Y")},
            "random_seed": 1,
            "noise": {"type": "Gaussian", "sigma": des.sky_sigma[band]},
            "nproc": 1,
        },
        "output": {"file_name": str((folder / "theirs.fits").resolve())},
    }


def _seconds(command: list[str]) -> float:
    """Wall time of a process on one thread; its error output if it fails."""
    house = str(Path(armillary.files.__file__).parents[1])
    start = time.perf_counter()
    done = subprocess.run(
        command,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": house},
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise RuntimeError(f"{Path(command[0]).name} failed: {done.stderr.strip().splitlines()[-1]}")
    return time.perf_counter() - start


def _summary(values: np.ndarray, unit: str, baseline: str | None, note: str) -> dict:
    low, middle, high = np.quantile(values, (0.16, 0.5, 0.84))
    return measurement(middle, low, high, values.size, unit, baseline, f"{note}; wall, one thread, alternated")


if __name__ == "__main__":
    run(compare_render_processes, snakemake)
