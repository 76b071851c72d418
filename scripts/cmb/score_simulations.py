"""Hold simulated skies against CAMB, the lensing against an independent grid and code, pure B against the truth."""

import numpy as np

from armillary.cmb_spectra import Spectra
from armillary.files import read_arrays, write_arrays, write_json
from armillary.flatsky import square_patch
from armillary.metrics import measurement
from armillary.sky_checks import external_remap, mean_spectra, noise_over_oracle, pure_b, remap_error
from armillary.step import announce, run

PATCH = square_patch(5.0, 128)


def score_simulations(
    spectra: str, fields: list[str], scores: str, curves: str, *, n_boxes: int, n_remapped: int, n_cut: int,
    bin_edges: list[float], seed: int,
) -> None:  # fmt: skip
    """All on skies without noise, 128 pixels over 5 deg; `fields` is empty where the external ones are not at hand."""
    theory = Spectra(**read_arrays(spectra))
    means = mean_spectra(theory, PATCH, n_boxes=n_boxes, edges=bin_edges, seed=seed)
    entries = {
        f"simulations_{name}_over_camb_l{int((low + high) // 2)}": measurement(
            ratio, ratio - error, ratio + error, 4 * n_boxes, "", None, f"{low:g} <= l < {high:g}"
        )
        for name in ("ee", "bb")
        for low, high, ratio, error in zip(bin_edges[:-1], bin_edges[1:], *means[name], strict=True)
    }
    announce(f"spectra over CAMB: {means['ee'][0].round(4)} {means['bb'][0].round(4)}")
    errors = remap_error(theory, PATCH, n_patches=n_remapped, seed=seed)
    note = "rms difference to lensing with 4 x the pixels a side in double precision, over the rms, worst patch"
    entries["simulations_remap_error"] = measurement(max(errors), min(errors), max(errors), n_remapped, "", None, note)
    for (low, high), rho, error in pure_b(theory, PATCH, taper_deg=1.0, n_patches=n_cut, seed=seed):
        key = f"simulations_pure_b_rho_l{low}_{high}"
        entries[key] = measurement(rho, rho - error, rho + error, n_cut, "", None, "noise-free, 1 deg taper")
    entries |= {
        f"simulations_qe_noise_over_pytempura_l{at}": measurement(ratio, note="N0 of kappa, curved sky in the oracle")
        for at, ratio in noise_over_oracle(theory, PATCH).items()
    }
    if fields:
        entries |= {
            f"simulations_external_{name}": measurement(value, n=1) for name, value in external_remap(fields).items()
        }
    write_arrays(curves, edges=np.array(bin_edges), ee=np.array(means["ee"]), bb=np.array(means["bb"]))
    write_json(scores, entries)


if __name__ == "__main__":
    run(score_simulations, snakemake)
