"""What learned features are held against: principal components, magnitudes and colours, concentrations, shapes."""

from collections.abc import Callable

import numpy as np

from armillary.cutout_views import views_of
from armillary.cutouts import Cutouts
from armillary.field_splits import fields_that_judge, rows_that_judge
from armillary.files import write_arrays
from armillary.files_cutouts import CutoutFile, open_cutouts, write_embeddings
from armillary.object_shapes import shape_facts
from armillary.principal_components import Components, fit_components
from armillary.simple_features import SIMPLE, simple_features
from armillary.step import run

ROWS_AT_ONCE = 1000


def estimate_features(
    train: str, probe: str, structures: list[str], features: str, shapes: str, *, bands: list[str], image_px: int,
    n_components: int, n_fitted: int, missing_bands: list[str], worse_seeing_arcsec: float, n_probe: int | None,
    n_tuning: int, n_seeds: int, test_fraction: float, cell_deg: float, seed: int,
) -> None:  # fmt: skip
    """pca, colours, photometry (colours and concentrations) and shapes of all probe objects; names that end in _missing
    and _seeing are of those that judge, seen otherwise, in _tuning of training objects, in _structures of those."""
    views = views_of(missing_bands, worse_seeing_arcsec, seed)
    with open_cutouts(train, bands) as file:
        components = fit_components(file, n_components=n_components, n_fitted=n_fitted, image_px=image_px, seed=seed)
        found = {"_tuning": _measured(file, np.arange(min(n_tuning, len(file))), components)}
    with open_cutouts(probe, bands) as file:
        columns = {name: values[:n_probe] for name, values in file.columns().items()}
        n_objects = len(columns["ra"])
        found[""] = _measured(file, np.arange(n_objects), components)
        judging = rows_that_judge(*fields_that_judge(columns, cell_deg, test_fraction, n_seeds, seed))
        for view, change in views.items():
            seen = _measured(file, judging, components, change)
            found[f"_{view}"] = {name: _placed(values, judging, n_objects) for name, values in seen.items()}
    for path in structures:
        with open_cutouts(path, bands) as file:
            found["_structures"] = _measured(file, np.arange(len(file)), components)
    arrays = {f"{name}{ending}": values for ending, of in found.items() for name, values in of.items()}
    write_arrays(features, **{name: values.astype(np.float32) for name, values in arrays.items()})
    write_embeddings(shapes, arrays["shapes"], columns | {"search": arrays["shapes"]}, shape_facts(bands, image_px))


def _measured(
    file: CutoutFile, rows: np.ndarray, components: Components, change: Callable[[Cutouts], Cutouts] | None = None
) -> dict[str, np.ndarray]:
    """The features SIMPLE of some rows (ascending) of a file, seen through `change` if there is one."""
    parts = {name: [] for name in SIMPLE}
    for first in range(0, len(file), ROWS_AT_ONCE):
        wanted = rows[(rows >= first) & (rows < first + ROWS_AT_ONCE)]
        if len(wanted):
            cutouts = file.read(first, min(first + ROWS_AT_ONCE, len(file)), with_columns=False).rows(wanted - first)
            cutouts = cutouts if change is None else change(cutouts)
            for name, values in simple_features(cutouts, components).items():
                parts[name].append(values)
    return {name: np.concatenate(values) for name, values in parts.items()}


def _placed(values: np.ndarray, rows: np.ndarray, n_rows: int) -> np.ndarray:
    """Values in their rows of an array of `n_rows`, NaN in the others."""
    placed = np.full((n_rows, values.shape[1]), np.nan, np.float32)
    placed[rows] = values
    return placed


if __name__ == "__main__":
    run(estimate_features, snakemake)
