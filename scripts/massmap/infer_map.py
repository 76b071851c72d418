"""Map a field by one method: E mode, B mode, 68 % intervals, samples of the posterior where the method has them."""

import jax
import numpy as np

from armillary.files import read_arrays, write_named_images
from armillary.files_maps import map_header, read_shear_map, write_stack
from armillary.inverse.methods import MEAN_OF_SAMPLES, intervals, reconstruct, set_up_from_files
from armillary.shear_catalogs import turned_by_45_degrees
from armillary.step import announce, run


def infer_map(
    spectrum: str, shear: str, tuned: str, residual: str, score: str, kappa: str, samples: str, *, method: str,
    reduced_shear: bool, settings: dict, shift_spread: float, n_samples: dict[str, int], seed: int,
) -> None:  # fmt: skip
    measured, grid, _ = read_shear_map(shear)
    files = {"spectrum": spectrum, "tuned": tuned, "residual": residual, "score": score}
    n = n_samples.get(method, 0)
    field = set_up_from_files(measured, [method], files, settings, reduced_shear, shift_spread, seed)
    e_mode, drawn = reconstruct(method, measured, field, jax.random.key(seed), n)
    announce(f"{method}: rms of the E mode {e_mode[measured.mask].std():.4f}")
    ends = intervals(method, e_mode, drawn, measured.mask, field)
    turned = turned_by_45_degrees(measured)
    field = set_up_from_files(turned, [method], files, settings, reduced_shear, shift_spread, seed)
    n_b_samples = n if method in MEAN_OF_SAMPLES else 0  # another number would have the chain compiled anew
    b_mode = -reconstruct(method, turned, field, jax.random.key(seed + 1), n_b_samples)[0]
    spread = drawn.std(0) if len(drawn) > 1 else np.zeros(e_mode.shape)
    header = map_header(grid) | {"METHOD": method, "SEED": seed}
    images = {"KAPPA_E": e_mode, "KAPPA_B": b_mode, "SD": spread, "MASK": measured.mask}
    if ends is not None:
        images |= {"KAPPA_LOW": ends[0], "KAPPA_HIGH": ends[1]}
    write_named_images(kappa, [(name, image, header) for name, image in images.items()])
    write_stack(samples, drawn)
    table = read_arrays(spectrum)
    for name in ("multipole", "power"):
        write_stack(samples, table[name], group=name, append=True)


if __name__ == "__main__":
    run(infer_map, snakemake)
