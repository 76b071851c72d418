"""Regression of redshifts: trees, forests, boosting, support vectors, neighbours, and a template fit."""

import numpy as np
from scipy.optimize import nnls
from sklearn.ensemble import ExtraTreesRegressor, HistGradientBoostingRegressor, RandomForestRegressor
from sklearn.inspection import permutation_importance
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVR
from sklearn.tree import DecisionTreeRegressor

from armillary.challenges.photoz_trees import BAND_EDGES_A, BANDS

FEATURES = tuple([f"{a}-{b}" for a, b in zip(BANDS[:-1], BANDS[1:], strict=True)] + [f"asinh {band}" for band in BANDS])


def train(variant: str, data: dict[str, np.ndarray], settings: dict, seed: int) -> dict[str, np.ndarray]:
    """Redshifts of the test objects by one method; tuning sees training objects only."""
    train_rows, test_rows = (np.flatnonzero(data["split"] == k) for k in (0, 2))
    truth = {
        "truth": data["z"][test_rows],
        "magnitude": 25 - 2.5 * np.log10(np.maximum(data["flux"][test_rows, -1], 1e-3)),
    }
    if variant == "template_fit":
        return {"prediction": fit_templates(data, train_rows, test_rows), **truth}
    raw = variant in ("tree", "tuned_tree", "forest")
    x = raw_features(data, train_rows) if raw else colours(data)
    y = data["z"] if raw else np.log1p(data["z"])
    model = build_model(variant, settings, seed).fit(x[train_rows], y[train_rows])
    guess = model.predict(x[test_rows])
    found = {"prediction": guess if raw else np.expm1(guess), **truth}
    if variant == "tree":
        found |= depth_curve(x, y, train_rows, test_rows, seed)
    if variant == "forest_colours":
        found |= leaf_distributions(model, x, data["z"], train_rows, test_rows)
    if variant == "boosting":
        rows = np.flatnonzero(data["split"] == 1)
        found["importance"] = permutation_importance(
            model, x[rows], y[rows], n_repeats=5, random_state=seed
        ).importances_mean
        found["features"] = np.array(FEATURES)
    return found


def build_model(variant: str, settings: dict, seed: int):
    """An unfitted regressor; trees and the forest have the notebook's settings, the others search their own."""
    n_trees, folds = settings["n_trees"], settings["n_folds"]
    if variant == "tree":
        return DecisionTreeRegressor(random_state=seed)
    if variant == "tuned_tree":
        return DecisionTreeRegressor(max_depth=7, min_samples_leaf=15, min_samples_split=25, random_state=seed)
    if variant == "forest":
        return RandomForestRegressor(n_trees, max_depth=15, min_samples_leaf=5, min_samples_split=15, random_state=seed)
    if variant == "forest_colours":
        return RandomForestRegressor(n_trees, min_samples_leaf=3, max_features=0.5, random_state=seed)
    if variant == "extra_trees":
        return ExtraTreesRegressor(n_trees, min_samples_leaf=2, random_state=seed)
    if variant == "boosting":
        return HistGradientBoostingRegressor(max_iter=150, learning_rate=0.06, max_leaf_nodes=15, random_state=seed)
    if variant == "neighbours":
        grid = {"kneighborsregressor__n_neighbors": [3, 6, 12, 25]}
        model = make_pipeline(StandardScaler(), KNeighborsRegressor(weights="distance"))
    else:
        grid = {"svr__C": [1, 10], "svr__gamma": [0.1, 0.3]}
        model = make_pipeline(StandardScaler(), SVR(epsilon=0.02))
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


def fit_templates(data, train_rows, test_rows, z_step: float = 0.03) -> np.ndarray:
    """Redshifts by non-negative sums of the survey's templates (Brammer et al. 2008), where the data come with them;
    z_peak where a catalogue has it. Zero points and a prior in redshift come from the training objects."""
    if np.isfinite(data["z_peak"]).all():
        return data["z_peak"][test_rows]
    if "tempsed" not in data:
        raise ValueError("these data have no templates and no z_peak: leave template_fit out of the variants")
    grid = np.exp(np.arange(np.log(1.05), np.log(5.5), z_step)) - 1
    models = np.stack([band_fluxes(data, z) for z in grid])  # (n_z, n_templates, 5)
    zero_points = np.ones(len(BANDS))
    for _ in range(2):
        ratio = []
        for row in train_rows[:300]:
            model = models[np.argmin(np.abs(grid - data["z"][row]))]
            weight = 1 / (data["error"][row] * zero_points)
            best = nnls((model * weight).T, data["flux"][row] * zero_points * weight)[0] @ model
            ratio.append(best / (data["flux"][row] * zero_points))
        zero_points = zero_points * np.median(ratio, 0)
    counts = np.histogram(data["z"][train_rows], np.append(grid, grid[-1] + 0.15))[0]
    ln_prior = np.log(np.convolve(counts + 0.3, np.ones(5) / 5, "same"))
    return np.array([
        _most_likely(models, grid, ln_prior, data["flux"][row] * zero_points, data["error"][row] * zero_points)
        for row in test_rows
    ])  # fmt: skip


def _most_likely(models, grid, ln_prior, flux, error) -> float:
    error = np.hypot(error, 0.02 * np.abs(flux))
    chi2 = np.array([nnls((model / error).T, flux / error)[1] ** 2 for model in models])
    return float(grid[np.argmax(ln_prior - 0.5 * chi2)])


def band_fluxes(data, z: float) -> np.ndarray:
    """Template fluxes (n_templates, 5) in top-hat bands at redshift z, dimmed between Lyman alpha and the limit."""
    wave, at = data["templam"], np.searchsorted(data["zgrid"], z).clip(0, len(data["zgrid"]) - 1)
    dimming = np.where(
        (wave < 1216) & (wave > 1026), 1 - data["da"][at], np.where(wave <= 1026, 1 - data["db"][at], 1.0)
    )
    seds = data["tempsed"] * np.where(wave < 912, 0.0, dimming) * (wave * (1 + z) / 5500) ** 2 / (1 + z) ** 2
    places = [np.linspace(low, high, 40) / (1 + z) for low, high in BAND_EDGES_A]
    return np.array([[np.interp(place, wave, sed).mean() for place in places] for sed in seds])
