"""CAMELS: the physics of the simulated slabs, the files' layouts and broken ones, splits by simulation, error bars."""

import numpy as np
import pytest

from armillary.challenges import camels, camels_models, camels_skies
from armillary.challenges.scores import area_under_roc
from armillary.figures import challenge_camels
from armillary.figures.style import page

SETTINGS = {
    "n_profiles": 30, "n_simulations": 12, "n_maps": 2, "side_px": 16, "n_members": 2, "n_map_members": 2,
    "n_epochs": 2, "n_map_epochs": 1, "batch_size": 16, "learning_rate": 3e-3, "n_resamples": 20,
}  # fmt: skip


def test_power_and_haloes_agree_with_colossus():
    cosmology = pytest.importorskip("colossus.cosmology.cosmology")
    mass_function = pytest.importorskip("colossus.lss.mass_function")
    before = cosmology.current_cosmo
    theirs = cosmology.setCosmology("test_camels", flat=True, H0=67.11, Om0=0.25, Ob0=0.049, sigma8=0.9, ns=0.9624,
                                    persistence="")  # fmt: skip
    k = camels_skies.K_GRID[100:400:50]
    power = camels_skies.linear_power(0.25, 0.9)
    assert power[100:400:50] == pytest.approx(theirs.matterPowerSpectrum(k, 0.0, model="eisenstein98_zb"), rel=1e-3)
    number, _ = camels_skies.halo_numbers(0.25, power)
    step = np.diff(camels_skies.LN_MASSES)[0]
    reference = mass_function.massFunction(np.exp(camels_skies.LN_MASSES[1:-1]), 0.0, mdef="fof", model="sheth99",
                                           q_out="dndlnM") * step  # fmt: skip
    assert number[1:-1] == pytest.approx(reference, rel=0.05)
    if before is not None:
        cosmology.setCurrent(before)


def test_a_projected_nfw_halo_has_its_mass():
    """The column, summed over the plane, is the mass within the virial radius: m(c) = ln(1 + c) - c / (1 + c)."""
    radius = camels_skies.virial_radius(0.3)
    edges = np.geomspace(1e-5, 1, 1500)[:, None] * radius[-1]
    columns = camels_skies.projected(camels_skies.nfw, radius, 1.0, edges[:, 0])[-1]
    total = np.trapezoid(2 * np.pi * (edges[:, 0] / radius[-1]) ** 2 * columns, np.log(edges[:, 0]))
    c = 9 * (np.exp(camels_skies.LN_MASSES[-1]) / 1e12) ** -0.1
    assert total == pytest.approx(4 * np.pi / c**3 * (np.log1p(c) - c / (1 + c)), rel=0.01)


def test_what_a_halo_adds_is_positive_and_its_mass():
    """Nothing rings: the kernels are positive everywhere, fall outwards, and sum to the mass of the halo."""
    for kernel in camels_skies._kernels(np.array([0.2, 0.8, 1, 1, 1, 1.0]), "tng", 32):
        image = np.fft.irfft2(kernel, (32, 32))
        assert image.min() > -1e-9 * image.max() and (image[:, 0, 0] >= image.max((1, 2)) * (1 - 1e-9)).all()
    matter = camels_skies._kernels(np.array([0.2, 0.8, 1, 1, 1, 1.0]), "tng", 32)[0]
    assert matter[:, 0, 0].real == pytest.approx(np.exp(camels_skies.LN_MASSES), rel=1e-6)


def test_slabs_have_the_mean_density_and_clump_with_sigma_8():
    rng = np.random.default_rng(0)
    parameters = np.array([0.3, 0.8, 1, 1, 1, 1.0])
    matter = camels_skies.simulate_maps(parameters, "tng", 40, 32, rng)[:, 0]
    mean = 0.3 * camels_skies.CRITICAL_DENSITY * camels_skies.SLAB_MPC_H
    assert matter.mean() == pytest.approx(mean, rel=0.1)
    calm = camels_skies.simulate_maps(np.array([0.3, 0.6, 1, 1, 1, 1]), "tng", 40, 32, np.random.default_rng(0))[:, 0]
    assert np.log(matter).std() > 1.05 * np.log(calm).std()


def test_a_lognormal_slab_has_the_power_that_was_asked_for():
    rng, side = np.random.default_rng(6), 32
    waves = 2 * np.pi * np.hypot(*np.meshgrid(*[f(side, camels_skies.BOX_MPC_H / side) for f in
                                                (np.fft.fftfreq, np.fft.rfftfreq)], indexing="ij"))  # fmt: skip
    asked = 8.0 * np.exp(-((waves / 1.5) ** 2))
    root = camels_skies.lognormal_root(asked, side)
    field = np.fft.irfft2(np.fft.rfft2(rng.normal(size=(3000, side, side))) * root, (side, side))
    slab = np.exp(field - 0.5 * field.var())
    power = (np.abs(np.fft.rfft2(slab)) ** 2).mean(0) * (camels_skies.BOX_MPC_H / side**2) ** 2
    middle = (waves > 0.5) & (waves < 2)
    assert (power[middle] / asked[middle]).mean() == pytest.approx(1, abs=0.1)


def test_the_codes_agree_on_matter_and_differ_in_pressure():
    """SIMBA-like haloes of 10^12 keep less of their gas, stronger feedback leaves less, and their pressure differs."""
    rng = np.random.default_rng(1)
    one, strong = np.array([0.3, 0.8, 1, 1, 1, 1.0]), np.array([0.3, 0.8, 4, 4, 2, 2.0])
    shares = {code: camels_skies.gas_share(one, code) for code in camels_skies.CODES}
    assert (shares["simba"] < shares["tng"]).all() and (np.diff(shares["tng"]) > 0).all()
    assert (camels_skies.gas_share(strong, "tng") < shares["tng"]).all()
    means = {code: np.log10(camels_skies.simulate_maps(one, code, 30, 32, rng)).mean((0, 2, 3)) for code in shares}
    matter, pressure = np.abs(means["tng"] - means["simba"])
    assert matter < 0.1 < pressure


def write_multifield(folder, n=3, side=32, code="IllustrisTNG", shape=None):
    """The CAMELS Multifield layout: a table of six parameters, and 15 maps a simulation."""
    rng = np.random.default_rng(2)
    np.savetxt(folder / f"params_LH_{code}.txt", camels_skies.draw_parameters(n, rng))
    for field in ("Mtot", "P"):
        maps = rng.uniform(1, 2, shape or (15 * n, side, side)).astype(np.float32)
        np.save(folder / f"Maps_{field}_{code}_LH_z=0.00.npy", maps)


def test_the_multifield_layout_is_read(tmp_path):
    for code in camels.CODES.values():
        write_multifield(tmp_path, 3, code=code)
    data = camels.sample([str(tmp_path)], SETTINGS | {"n_simulations": 3}, 0)
    assert data["maps_tng"].shape == (6, 2, 16, 16) and "maps of CAMELS" in str(data["source"])
    stored = np.load(tmp_path / "Maps_Mtot_IllustrisTNG_LH_z=0.00.npy")
    wanted = stored[15 + 7].reshape(16, 2, 16, 2).mean((1, 3))  # second map of the second simulation
    assert data["maps_tng"][3, 0] == pytest.approx(np.log10(wanted), rel=1e-5)
    table = np.loadtxt(tmp_path / "params_LH_IllustrisTNG.txt")
    assert data["map_parameters_tng"][3] == pytest.approx(table[1])
    assert len(set(data["map_split_tng"][data["simulation_tng"] == 1])) == 1  # all maps of a simulation stay together
    reshaped = stored.reshape(3, 15, 32, 32)
    np.save(tmp_path / "Maps_Mtot_IllustrisTNG_LH_z=0.00.npy", reshaped)
    again = camels.sample([str(tmp_path)], SETTINGS | {"n_simulations": 3}, 0)
    assert np.array_equal(again["maps_tng"], data["maps_tng"])
    (tmp_path / "params_LH_IllustrisTNG.txt").unlink()
    rows = [f"LH_{k} " + " ".join(f"{v:.6f}" for v in row) + f" {5000 + k}" for k, row in enumerate(table)]
    (tmp_path / "CosmoAstroSeed_IllustrisTNG_L25n256_LH.txt").write_text("#Name ...\n" + "\n".join(rows) + "\n")
    fallback = camels.sample([str(tmp_path)], SETTINGS | {"n_simulations": 3}, 0)
    assert fallback["map_parameters_tng"] == pytest.approx(data["map_parameters_tng"], abs=1e-5)


def test_broken_files_give_one_line(tmp_path):
    settings = SETTINGS | {"n_simulations": 3}
    for code in camels.CODES.values():
        write_multifield(tmp_path, 3, code=code)
    path = tmp_path / "Maps_P_SIMBA_LH_z=0.00.npy"
    whole = path.read_bytes()
    path.write_bytes(whole[:-1000])
    with pytest.raises(ValueError, match=r"Maps_P_SIMBA.* is not a complete NPY file \(\d+ bytes\)"):
        camels.sample([str(tmp_path)], settings, 0)
    path.write_bytes(whole)
    with pytest.raises(ValueError, match=r"side_px is 24 and must divide 32"):
        camels.sample([str(tmp_path)], settings | {"side_px": 24}, 0)
    write_multifield(tmp_path, 3, code="SIMBA", shape=(44, 32, 32))
    with pytest.raises(ValueError, match="15 square maps of 3 simulations were expected"):
        camels.sample([str(tmp_path)], settings, 0)
    path.unlink()
    with pytest.raises(FileNotFoundError, match="has no Maps_P_SIMBA"):
        camels.sample([str(tmp_path)], settings, 0)
    (tmp_path / "params_LH_SIMBA.txt").unlink()
    with pytest.raises(FileNotFoundError, match="neither params_LH_SIMBA.txt nor CosmoAstroSeed_SIMBA"):
        camels.sample([str(tmp_path)], settings, 0)
    np.savez(tmp_path / "bad.npz", IllustrisTNG_profiles=np.ones(3))
    with pytest.raises(ValueError, match="bad.npz lacks"):
        camels.sample([str(tmp_path / "bad.npz")], settings, 0)
    with pytest.raises(ValueError, match="is no folder of maps and no NPZ"):
        camels.sample([str(tmp_path / "maps.txt")], settings, 0)


def test_aligned_inputs_have_the_moments_of_the_other_code():
    rng = np.random.default_rng(3)
    own, wanted = rng.normal(size=(4000, 3)) @ rng.normal(size=(3, 3)) + 2, rng.normal(size=(4000, 3)) * [1, 2, 3]
    moved = camels_models.align(own, own, wanted)
    assert moved.mean(0) == pytest.approx(wanted.mean(0), abs=0.02)
    assert np.cov(moved.T) == pytest.approx(np.cov(wanted.T), abs=0.05)


def test_the_moment_loss_is_least_at_the_true_moments():
    import torch

    rng = np.random.default_rng(4)
    target = torch.from_numpy(rng.normal(1.0, 0.5, (20000, 6)).astype(np.float32))

    def loss(mean, sigma):
        row = torch.tensor([mean] * 6 + [np.log(sigma)] * 6, dtype=torch.float32)
        return float(camels_models.moment_loss(row.expand(20000, 1, 12), target))

    best = loss(1.0, 0.5)
    assert best < min(loss(0.9, 0.5), loss(1.1, 0.5), loss(1.0, 0.4), loss(1.0, 0.6))


def test_all_kinds_of_methods_run_and_never_share_a_simulation(tmp_path):
    data = camels.sample([], SETTINGS, 0)
    names = ["ridge_density", "mlp_density_counts", "mlp_density_adapted", "mlp_density_both", "which_density",
             "summaries_matter", "cnn_matter", "cnn_contrast", "which_matter"]  # fmt: skip
    found = {name: [camels_models.train(name, data, SETTINGS, 0)] for name in names}
    scores = camels.score([data], found, SETTINGS, np.random.default_rng(0))
    key = "mlp_density_counts_tng_simba_r2_omega_m"
    assert scores[key]["baseline"] == "mlp_density_counts_tng_tng_r2_omega_m"
    test = np.flatnonzero(data["map_split_tng"] == 2)
    run = found["cnn_contrast"][0]
    assert set(run["simulation"][run["code"] == 0]) == set(data["simulation_tng"][test])
    assert not set(data["simulation_tng"][test]) & set(data["simulation_tng"][data["map_split_tng"] == 0])
    run = found["which_density"][0]
    assert scores["which_density_auc"]["value"] == area_under_roc(run["probability"], run["code"] == 1)
    gain = [scores[f"{name}_tng_simba_r2_omega_m"]["value"] for name in ("cnn_matter", "summaries_matter")]
    assert scores["cnn_matter_minus_summaries_matter_tng_simba_r2_omega_m"]["value"] == pytest.approx(gain[0] - gain[1])
    metrics = {f"camels_{key}": entry for key, entry in scores.items()}
    for figure in ("slabs", "transfer", "shift"):
        with page(str(tmp_path / "figure.png"), 800, 400) as sheet:
            getattr(challenge_camels, f"draw_{figure}")(sheet, [data], found, metrics)
        assert (tmp_path / "figure.png").stat().st_size > 3000


def test_an_ensemble_is_less_sure_where_it_has_not_learned():
    """Inputs far from all that was learned: members disagree, and the error bar grows."""
    rng = np.random.default_rng(5)
    x = rng.normal(size=(400, 4)).astype(np.float32)
    y = np.column_stack([x[:, 0] + 0.1 * rng.normal(size=400)] * 6)
    parts = {0: (x[:300], y[:300]), 1: (x[300:], y[300:])}
    settings = SETTINGS | {"n_epochs": 15, "n_members": 4}
    predict = camels_models.train_ensemble("mlp", parts, settings, 0)
    _, near, _ = predict(x[300:])
    _, far, _ = predict(x[300:] * 4)
    assert far[:, 0].mean() > 2 * near[:, 0].mean()
    mean, sigma, _ = predict(x[300:])
    assert np.mean(((mean - y[300:]) / sigma) ** 2, 0) == pytest.approx(np.ones(6), rel=1e-3)


def test_summaries_know_the_mean_of_a_map():
    """Matter maps that differ in their mean alone: what is twice as dense has twice the first summary."""
    maps = np.log10(np.random.default_rng(7).uniform(1e11, 2e11, (3, 16, 16)))
    found = camels_models.summaries(np.concatenate([maps, maps + np.log10(2)]))
    assert found[3:, 0] == pytest.approx(2 * found[:3, 0])
