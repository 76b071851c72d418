"""Redshifts with trees: the catalogue's layout, no leak, a template fit that works without noise, closed-form CRPS."""

import numpy as np
import pytest

from armillary.challenges import hst_bands, photoz_trees, photoz_trees_models
from armillary.figures import challenge_photoz_trees
from armillary.figures.style import page

SETTINGS = {"n_simulated": 1200, "n_trees": 10, "n_folds": 2, "n_resamples": 20}
COLUMNS = (
    "id field ra dec x y z_spec z_peak faper_F140W eaper_F140W faper_F160W eaper_F160W f_F606W e_F606W f_F814W e_F814W "
    "f_F125W e_F125W f_F140W e_F140W f_F160W e_F160W tot_cor kron_radius a_image b_image flux_radius fwhm_image flags "
    "f140w_flag star_flag use_phot near_star nexp_f125w nexp_f140w nexp_f160w lmass Av"
).split()


def write_catalog(path, n=12, columns=COLUMNS):
    """The 38 columns of the 3D-HST master catalogue: -99 where nothing was measured, z_spec -1 where there is none."""
    rng = np.random.default_rng(0)
    rows = []
    for k in range(n):
        row = dict.fromkeys(COLUMNS, "1.0") | {"field": "AEGIS", "lmass": "10.1", "z_peak": f"{0.5 + k / 10}"}
        row |= {name: f"{rng.uniform(1, 5):.3f}" for name in COLUMNS if name.startswith("f_F")}
        row["z_spec"] = "-1" if k == 0 else f"{0.5 + k / 10}"
        row |= {"f_F140W": "-99", "e_F140W": "-99"} if k == 2 else {}
        row |= {"lmass": "8.2"} if k == 3 else {}
        rows.append(" ".join(row[name] for name in columns))
    path.write_text("# " + " ".join(columns) + "\n" + "\n".join(rows) + "\n")
    return str(path)


def test_the_master_catalogue_is_read(tmp_path):
    path = write_catalog(tmp_path / "3dhst_master.phot.v4.1.cat")
    found = photoz_trees.read_catalog(path)
    assert len(COLUMNS) == 38 and len(found["z"]) == 10  # without the one that has no z_spec and the light one
    assert np.isnan(found["flux"][1, 3]) and np.isfinite(found["flux"][0]).all()
    data = photoz_trees.sample([path], SETTINGS, 0)
    train_rows, rows = (np.flatnonzero(data["split"] == k) for k in (0, 2))
    assert np.isfinite(photoz_trees_models.raw_features(data, train_rows)).all()
    assert np.isfinite(photoz_trees_models.colours(data)).all()
    guess = photoz_trees_models.train("template_fit", data, SETTINGS, 0)["prediction"]
    assert np.array_equal(guess, data["z_peak"][rows])  # the catalogue's own template fit is the reference


def test_broken_catalogues_give_one_line(tmp_path):
    with pytest.raises(ValueError, match="has no column z_spec"):
        photoz_trees.read_catalog(write_catalog(tmp_path / "a.cat", columns=[c for c in COLUMNS if c != "z_spec"]))
    (tmp_path / "b.cat").write_text("1 2 3\n")
    with pytest.raises(ValueError, match="does not begin with a # line"):
        photoz_trees.read_catalog(str(tmp_path / "b.cat"))
    with pytest.raises(ValueError, match="4 objects with z_spec > 0|3 objects with z_spec > 0"):
        photoz_trees.read_catalog(write_catalog(tmp_path / "c.cat", n=5))
    with pytest.raises(FileNotFoundError, match="photoz_trees: files"):
        photoz_trees.read_catalog(str(tmp_path / "none.cat"))


def test_the_mock_needs_positive_fluxes(tmp_path):
    good = photoz_trees.simulate(50, np.random.default_rng(0))
    arrays = {k: v for k, v in good.items() if k != "source"} | {"lmass": np.full(50, 10.0)}
    np.savez(tmp_path / "mock.npz", **arrays)
    assert len(photoz_trees.read_mock(str(tmp_path / "mock.npz"))["z"]) == 50
    np.savez(tmp_path / "mock.npz", **arrays | {"flux": -good["flux"]})
    with pytest.raises(ValueError, match="positive"):
        photoz_trees.read_mock(str(tmp_path / "mock.npz"))


def test_errors_do_not_give_the_true_flux_away():
    """What is quoted as an error must follow from what is seen, or trees read the noiseless flux from it."""
    truth = photoz_trees.simulate(400, np.random.default_rng(0))
    seen = photoz_trees.observed(truth, np.random.default_rng(1))
    sky = 10 ** (0.4 * (25 - np.array(photoz_trees.DEPTHS_5_SIGMA))) / 5
    assert seen["error"] == pytest.approx(np.hypot(sky, 0.03 * seen["flux"]))


def test_bands_are_where_they_should_be_and_follow_the_redshift():
    """Pivot-like wavelengths of the instruments' handbooks, and a break that passes through the bands."""
    centres = [weight @ wave for wave, weight in hst_bands.band_curves()]
    assert centres == pytest.approx([5900, 8050, 12480, 13920, 15370], rel=0.01)
    wave = np.linspace(500, 20000, 4000)
    step = np.where(wave > 4000, 1.0, 0.0)[None]
    assert hst_bands.band_flux(wave, np.ones((1, 4000)), 0.7)[0] == pytest.approx(np.ones(5))
    red = [weight[wave > 1.9 * 4000].sum() for wave, weight in hst_bands.band_curves()]
    assert hst_bands.band_flux(wave, step, 0.9)[0] == pytest.approx(red, abs=0.03) and 0.5 < red[1] < 0.9


def test_redshift_errors_of_a_known_shift():
    truth = np.linspace(0.1, 2, 50)
    errors = photoz_trees.redshift_errors(truth, truth + 0.12 * (1 + truth))
    assert (errors["nmad"], errors["outliers_15"], errors["outliers_10"]) == pytest.approx((0, 0, 1), abs=1e-9)
    assert errors["bias"] == pytest.approx(0.12)


def test_methods_run_and_the_boosting_beats_a_tree(tmp_path):
    data = photoz_trees.sample([], SETTINGS | {"n_simulated": 4000}, 0)
    names = [
        "tree",
        "tuned_tree",
        "forest",
        "linear_fluxes",
        "forest_colours",
        "boosting_colours",
        "neighbours_colours",
    ]
    found = {name: [photoz_trees_models.train(name, data, SETTINGS, 0)] for name in names}
    scores = photoz_trees.score([data], found, SETTINGS, np.random.default_rng(0))
    assert scores["boosting_colours_mse"]["value"] < scores["tree_mse"]["value"]
    assert scores["boosting_colours_minus_tree_mse"]["value"] == pytest.approx(
        scores["boosting_colours_mse"]["value"] - scores["tree_mse"]["value"]
    )
    assert 0.5 < scores["forest_colours_coverage_68"]["value"] < 0.9
    assert scores["forest_mse"]["baseline"] == "boosting_colours_mse"
    assert found["tree"][0]["depth_errors"][-1, 0] < 1e-3 < found["tree"][0]["depth_errors"][-1, 1]  # it over-fits
    metrics = {f"photoz_trees_{key}": entry for key, entry in scores.items()}
    for figure in ("redshifts", "learning", "dependence"):
        with page(str(tmp_path / "figure.png"), 800, 400) as sheet:
            getattr(challenge_photoz_trees, f"draw_{figure}")(sheet, [data], found, metrics)
        assert (tmp_path / "figure.png").stat().st_size > 3000


def test_a_template_fit_finds_redshifts_of_its_own_templates():
    """Galaxies that are one template each, without noise but for 3 %: most redshifts must come back."""
    rng = np.random.default_rng(0)
    data = photoz_trees.simulate(10, rng)
    z = rng.uniform(0.3, 1.5, 160)
    flux = np.array([photoz_trees_models.template_fluxes(data, one)[rng.integers(2)] for one in z])
    flux *= 50 / flux[:, -1:]
    data |= {"flux": flux, "error": 0.01 * flux, "z": z, "z_peak": np.full(160, np.nan)}
    guess = photoz_trees_models.fit_templates(data, np.arange(80), np.arange(80, 160))
    assert photoz_trees.redshift_errors(z[80:], guess)["nmad"] < 0.05


def test_the_crps_of_one_forest_leaf_is_that_of_its_sample():
    """All training objects in one leaf: the distribution is the sample, and the integral of (F - step)^2 its CRPS."""

    class OneLeaf:
        def apply(self, x):
            return np.zeros((len(x), 1))

    rng = np.random.default_rng(0)
    z = rng.uniform(0, 2, 200)
    rows = np.arange(150)
    found = photoz_trees_models.leaf_distributions(OneLeaf(), z[:, None], z, rows, np.arange(150, 200))
    known, truth = z[:150], z[150]
    grid = np.linspace(-0.1, 2.1, 220001)
    gap = np.searchsorted(np.sort(known), grid, side="right") / 150 - (grid >= truth)
    assert found["crps"][0] == pytest.approx(np.sum(gap**2) * (grid[1] - grid[0]), abs=1e-4)
    assert found["pit"][0] == pytest.approx(np.mean(known < truth))
