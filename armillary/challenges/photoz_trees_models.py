"""Regression of redshifts: a table of methods and features, the notebook's trees, and a template fit."""

import numpy as np
from scipy.optimize import nnls
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestRegressor
from sklearn.inspection import permutation_importance
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsRegressor
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVR
from sklearn.tree import DecisionTreeRegressor

from armillary.challenges.hst_bands import band_flux
from armillary.challenges.photoz_trees import BANDS

FEATURES = tuple([f"{a}-{b}" for a, b in zip(BANDS[:-1], BANDS[1:], strict=True)] + [f"asinh {band}" for band in BANDS])


def train(variant: str, data: dict[str, np.ndarray], settings: dict, seed: int) -> dict[str, np.ndarray]:
    """Redshifts of the test objects by one method; tuning sees training objects only.

    `<method>_colours` and `<method>_fluxes` are one cell each of a table: every method searches its own grid, learns
    ln(1 + z), and sees the same features as the others of its column. `tree`, `tuned_tree` and `forest` are the
    notebook's: its settings, fluxes and errors, and z.
    """
    train_rows, test_rows = (np.flatnonzero(data["split"] == k) for k in (0, 2))
    truth = {
        "truth": data["z"][test_rows],
        "magnitude": 25 - 2.5 * np.log10(np.maximum(data["flux"][test_rows, -1], 1e-3)),
    }
    if variant == "template_fit":
        return {"prediction": fit_templates(data, train_rows, test_rows), **truth}
    notebook = variant in NOTEBOOK
    x = colours(data) if variant.endswith("_colours") else raw_features(data, train_rows)
    y = data["z"] if notebook else np.log1p(data["z"])
    model = build_model(variant, settings, seed).fit(x[train_rows], y[train_rows])
    guess = model.predict(x[test_rows])
    found = {"prediction": guess if notebook else np.expm1(guess), **truth}
    if variant == "tree":
        found |= depth_curve(x, y, train_rows, test_rows, seed)
    if variant == "forest_colours":
        found |= leaf_distributions(model.best_estimator_, x, data["z"], train_rows, test_rows)
    if variant == "boosting_colours":
        rows = np.flatnonzero(data["split"] == 1)
        importance = permutation_importance(model, x[rows], y[rows], n_repeats=5, random_state=seed)
        found |= {"importance": importance.importances_mean, "features": np.array(FEATURES)}
    return found


NOTEBOOK = {
    "tree": lambda n_trees, seed: DecisionTreeRegressor(random_state=seed),
    "tuned_tree": lambda n_trees, seed: DecisionTreeRegressor(
        max_depth=7, min_samples_leaf=15, min_samples_split=25, random_state=seed
    ),
    "forest": lambda n_trees, seed: RandomForestRegressor(
        n_trees, max_depth=15, min_samples_leaf=5, min_samples_split=15, random_state=seed
    ),
}
GRIDS = {
    "linear": {"alpha": np.logspace(-4, 3, 15)},
    "neighbours": {"n_neighbors": [3, 6, 12, 25]},
    "forest": {"min_samples_leaf": [2, 3, 6]},
    "boosting": {"max_leaf_nodes": [8, 15]},
    "svr": {"C": [1, 10, 30], "gamma": [0.01, 0.03, 0.1, 0.3, 1.0]},
    "mlp": {"alpha": [1e-3, 1e-1]},
}


def build_model(variant: str, settings: dict, seed: int):
    """An unfitted regressor: the notebook's, or one that searches its grid by folds of the training objects."""
    n_trees, folds = settings["n_trees"], settings["n_folds"]
    if variant in NOTEBOOK:
        return NOTEBOOK[variant](n_trees, seed)
    method = variant.rpartition("_")[0]
    model = {
        "linear": Ridge(),
        "neighbours": KNeighborsRegressor(weights="distance"),
        "forest": RandomForestRegressor(n_trees, max_features=0.5, random_state=seed),
        "boosting": HistGradientBoostingRegressor(max_iter=150, learning_rate=0.06, random_state=seed),
        "svr": SVR(epsilon=0.05),
        "mlp": MLPRegressor(
            hidden_layer_sizes=(64, 64), learning_rate_init=3e-3, max_iter=200, early_stopping=True, random_state=seed
        ),
    }[method]
    grid = GRIDS[method]
    if method not in ("forest", "boosting"):  # trees do not mind scales
        grid = {f"model__{key}": values for key, values in grid.items()}
        model = Pipeline([("scale", StandardScaler()), ("model", model)])
    return GridSearchCV(model, grid, cv=folds, scoring="neg_mean_squared_error")


def raw_features(data, train_rows) -> np.ndarray:
    """Fluxes and errors (n, 10) as the notebook has them; missing ones are the median of the training objects."""
    x = np.column_stack([data["flux"], data["error"]])
    return np.where(np.isnan(x), np.nanmedian(x[train_rows], 0), x)


def colours(data) -> np.ndarray:
    """FEATURES (n, 9): arcsinh magnitudes (Lupton et al. 1999), which negative fluxes have, and differences."""
    error = np.nanmedian(data["error"], 0)
    scaled = np.arcsinh(np.where(np.isnan(data["flux"]), 0, data["flux"]) / (2 * error))
    whole = scaled + np.log(2 * error)
    return np.column_stack([whole[:, 1:] - whole[:, :-1], scaled])


def depth_curve(x, y, train_rows, test_rows, seed) -> dict[str, np.ndarray]:
    """Error of a tree on what it learned from and on what it did not, against its depth."""
    depths = np.array([1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 15, 20, 30])
    errors = []
    for depth in depths:
        model = DecisionTreeRegressor(max_depth=depth, random_state=seed).fit(x[train_rows], y[train_rows])
        errors.append([np.mean((model.predict(x[rows]) - y[rows]) ** 2) for rows in (train_rows, test_rows)])
    return {"depths": depths, "depth_errors": np.array(errors)}


def leaf_distributions(model, x, z, train_rows, test_rows) -> dict[str, np.ndarray]:
    """Quantile forest (Meinshausen 2006): training objects that share leaves with a test object, weighted, are its
    distribution. Gives the probability integral transform and the CRPS in z of each test object."""
    leaves, order = model.apply(x[train_rows]), np.argsort(z[train_rows])
    leaves, known = leaves[order], z[train_rows][order]
    pit, crps = [], []
    for own, truth in zip(model.apply(x[test_rows]), z[test_rows], strict=True):
        same = leaves == own
        weight = (same / same.sum(0)).mean(1)
        cumulative = np.cumsum(weight)
        pit.append(weight[known < truth].sum())
        spread = np.sum(cumulative[:-1] * (1 - cumulative[:-1]) * np.diff(known))  # half of E|X - X'|
        crps.append(weight @ np.abs(known - truth) - spread)
    return {"pit": np.array(pit), "crps": np.array(crps)}


def fit_templates(data, train_rows, test_rows, z_step: float = 0.015) -> np.ndarray:
    """Redshifts by non-negative sums of the survey's templates (Brammer et al. 2008), where the data come with them;
    z_peak where a catalogue has it. Zero points, and the prior in redshift at a magnitude, come from the training
    objects; the answer is the mean of ln(1 + z), as the other methods are fitted to it.
    """
    if np.isfinite(data["z_peak"]).all():
        return data["z_peak"][test_rows]
    if "tempsed" not in data:
        raise ValueError("these data have no templates and no z_peak: leave template_fit out of the variants")
    ln_grid = np.arange(np.log(1.02), np.log(6.0), z_step)
    models = np.stack([template_fluxes(data, z) for z in np.expm1(ln_grid)])  # (n_z, n_templates, 5)
    flux, error = data["flux"], np.hypot(data["error"], 0.02 * np.abs(data["flux"]))
    ln_z = np.log1p(data["z"][train_rows])
    zero_points = np.ones(len(BANDS))
    for _ in range(2):
        ratio = []
        for row in train_rows[:300]:
            model = models[np.argmin(np.abs(ln_grid - np.log1p(data["z"][row])))] / zero_points
            ratio.append(nnls((model / error[row]).T, flux[row] / error[row])[0] @ model / flux[row])
        zero_points = zero_points * np.median(ratio, 0)
    models = models / zero_points
    magnitude = -2.5 * np.log10(np.maximum(flux[:, -1], 1e-3))
    kernel = np.exp(-0.5 * ((ln_grid[:, None] - ln_z) / 0.05) ** 2)  # (n_z, n_train)

    def mean_of(row):
        chi2 = np.array([nnls((model / error[row]).T, flux[row] / error[row])[1] ** 2 for model in models])
        prior = kernel @ np.exp(-0.5 * ((magnitude[row] - magnitude[train_rows]) / 0.4) ** 2) + 1e-3
        chance = prior * np.exp(-0.5 * (chi2 - chi2.min()))
        return np.expm1(chance @ ln_grid / chance.sum())

    return np.array([mean_of(row) for row in test_rows])


def template_fluxes(data, z: float) -> np.ndarray:
    """Template fluxes (n_templates, 5) at redshift z, dimmed between Lyman alpha and the limit."""
    wave, at = data["templam"], np.searchsorted(data["zgrid"], z).clip(0, len(data["zgrid"]) - 1)
    dimming = np.where(
        (wave < 1216) & (wave > 1026), 1 - data["da"][at], np.where(wave <= 1026, 1 - data["db"][at], 1.0)
    )
    seds = data["tempsed"] * np.where(wave < 912, 0.0, dimming) * (wave * (1 + z) / 5500) ** 2 / (1 + z) ** 2
    return band_flux(wave, seds, z)
