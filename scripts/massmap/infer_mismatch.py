"""Map skies that differ from those that were learned from, by methods that do not know: other shifts, Gaussian skies,
another amplitude; and skies of the same kind, to compare with.
"""

import jax
import numpy as np

from armillary.convergence_skies import MISMATCHES, SkyModel, draw_field, mismatched, observed
from armillary.files import read_arrays
from armillary.files_maps import read_shear_map, write_stack
from armillary.inverse.methods import MEAN_OF_SAMPLES, intervals, reconstruct, set_up_from_files
from armillary.step import progress, run


def infer_mismatch(
    spectrum: str, shear: str, tuned: str, residual: str, score: str, maps: str, *, methods: list[str], reduced_shear:
    bool, settings: dict, sky: str, shift_spread: float, margin_px: int, n_skies: int, n_sampled: int, n_samples: int,
    seed: int,
) -> None:  # fmt: skip
    like, _, _ = read_shear_map(shear)
    files = {"spectrum": spectrum, "tuned": tuned, "residual": residual, "score": score}
    field = set_up_from_files(like, methods, files, settings, reduced_shear, shift_spread, seed)
    table = read_arrays(spectrum)
    model = SkyModel(table["multipole"], table["power"], sky, float(table["shift"]), like.pixel_arcmin)
    append = False
    for kind in progress(MISMATCHES, "kinds of skies"):
        truths, found, ends = [], {method: [] for method in methods}, {method: [] for method in methods}
        for k in range(n_skies):
            rng = np.random.default_rng([seed, 53, k])  # the same white noise for every kind
            truth = draw_field(mismatched(model, kind), like.mask.shape, margin_px, reduced_shear, rng)
            data, key = observed(truth, like, rng), jax.random.fold_in(jax.random.key(seed + 3), k)
            truths.append(truth[0])
            for method in methods:
                if method in MEAN_OF_SAMPLES and k >= n_sampled:
                    continue
                kappa, samples = reconstruct(method, data, field, key, n_samples if method in MEAN_OF_SAMPLES else 0)
                its_ends = intervals(method, kappa, samples, like.mask, field)
                found[method].append(kappa)
                ends[method] += [] if its_ends is None else [its_ends]
        write_stack(maps, np.array(truths), group=f"{kind}_truth", append=append)
        append = True
        for method in methods:
            write_stack(maps, np.array(found[method]), group=f"{kind}_{method}", append=True)
            write_stack(maps, np.array(ends[method]), group=f"{kind}_{method}_intervals", append=True)


if __name__ == "__main__":
    run(infer_mismatch, snakemake)
