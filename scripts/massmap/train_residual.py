"""Train what is added to a Wiener map, a network and two regressions, on skies with the field's mask and noise."""

import numpy as np

from armillary.convergence import mean_free
from armillary.convergence_skies import observed
from armillary.files import read_arrays, write_arrays, write_json
from armillary.files_maps import read_shear_map, read_stack
from armillary.fingerprints import fingerprint
from armillary.inverse.local_network import Kept
from armillary.inverse.residual import residual_features
from armillary.inverse.residual import train_residual as train
from armillary.inverse.wiener import data_of, unreduced, wiener_map, wiener_problem
from armillary.step import progress, run


def train_residual(
    spectrum: str, shear: str, train_skies: str, validation_skies: str, code: list[str], weights: str, history: str,
    *, reduced_shear: bool, n_hidden: int, n_steps: int, n_trainings: int, learning_rate: float, seed: int,
    work_file: str,
) -> None:  # fmt: skip
    like, _, _ = read_shear_map(shear)
    table = read_arrays(spectrum)
    problem = wiener_problem(table["multipole"], table["power"], like.sigma1, like.sigma2, like.mask, like.pixel_arcmin)
    stacks = [read_stack(train_skies), read_stack(validation_skies)]
    features, lacking = [], []
    for k, sky in enumerate(progress(np.concatenate(stacks), "Wiener maps")):
        data = observed(sky, like, np.random.default_rng([seed, 21, k]))
        data, its_problem = unreduced(data, problem) if reduced_shear else (data, problem)
        wiener = np.asarray(wiener_map(its_problem, *data_of(data))[0], float)
        features.append(residual_features(wiener, data))
        lacking.append((mean_free(sky[0], like.mask) - mean_free(wiener, like.mask))[like.mask].astype(np.float32))
    facts = {
        "n_hidden": n_hidden,
        "n_steps": n_steps,
        "n_trainings": n_trainings,
        "learning_rate": learning_rate,
        "seed": seed,
        "reduced": reduced_shear,
    }
    kept = Kept(
        work_file, fingerprint(facts, contents=[*code, spectrum, shear, train_skies, validation_skies], stamped=[])
    )
    found, rows = train(
        features,
        lacking,
        len(stacks[1]),
        n_hidden=n_hidden,
        n_steps=n_steps,
        n_trainings=n_trainings,
        learning_rate=learning_rate,
        seed=seed,
        kept=kept,
    )
    write_arrays(weights, **found)
    write_json(history, rows)


if __name__ == "__main__":
    run(train_residual, snakemake)
