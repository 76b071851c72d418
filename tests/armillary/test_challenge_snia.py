"""Supernovae: the table's layouts, errors that are honest, and what selection finds where the answer is known."""

import numpy as np
import pytest

from armillary.challenges import snia_lasso, snia_lasso_models

SETTINGS = {"n_simulated": 60, "n_folds": 5, "n_half_samples": 20, "n_injections": 60, "n_resamples": 30}


@pytest.fixture(scope="module")
def table():
    return snia_lasso.simulate(60, np.random.default_rng(0))


def write_spectra(path, n=24, **changes):
    rng = np.random.default_rng(0)
    arrays = {
        "wave": np.geomspace(3512, 8480, 134), "flux": rng.uniform(0.5, 1.5, (n, 134)), "zHD": np.full(n, 0.03),
        "c": rng.normal(0, 0.1, n), "x1": rng.normal(0, 1, n), "M": rng.normal(-19.2, 0.3, n),
    }  # fmt: skip
    np.savez(path, **arrays | changes)
    return str(path)


def test_spectra_become_276_variables(tmp_path):
    found = snia_lasso.read(write_spectra(tmp_path / "sn.npz"))
    assert found["x"].shape == (24, 276) and list(found["names"][:2]) == ["c", "x1"]
    near = write_spectra(tmp_path / "near.npz", zHD=np.r_[np.full(4, 0.005), np.full(20, 0.03)])
    assert len(snia_lasso.read(near)["y"]) == 20  # peculiar velocities


def test_broken_spectra_give_one_line(tmp_path):
    with pytest.raises(ValueError, match=r"flux is \(24, 130\)"):
        snia_lasso.read(write_spectra(tmp_path / "a.npz", flux=np.ones((24, 130))))
    with pytest.raises(ValueError, match="20 with finite flux"):
        snia_lasso.read(write_spectra(tmp_path / "b.npz", zHD=np.zeros(24)))
    np.savez(tmp_path / "c.npz", wave=np.ones(3))
    with pytest.raises(ValueError, match="lacks flux, zHD, c, x1, M"):
        snia_lasso.read(str(tmp_path / "c.npz"))


def test_a_csv_of_ones_own(tmp_path):
    path = tmp_path / "own.csv"
    path.write_text("name,M,width,colour,always\n" + "\n".join(f"sn{k},{-19 - k / 10},{k},,3" if k == 1 else
                    f"sn{k},{-19 - k / 10},{k},{k / 7},3" for k in range(9)))  # fmt: skip
    found = snia_lasso.read(str(path))
    assert list(found["names"]) == ["width", "colour"] and np.isnan(found["x"][1, 1])  # the constant one is left out
    assert np.isfinite(snia_lasso_models.filled(found["x"], found["x"])).all()
    with pytest.raises(ValueError, match="no variable c, x1, which ols_c_x1, lasso_unpenalised"):
        snia_lasso_models.train("ols_c_x1", found, SETTINGS | {"n_folds": 2}, 0)
    for text, wrong in {
        "name,a\nx,1\n": "no column M or Magnitude",
        "name,M,a\nx,1,red\n": "column a is not numeric",
    }.items():
        path.write_text(text)
        with pytest.raises(ValueError, match=wrong):
            snia_lasso.read(str(path))


def test_the_two_variables_that_matter_explain_the_magnitude(table):
    found = {name: [snia_lasso_models.train(name, table, SETTINGS, 0)] for name in ("mean", "ols_c_x1", "lasso_min")}
    scores = snia_lasso.score([table], found, SETTINGS, np.random.default_rng(0))
    assert scores["ols_c_x1_rmse"]["value"] == pytest.approx(0.15, abs=0.04)  # 0.12 of scatter, and noise of c and x1
    assert scores["mean_rmse"]["value"] > 1.8 * scores["ols_c_x1_rmse"]["value"]
    assert scores["mean_rmse"]["baseline"] == "ols_c_x1_rmse"


def test_noise_cannot_be_predicted(table):
    """276 variables for 60 objects: whoever let the test fold into fit or tuning would be better than the mean."""
    shuffled = {**table, "y": np.random.default_rng(1).permutation(table["y"])}
    for name in ("lasso_min", "adaptive", "best_three"):
        error = snia_lasso_models.train(name, shuffled, SETTINGS | {"n_folds": 4}, 0)["prediction"] - shuffled["y"]
        assert np.sqrt(np.mean(error**2)) > 0.93 * table["y"].std()


def test_what_no_penalty_holds_is_least_squares(table):
    """No other variable helps where colour and width are all: the two keep their least-squares coefficients, nearly."""
    x, y, names = snia_lasso_models.filled(table["x"], table["x"]), table["y"], list(table["names"])
    known = [names.index("c"), names.index("x1")]
    left = snia_lasso_models.left_over(x[:, known], y)
    assert left @ x[:, known] == pytest.approx(np.zeros(2), abs=1e-9) and left.sum() == pytest.approx(0, abs=1e-9)
    coefficients, constant = snia_lasso_models.lasso_unpenalised(x, y, names, 5, 0)
    residual = y - x @ coefficients - constant
    assert residual @ x[:, known] == pytest.approx(np.zeros(2), abs=1e-8)  # of the two nothing is left to explain
    assert np.sum(residual**2) <= np.sum(left**2)


def test_large_effects_are_found_and_small_ones_are_not(table):
    found = {"power": [snia_lasso_models.train("power", table, SETTINGS, 0)]}
    share = found["power"][0]["found"].mean(1)
    assert share[0] < 0.2 and share[-1] > 0.8 and (np.diff(share) > -0.1).all()
    assert 0 < found["power"][0]["p_value"] <= 1
    found["mean"] = [snia_lasso_models.train("mean", table, SETTINGS, 0)]
    scores = snia_lasso.score([table], found, SETTINGS, np.random.default_rng(0))
    assert scores["power_found_of_100_mmag"]["value"] == pytest.approx(share[3])
    planted = {
        **table,
        "y": table["y"] + 0.5 * (table["x"][:, 40] - table["x"][:, 40].mean()) / table["x"][:, 40].std(),
    }
    assert snia_lasso_models.train("power", planted, SETTINGS, 0)["p_value"] < 0.01


def test_colour_is_what_half_samples_agree_on(table):
    found = snia_lasso_models.train("stability", table, SETTINGS, 0)
    assert found["frequency"][0] == found["frequency"].max() >= 0.7
    assert found["n_expected_false"] == pytest.approx(36 / (0.4 * 276))


def test_the_one_standard_error_penalty_is_the_larger(table):
    x = snia_lasso_models.filled(table["x"], table["x"])
    model = snia_lasso_models.cross_validated(x, table["y"], 5, 0)
    assert snia_lasso_models.one_standard_error(model) >= model.alpha_
