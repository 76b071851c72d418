"""Train the neural prior of convergence by denoising periodic skies, without any mask or survey noise."""

import numpy as np

from armillary.convergence_skies import SkyModel, draw_convergence, with_drawn_shift
from armillary.files import read_arrays, write_arrays, write_json
from armillary.fingerprints import fingerprint
from armillary.inverse.local_network import Kept
from armillary.inverse.score import train_score as train
from armillary.step import run


def train_score(
    spectrum: str, code: list[str], weights: str, history: str, *, sky: str, shift_spread: float, pixel_arcmin:
    float, sky_size_px: int, n_skies: int, n_hidden: int, n_steps: int, learning_rate: float, seed: int, work_file: str,
) -> None:  # fmt: skip
    table = read_arrays(spectrum)
    model = SkyModel(table["multipole"], table["power"], sky, float(table["shift"]), pixel_arcmin)
    n_validation = max(n_skies // 10, 8)
    rngs = [np.random.default_rng([seed, 31, k]) for k in range(n_skies + n_validation)]
    skies = [
        draw_convergence(with_drawn_shift(model, shift_spread, rng), sky_size_px, rng).astype(np.float32)
        for rng in rngs
    ]
    facts = {
        "sky": sky,
        "shift_spread": shift_spread,
        "pixel": pixel_arcmin,
        "size": sky_size_px,
        "n_skies": n_skies,
        "n_hidden": n_hidden,
        "n_steps": n_steps,
        "learning_rate": learning_rate,
        "seed": seed,
    }
    kept = Kept(work_file, fingerprint(facts, contents=[*code, spectrum], stamped=[]))
    found, rows = train(
        np.array(skies), table["multipole"], table["power"], pixel_arcmin, n_validation=n_validation, n_hidden=n_hidden,
        n_steps=n_steps, learning_rate=learning_rate, seed=seed, kept=kept,
    )  # fmt: skip
    write_arrays(weights, **found)
    write_json(history, rows)


if __name__ == "__main__":
    run(train_score, snakemake)
