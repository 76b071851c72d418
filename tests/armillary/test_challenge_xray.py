"""Clusters by closed forms, turns that networks must not see, given images in their layouts, and every method."""

import fitsio
import h5py
import numpy as np
import pytest
import torch

from armillary.challenges import xray_mass, xray_mass_models
from armillary.challenges.loop import build
from armillary.figures import challenge_xray_mass
from armillary.figures.style import page
from armillary.networks.group_convolution import GroupConvolution, Lifting

SETTINGS = {
    "n_clusters": 24, "n_views": 2, "split_by": "cluster", "train_share": 0.6, "validation_share": 0.15, "n_epochs": 1,
    "batch_size": 16, "learning_rate": 1e-3, "curve_sizes": [8], "n_resamples": 20,
}  # fmt: skip


def test_a_turn_of_the_image_turns_the_maps_and_moves_their_orientations_on():
    lift, group = build(lambda: Lifting(2, 3), 0), build(lambda: GroupConvolution(3, 5), 1)
    images = torch.from_numpy(np.random.default_rng(0).normal(size=(2, 2, 8, 8)).astype(np.float32))
    maps = group(lift(images))
    turned = group(lift(torch.rot90(images, 1, (2, 3))))
    assert torch.allclose(turned, torch.rot90(maps, 1, (3, 4)).roll(1, 2), atol=1e-5)
    assert not torch.allclose(turned, torch.rot90(maps, 1, (3, 4)), atol=1e-2)


def test_the_turning_network_does_not_see_turns_and_has_as_many_weights():
    images = torch.from_numpy(np.random.default_rng(1).normal(size=(3, 48, 48)).astype(np.float32))
    turning, plain = (build(kind, 0) for kind in (xray_mass_models.TurningNetwork, xray_mass_models.MassNetwork))
    turned = torch.rot90(images, 1, (1, 2))
    assert torch.allclose(turning(images), turning(turned), atol=1e-6)
    assert (plain(images) - plain(turned)).abs().max() > 1e-4
    n_turning, n_plain = (sum(p.numel() for p in one.parameters()) for one in (turning, plain))
    assert n_turning == pytest.approx(n_plain, rel=0.2)


def test_the_light_of_a_profile_is_its_integral():
    pixels = np.arange(-300, 301) * 0.1
    distance = pixels[:, None] ** 2 + pixels**2
    image = xray_mass.beta_profile(distance, 3.0, 1.6) * 0.1**2
    assert image[distance < 20**2].sum() == pytest.approx(xray_mass.beta_counts(20, 3.0, 1.6), rel=2e-3)
    assert xray_mass.radius_500_kpc(np.log10(3e14)) == pytest.approx(1000, rel=0.01)


def test_an_ellipsoid_keeps_its_light_from_every_side():
    """A Gaussian ellipsoid: depth factor over the root of the determinant of its ellipse is that of its volume."""
    form = np.diag([4.0, 1.0, 0.25])
    x, z = np.linspace(-2, 2, 5), np.linspace(-40, 40, 40001)
    for angle in (0.0, 0.4, 1.3):
        turn = np.array([[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]])
        turned = turn @ form @ turn.T
        plane, depth = xray_mass.projected_form(turned)
        assert depth / np.sqrt(np.linalg.det(plane)) == pytest.approx(np.linalg.det(form) ** -0.5)
        ray = turned[0, 0] * x[:, None] ** 2 + 2 * turned[0, 2] * x[:, None] * z + turned[2, 2] * z**2
        summed = np.exp(-ray).sum(1) * (z[1] - z[0])
        assert summed == pytest.approx(depth * np.sqrt(np.pi) * np.exp(-plane[0, 0] * x**2), rel=1e-6)


def test_the_median_of_a_ring_does_not_see_a_clump():
    x, y = xray_mass.grid((0, 0))
    smooth = 1e4 * xray_mass.beta_profile(x**2 + y**2, 4.0, 1.6)
    clump = 3e3 * np.exp(-0.5 * ((x - 15) ** 2 + y**2))
    step, alone = xray_mass_models.growth_curves(smooth[None], "median")
    _, together = xray_mass_models.growth_curves((smooth + clump)[None], "median")
    assert step == 1 and alone[0, 0] == 0
    means = [xray_mass_models.growth_curves(one[None])[1][0, 40] for one in (smooth, smooth + clump)]
    assert means[1] - means[0] == pytest.approx(clump.sum(), rel=0.1)
    assert abs(together[0, 20] - alone[0, 20]) < 0.2 * clump.sum()


def test_a_turn_within_the_circle_leaves_a_round_image_as_it_is():
    x, y = xray_mass.grid((0, 0))
    images = 5 + 100 * np.exp(-(x**2 + y**2) / 80)[None]
    images[0, :4, :4] = 0  # a corner that must not count
    circle = xray_mass_models.masked(images)
    assert np.abs(xray_mass_models.turned_45(circle) - circle).max() < 1
    bar = np.where(np.abs(y + 0 * x) < 3, 50.0, 5.0)[None]
    circle = xray_mass_models.masked(bar)
    assert np.abs(xray_mass_models.turned_45(circle) - circle).mean() > 3


def test_ten_seeds_of_given_clusters_test_each_once(tmp_path):
    np.savez(tmp_path / "a.npz", **given(20))
    settings = SETTINGS | {"train_share": 0.8, "validation_share": 0.1}
    splits = np.array([xray_mass.sample([str(tmp_path / "a.npz")], settings, seed)["split"] for seed in range(10)])
    assert ((splits == 2).sum(0) == 1).all() and ((splits == 2).sum(1) == 2).all()


def test_views_share_a_mass_and_never_a_split():
    data = xray_mass.sample([], SETTINGS, 0)
    assert data["images"].shape == (48, 48, 48) and len(np.unique(data["cluster"])) == 24
    for cluster in range(24):
        assert len(np.unique(data["split"][data["cluster"] == cluster])) == 1
    assert np.corrcoef(data["log_mass"], np.log(data["images"].sum((1, 2))))[0, 1] > 0.8


def given(n: int = 10) -> dict:
    rng = np.random.default_rng(0)
    return {"images": rng.poisson(4.0, (n, 96, 96)).astype(np.int32), "M500c": 10 ** rng.uniform(14, 15, n),
            "cluster_id": np.repeat(np.arange(n), 1), "r500": np.full(n, 20.0)}  # fmt: skip


@pytest.mark.parametrize("layout", ["npz", "h5", "fits", "npy"])
def test_given_images_are_read_in_every_layout(tmp_path, layout):
    arrays, path = given(), tmp_path / f"clusters.{layout}"
    if layout == "npz":
        np.savez(path, **arrays)
    elif layout == "h5":
        with h5py.File(path, "w") as stream:
            stream.update(arrays)
    elif layout == "fits":
        with fitsio.FITS(str(path), "rw") as fits:
            fits.write(arrays["images"])
            fits.write({name: arrays[name] for name in ("M500c", "cluster_id", "r500")})
    else:
        path.mkdir()
        for name, array in arrays.items():
            np.save(path / f"{name}.npy", array)
    data = xray_mass.sample([str(path)], SETTINGS, 0)
    assert data["images"].shape == (10, 48, 48) and data["images"].sum() == arrays["images"].sum()
    assert data["log_mass"] == pytest.approx(np.log10(arrays["M500c"])) and data["r500_px"][0] == 10
    assert "10 images of 10 clusters" in str(data["source"])


BROKEN = {
    "no cluster_id": (lambda a: a.pop("cluster_id"), "views of one cluster would be on both sides"),
    "no images": (lambda a: a.pop("images"), r"needs images \(n, y, x\)"),
    "negative": (lambda a: a["images"].__setitem__((0, 0, 0), -1), "finite and not negative; the least is -1"),
    "short": (lambda a: a.update(M500c=a["M500c"][:5]), "differ in length"),
    "masses": (lambda a: a.update(log10M500c=np.full(10, 40.0)), "10 to 17 expected"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_images_give_one_line(tmp_path, case):
    arrays = given()
    BROKEN[case][0](arrays)
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(ValueError, match=BROKEN[case][1]):
        xray_mass.read(str(tmp_path / "a.npz"), "cluster")
    if case == "no cluster_id":
        assert len(np.unique(xray_mass.read(str(tmp_path / "a.npz"), "view")["cluster"])) == 10


def test_truncated_files_give_one_line(tmp_path):
    np.savez(tmp_path / "a.npz", **given())
    (tmp_path / "b.npz").write_bytes((tmp_path / "a.npz").read_bytes()[:5000])
    with pytest.raises(ValueError, match="not a complete NPZ file"):
        xray_mass.read(str(tmp_path / "b.npz"), "cluster")
    with pytest.raises(FileNotFoundError, match="challenges: xray_mass: files"):
        xray_mass.read(str(tmp_path / "c.npz"), "cluster")


def test_every_variant_runs_is_scored_and_drawn(tmp_path):
    data = xray_mass.sample([], SETTINGS, 0)
    names = [
        "luminosity",
        "core_excised",
        "core_excised_median",
        "profile_ridge",
        "boosting",
        "cnn",
        "cnn_averaged",
        "p4",
        "training_curve",
    ]
    found = {name: [xray_mass_models.train(name, data, SETTINGS, 0)] for name in names}
    scores = xray_mass.score([data], found, SETTINGS, np.random.default_rng(0))
    assert scores["luminosity_scatter_percent"]["value"] < 40
    assert scores["p4_inconsistency_90_dex"]["value"] < 1e-5 > scores["cnn_averaged_inconsistency_90_dex"]["value"]
    assert scores["cnn_inconsistency_90_dex"]["value"] > 0
    few = {"luminosity": found["luminosity"]}
    assert "luminosity_slope" in xray_mass.score([data], few, SETTINGS, np.random.default_rng(0))
    again = xray_mass_models.train("p4", data, SETTINGS, 0)
    assert np.array_equal(again["prediction"], found["p4"][0]["prediction"])
    metrics = {f"xray_mass_{key}": entry for key, entry in scores.items()}
    for figure in ("examples", "masses", "networks"):
        for runs in (found, {}):
            with page(str(tmp_path / "figure.png"), 1600, 800) as sheet:
                getattr(challenge_xray_mass, f"draw_{figure}")(sheet, [data], runs, metrics)
            assert (tmp_path / "figure.png").stat().st_size > 3000


def test_core_excision_finds_a_core_that_says_nothing():
    """Profiles of one shape whose inner 2 px vary at will: only an annulus gives the mass exactly."""
    rng = np.random.default_rng(0)
    log_mass = rng.uniform(14, 15, 60)
    x, y = xray_mass.grid((0, 0))
    outer = [10 ** (1.6 * (m - 12)) * ((x**2 + y**2) / 10 ** (2 * (m - 14.5) / 3) + 9) ** -1.6 for m in log_mass]
    images = np.array(outer) + 1e5 * rng.lognormal(0, 1, (60, 1, 1)) * (x**2 + y**2 < 2.2)
    data = {"images": images, "log_mass": log_mass}
    whole, _ = xray_mass_models.fit_apertures(data, np.arange(60), (0,), "mean")
    excised, radii = xray_mass_models.fit_apertures(data, np.arange(60), xray_mass_models.INNER_PX, "mean")
    assert radii[0] >= 1.5 and np.std(excised - log_mass) < 0.3 * np.std(whole - log_mass)
