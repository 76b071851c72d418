"""The red-sequence finder on drawn photometry with known clusters over a uniform background."""

import numpy as np
import pandas as pd
import pytest

from armillary import detection_training, finder_training
from armillary.calibration import fit_logistic
from armillary.cosmology import pixels_per_mpc, richness_radius_mpc
from armillary.detection_training import located
from armillary.finder import NO_MEMBERS, PRIORS, calibrated, find_clusters, read_finder, tile_features, tile_probability
from armillary.finder_filters import (
    PROFILE_RADII_MPC,
    chi2_density,
    inside_fraction,
    luminosity_filter,
    nfw_surface_density,
    radial_tables,
    red_sequence_chi2,
    rings_inside,
)
from armillary.finder_sequence import initial_finder, match_catalog, tuned_red_sequence
from armillary.finder_training import background_of, calibrated_limit, known_field, train, true_membership
from armillary.limit import limit_tile_features, measure_haloes
from armillary.scoring import average_precision
from armillary.sky import sky_of_pixel, tan_wcs

PIXEL_ARCSEC = 0.263
IMAGE_SIZE, TILE_SIZE = 1280, 128
DEPTH_MAG = {"g": 25.1, "r": 24.8, "i": 24.2, "z": 23.5}  # 10 sigma
TABLE = pd.DataFrame({
    "redshift": [0.05, 0.2, 0.35, 0.5, 0.65, 0.8], "gr": [0.9, 1.3, 1.7, 1.75, 1.78, 1.9],
    "ri": [0.4, 0.47, 0.58, 0.79, 1.1, 1.3], "iz": [0.29, 0.32, 0.33, 0.41, 0.47, 0.6],
    "mstar_i": [15.0, 17.8, 19.1, 20.1, 20.8, 21.4],
})  # fmt: skip
KNOBS = {name: values[0] for name, values in finder_training.KNOBS.items()}
TRUE_OFFSET = np.array([0.06, -0.04, 0.02])  # of the drawn sequence from the table


def red_colours(redshift, rng):
    mean = np.stack([np.interp(redshift, TABLE.redshift, TABLE[pair]) for pair in ("gr", "ri", "iz")], 1)
    return mean + TRUE_OFFSET + rng.normal(0, [0.05, 0.03, 0.03], mean.shape)


def observe(mag_i, colours, x, y, rng):
    """Photometry with noise of DES depth."""
    mags = dict(
        zip(
            "griz",
            (mag_i + colours[:, 0] + colours[:, 1], mag_i + colours[:, 1], mag_i, mag_i - colours[:, 2]),
            strict=True,
        )
    )
    frame, seen = pd.DataFrame({"x": x, "y": y}), {}
    for band, mag in mags.items():
        frame[f"error_{band}"] = np.clip(0.1 * 10 ** (0.4 * (mag - DEPTH_MAG[band])), 0.005, 2)
        seen[band] = mag + rng.normal(0, 1, len(x)) * frame[f"error_{band}"]
    frame["mag_i"], frame["mag_i_error"], frame["is_star"] = seen["i"], frame.error_i, False
    for a, b in ("gr", "ri", "iz"):
        frame[f"colour_{a}{b}"] = seen[a] - seen[b]
        frame[f"colour_{a}{b}_error"] = np.hypot(frame[f"error_{a}"], frame[f"error_{b}"])
    return frame


def draw_members(richness, redshift, rng):
    """i magnitudes and radii (Mpc) of Poisson(richness) members."""
    n = rng.poisson(richness)
    offset = np.linspace(-4, 1.75, 2000)
    weight = np.exp(-(10 ** (-0.4 * offset)))
    mag = np.interp(redshift, TABLE.redshift, TABLE.mstar_i) + rng.choice(offset, n, p=weight / weight.sum())
    inside = radial_tables(0.15 / 0.7)[1]
    top = np.interp(richness_radius_mpc(richness), PROFILE_RADII_MPC, inside)
    radius = np.interp(rng.uniform(0, top, n), inside, PROFILE_RADII_MPC)
    if n:
        brightest = np.argmin(mag)
        radius[brightest], mag[brightest] = 0, mag[brightest] - 0.3
    return mag, radius


def draw_field(rng, haloes, number=0, n_field=1200):
    """A field dict: uniform field galaxies, a quarter of them red, and the haloes (richness, redshift, x,
    y)."""
    z_field = rng.uniform(0.1, 0.8, n_field)
    colours = red_colours(z_field, rng)
    blue = rng.uniform(size=n_field) > 0.25
    colours[blue] -= np.array([0.7, 0.3, 0.15]) * rng.uniform(0.3, 1.3, (blue.sum(), 1))
    parts = [
        (
            24.3 + np.log10(rng.uniform(1e-3, 1, n_field)) / 0.33,
            colours,
            *rng.uniform(0, IMAGE_SIZE, (2, n_field)),
            0,
            0,
        )
    ]
    for richness, redshift, x0, y0 in haloes:
        mag, radius = draw_members(richness, redshift, rng)
        angle, scale = rng.uniform(0, 2 * np.pi, len(mag)), radius * pixels_per_mpc(redshift, PIXEL_ARCSEC)
        of_member = red_colours(np.full(len(mag), redshift), rng)
        parts.append(
            (
                mag,
                of_member,
                x0 + scale * np.cos(angle),
                y0 + scale * np.sin(angle),
                float(richness >= 20),
                redshift,
            )
        )
    mag, colours, x, y = (np.concatenate([part[k] for part in parts]) for k in range(4))
    member, cluster_z = (np.concatenate([np.full(len(part[0]), part[k], float) for part in parts]) for k in (4, 5))
    ok = (x >= 0) & (x < IMAGE_SIZE) & (y >= 0) & (y < IMAGE_SIZE)
    galaxies = observe(mag[ok], colours[ok], x[ok], y[ok], rng)
    catalog = pd.DataFrame({"X": x, "Y": y, "MEM": member, "FLUX_I": 10 ** (0.4 * (30 - mag)), "CLUSTER_Z": cluster_z})[
        ok
    ]
    wcs = tan_wcs(10.0 + number, -30.0, IMAGE_SIZE, PIXEL_ARCSEC)
    truth = pd.DataFrame(haloes, columns=["richness", "redshift", "x", "y"], dtype=float)
    ra, dec = sky_of_pixel(truth.x, truth.y, wcs) if len(truth) else (np.empty(0), np.empty(0))
    truth = truth.assign(
        field=number, ra=ra, dec=dec, cluster_id=np.arange(len(truth)), weight=np.where(truth.richness > 20, 0.1, 0.5)
    )
    galaxies = galaxies[galaxies.mag_i < 23.6].reset_index(drop=True)
    return known_field(
        number, wcs, galaxies, catalog, truth, image_size=IMAGE_SIZE, tile_size=TILE_SIZE, min_flux_for_loss=0.0
    )


def draw_haloes(rng):
    rows = []
    if rng.uniform() < 0.7:
        rows.append((min(20 * rng.uniform() ** -0.4, 120), rng.uniform(0.2, 0.65), *rng.uniform(0, IMAGE_SIZE, 2)))
    rows += [
        (rng.uniform(5, 20), rng.uniform(0.2, 0.7), *rng.uniform(0, IMAGE_SIZE, 2)) for _ in range(rng.poisson(0.5))
    ]
    return rows


@pytest.fixture(scope="module")
def training_fields():
    rng = np.random.default_rng(5)
    return [draw_field(rng, draw_haloes(rng), k) for k in range(30)]


@pytest.fixture(scope="module")
def finder(training_fields):
    """Red sequence and background of the drawn fields; knobs at their first values."""
    members = pd.concat([f["galaxies"][f["galaxies"].is_member] for f in training_fields], ignore_index=True)
    bare = tuned_red_sequence(initial_finder(TABLE, PIXEL_ARCSEC, KNOBS), members)
    return bare | background_of(bare, training_fields, IMAGE_SIZE)


def test_profile_is_the_projected_nfw():
    # The mass inside x = R / r_s is 2 pi (ln(x / 2) + arccos(1 / x) / sqrt(x^2 - 1)) for x > 1 (Bartelmann)
    x = np.linspace(2, 6, 40001)
    ring = 2 * np.pi * x * nfw_surface_density(x, 1.0)
    inside = np.log(x / 2) + np.arccos(1 / x) / np.sqrt(x**2 - 1)
    assert ring[1:-1].sum() * (x[1] - x[0]) == pytest.approx(2 * np.pi * (inside[-1] - inside[0]), rel=1e-3)
    assert nfw_surface_density(1.0, 1.0) == pytest.approx(1 / 3, rel=1e-3)  # the limit at r_s


def test_filters_integrate_to_one():
    mag = np.linspace(10, 24, 4001)
    light = luminosity_filter(mag, 0.02, 20.0, 1.75)
    assert light.sum() * (mag[1] - mag[0]) == pytest.approx(1, abs=0.01)
    chi2 = np.linspace(0, 60, 60001)
    assert chi2_density(chi2, 3).sum() * (chi2[1] - chi2[0]) == pytest.approx(1, abs=0.01)


def test_inside_fraction_of_centre_edge_and_corner(finder):
    tables = {**finder, "tables": radial_tables(0.2)}
    rings = rings_inside(np.array([4000.0, 0.0, 0.0]), np.array([4000.0, 4000.0, 0.0]), 0.5, tables, 8000)
    inside = inside_fraction(np.array([20.0, 50.0, 100.0]), rings, tables)
    assert inside == pytest.approx([1, 0.5, 0.25], abs=0.01)


def test_red_sequence_is_tuned_to_the_members(finder, training_fields):
    middle = (finder["redshift"] > 0.3) & (finder["redshift"] < 0.6)
    table = initial_finder(TABLE, PIXEL_ARCSEC, KNOBS)
    assert (finder["colour_mean"] - table["colour_mean"])[middle].mean(0) == pytest.approx(TRUE_OFFSET, abs=0.01)
    assert finder["colour_scatter"] == pytest.approx([0.05, 0.03, 0.03], abs=0.012)


def test_chi2_of_true_members_is_a_chi2_of_three(finder):
    rng = np.random.default_rng(6)
    z = int(np.argmin(np.abs(finder["redshift"] - 0.45)))
    n = 2000
    redshift = np.full(n, finder["redshift"][z])
    galaxies = observe(np.full(n, 20.0), red_colours(redshift, rng), np.zeros(n), np.zeros(n), rng)
    chi2, n_colours = red_sequence_chi2(galaxies, finder)
    assert (n_colours == 3).all()
    assert chi2[:, z].mean() == pytest.approx(3, abs=0.6)
    blind, n_colours = red_sequence_chi2(galaxies.assign(colour_gr=np.nan), finder)
    assert (n_colours == 2).all() and blind[:, z].mean() == pytest.approx(2, abs=0.5)


def test_richness_and_redshift_are_recovered_and_p_sums_to_richness(finder):
    rng = np.random.default_rng(7)
    ratios, errors = [], []
    for number in range(12):
        field = draw_field(rng, [(50.0, 0.42, 640.0, 640.0)], number)
        detections, p = find_clusters(field["galaxies"], finder, IMAGE_SIZE)
        first = detections.iloc[0]
        assert np.hypot(first.x - 640, first.y - 640) < 0.5 * pixels_per_mpc(0.42, PIXEL_ARCSEC)
        assert p[0].sum() == pytest.approx(first.raw_richness * first.inside, rel=0.02)
        assert first.inside < 1
        ratios.append(first.raw_richness / 50)
        errors.append(first.redshift - 0.42)
    assert np.mean(ratios) == pytest.approx(1, abs=0.12)
    assert abs(np.mean(errors)) < 0.012 and np.std(errors) < 0.02


def test_members_are_taken_once(finder):
    field = draw_field(np.random.default_rng(8), [(60.0, 0.4, 600.0, 600.0), (40.0, 0.41, 900.0, 900.0)])
    _, p = find_clusters(field["galaxies"], finder, IMAGE_SIZE)
    assert p.min() >= 0 and p.sum(0).max() <= 1 + 1e-9


def test_edge_cluster_keeps_its_richness(finder):
    rng = np.random.default_rng(9)
    found = [
        find_clusters(draw_field(rng, [(60.0, 0.45, 0.0, 640.0)])["galaxies"], finder, IMAGE_SIZE)[0].iloc[0]
        for _ in range(10)
    ]
    assert np.mean([row.raw_richness for row in found]) == pytest.approx(60, rel=0.25)


def test_no_galaxies_and_a_single_one_give_nothing(finder):
    galaxies = draw_field(np.random.default_rng(10), [])["galaxies"]
    for few in (galaxies.iloc[:0], galaxies.iloc[:1]):
        detections, p = find_clusters(few, finder, IMAGE_SIZE)
        assert len(detections) == 0 and p.shape == (0, len(few))
        features = tile_features(few, detections.assign(probability=1.0), p, finder, IMAGE_SIZE, TILE_SIZE)
        assert (features == np.log(NO_MEMBERS)).all()


def test_a_missing_colour_column_is_a_clear_error(finder):
    galaxies = draw_field(np.random.default_rng(10), [])["galaxies"].drop(columns="colour_ri")
    with pytest.raises(ValueError, match="no column colour_ri"):
        find_clusters(galaxies, finder, IMAGE_SIZE)


@pytest.fixture(scope="module")
def trained(training_fields):
    """A finder with few knobs tried, the limit that goes with it, and the lines that training tells."""
    few = {name: values[:2] for name, values in finder_training.KNOBS.items()}
    few["faint_limit_mag"], few["central_weight"] = (1.75,), (1.0,)
    lines = []
    splits = {"train": training_fields, "selection": training_fields[:10], "calibration": training_fields[10:]}
    sizes = {"image_size": IMAGE_SIZE, "tile_size": TILE_SIZE}
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(finder_training, "KNOBS", few)
        tuned, score = train(TABLE, splits, pixel_arcsec=PIXEL_ARCSEC, report=lines.append, **sizes)
    assert score > 0.6 and len(lines) == 4
    limit = calibrated_limit(tuned, splits["calibration"], **sizes)
    both = ({name: np.asarray(value) for name, value in one.items()} for one in (tuned, limit))
    return tuple(read_finder(one, "finder.npz") for one in both)


@pytest.fixture(scope="module")
def new_fields():
    rng = np.random.default_rng(11)
    return [draw_field(rng, draw_haloes(rng), number) for number in range(20)]


def finder_maps(field, tuned) -> list[np.ndarray]:
    """Probabilities of tiles at both rates."""
    detections, p = find_clusters(field["galaxies"], tuned, IMAGE_SIZE)
    detections = calibrated(detections, tuned)
    assert detections.probability.between(0, 1).all()
    features = tile_features(field["galaxies"], detections, p, tuned, IMAGE_SIZE, TILE_SIZE)
    return [tile_probability(features, tuned, prior) for prior in PRIORS]


def test_training_tunes_calibrates_and_finds_new_fields(trained, new_fields):
    truth = np.array([field["membership"] for field in new_fields])
    drawn, natural = np.moveaxis([finder_maps(field, trained[0]) for field in new_fields], 1, 0)
    assert drawn[truth].mean() > 5 * drawn[~truth].mean()
    assert abs(drawn.mean() - truth.mean()) < 0.06
    assert natural.mean() < drawn.mean()


def test_no_finder_beats_the_limit(trained, new_fields):
    tuned, limit = trained
    truth = np.array([field["membership"] for field in new_fields])
    features = [limit_tile_features(f["galaxies"], f["truth"], limit, IMAGE_SIZE, TILE_SIZE) for f in new_fields]
    for k, prior in enumerate(PRIORS):
        found = np.array([finder_maps(field, tuned)[k] for field in new_fields])
        known = np.array([tile_probability(each, limit, prior) for each in features])
        scores = [average_precision(each.ravel(), truth.ravel()) for each in (found, known)]
        assert scores[1] >= scores[0], prior


def test_the_limit_ranks_true_haloes_in_their_places(trained, new_fields):
    _, limit = trained
    for field in new_fields:
        found = calibrated(measure_haloes(field["galaxies"], field["truth"], limit, IMAGE_SIZE), limit)
        truth = field["truth"]
        assert found.x.tolist() == truth.x.tolist() and found.redshift.tolist() == truth.redshift.tolist()
        assert (found.redshift_error > 0).all()
        if len(truth) and truth.richness[0] > 40:
            assert found.probability[0] > 0.5


def test_known_haloes_outside_the_image_take_their_galaxies_and_are_no_candidates(trained):
    _, limit = trained
    field = draw_field(np.random.default_rng(3), [(80.0, 0.4, -60.0, 640.0), (8.0, 0.4, 100.0, 640.0)])
    alone = {**field, "truth": field["truth"].iloc[1:]}
    with_it, without = (measure_haloes(f["galaxies"], f["truth"], limit, IMAGE_SIZE) for f in (field, alone))
    assert len(with_it) == len(without) == 1
    assert with_it.raw_richness.item() < 0.7 * without.raw_richness.item()


def test_finder_and_encoder_are_calibrated_by_the_same_functions():
    assert finder_training.judged_candidates is detection_training.judged_candidates
    assert finder_training.fit_relations is detection_training.fit_relations


def test_candidates_are_judged_at_the_natural_rate(new_fields):
    """The matched one has its halo's richness and counts with its weight; that of a halo outside is dropped."""
    fields = [draw_field(np.random.default_rng(1), [(30.0, 0.4, 640.0, 640.0), (30.0, 0.4, -20.0, 100.0)], 0)]
    table = pd.DataFrame({"x": [645.0, 10.0, 1270.0], "y": [640.0, 100.0, 1270.0], "redshift": [0.41, 0.4, 0.7]})
    table = located(table.assign(richness=30.0, probability=0.5), 0, fields[0]["wcs"])
    judged = detection_training.judged_candidates(table, fields[0]["truth"], [0], IMAGE_SIZE)
    assert judged.true_richness.tolist() == [30.0, 0.0] and judged.true_redshift.tolist() == [0.4, 0.0]
    assert judged.weight[0] == pytest.approx(0.1 * judged.weight[1])


def test_untrained_file_is_a_clear_error():
    with pytest.raises(ValueError, match="not a trained finder"):
        read_finder({"redshift": np.zeros(3)}, "finder.npz")


def test_membership_map_is_row_column():
    catalog = pd.DataFrame({"X": [900.0, 10.0], "Y": [100.0, 10.0], "MEM": [1.0, 1.0], "FLUX_I": [100.0, 1.0]})
    truth = true_membership(catalog, 1280, 128, 10.0)
    assert truth.sum() == 1 and truth[0, 7]


def test_matching_takes_the_brightest_source():
    galaxies = pd.DataFrame({"x": [10.0, 500.0], "y": [10.0, 500.0]})
    catalog = pd.DataFrame({"X": [11.0, 10.0], "Y": [10.0, 10.0], "FLUX_I": [50.0, 5.0]})
    assert match_catalog(galaxies, catalog).tolist() == [0, -1]


def test_logistic_fit_recovers_its_model():
    rng = np.random.default_rng(12)
    features = rng.normal(2, 3, (20000, 2))
    labels = rng.uniform(size=20000) < 1 / (1 + np.exp(-(0.5 * features[:, 0] - 1.0 * features[:, 1] + 0.3)))
    assert fit_logistic(features, labels.astype(float)) == pytest.approx([0.5, -1.0, 0.3], abs=0.06)
