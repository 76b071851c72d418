"""What learned features are held against: principal components, magnitudes and colours, concentrations."""

import numpy as np

from armillary.files import write_arrays
from armillary.files_cutouts import open_cutouts
from armillary.object_photometry import aperture_magnitudes, colour_features
from armillary.principal_components import fit_components, project
from armillary.step import run


def estimate_features(
    train: str, probe: str, features: str, *, bands: list[str], image_px: int, n_components: int, n_fitted: int,
    missing_bands: list[str], n_probe: int | None, seed: int,
) -> None:  # fmt: skip
    """Each of pca, colours and photometry (colours and concentrations) for all objects, and once more, ending in
    _missing, without the `missing_bands`."""
    hidden = [bands.index(band) for band in missing_bands]
    with open_cutouts(train, bands) as file:
        components = fit_components(file, n_components=n_components, n_fitted=n_fitted, image_px=image_px, seed=seed)
    with open_cutouts(probe, bands) as file:
        n_objects = min(len(file), n_probe or len(file))
        found = {
            f"pca{ending}": project(file, components, without, n_objects)
            for ending, without in (("", []), ("_missing", hidden))
        }
        measured = [
            aperture_magnitudes(file.read(first, min(first + 2000, n_objects))) for first in range(0, n_objects, 2000)
        ]
    magnitudes, concentrations = (np.concatenate(parts) for parts in zip(*measured, strict=True))
    for ending in ("", "_missing"):
        if ending:
            magnitudes, concentrations = magnitudes.copy(), concentrations.copy()
            magnitudes[:, hidden] = concentrations[:, hidden] = np.nan
        found[f"colours{ending}"] = colour_features(magnitudes)
        found[f"photometry{ending}"] = colour_features(magnitudes, concentrations)
    write_arrays(features, **{name: values.astype(np.float32) for name, values in found.items()})


if __name__ == "__main__":
    run(estimate_features, snakemake)
