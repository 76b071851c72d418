"""Cherenkov rings: how many, where and how large, drawn anew, and which particle made them.

Two levels. Drawn rings follow the data sets of the A3Net school (28 x 28 px, dots along jittered circles); detector
events come from `cherenkov`. Given files replace what they are: a folder with labels.txt the counting, one with
labels.json the regression and generation, an HDF5 file with event_data the detector.
"""

from pathlib import Path

import numpy as np

from armillary.challenges.cherenkov import N_COLUMNS, N_ROWS, PARTICLES, module_image, sample_events
from armillary.challenges.scores import area_under_roc, seed_scores, wholes
from armillary.files_challenges import (
    count_hdf5_rows,
    read_hdf5_arrays,
    read_integer_labels,
    read_numbered_images,
    read_ring_labels,
)

QUESTION = (
    "How many Cherenkov rings are in an image, where is a ring and how large is it, can new ones be drawn from labels, "
    "and was it a muon, an electron, a photon or a neutral pion?"
)
CAVEATS = (
    "Rings that all but coincide cannot be counted by anybody: accuracy has a ceiling below 1.",
    "The detector is a barrel: light on the caps is left out, water neither scatters light nor do walls reflect it.",
    "A photon and an electron differ by one conversion length; no method is expected to tell them apart well.",
    "Relative errors explode for small true values, so resolutions are absolute.",
    "Networks that draw rings are told of each pixel how far it is from the circle of the labels: where a ring is "
    "comes for nothing, and only how it looks is learned. A convolutional decoder of the labels alone was tried and "
    "missed centres by more.",
    "Rings are circles, jittered; the ellipses that the school suggests as an extension are not drawn.",
)
LITERATURE = (
    (
        "e/mu mis-identification, single rings below a GeV",
        "below about 1 % (Super-Kamiokande), unconfirmed",
        "from memory",
    ),
    ("momentum resolution mu, e", "1.35 %, 2.39 % (ResNet, Hyper-Kamiokande)", "arXiv:2604.13503"),
    ("centre x, y of drawn rings", "relative error 0.04 to 0.05", "figure of the school's notebook"),
)
COUNTERS = ("pca_svm_whitened", "pca_svm_unturned", "pca_svm", "cnn")
SIDE_PX = 28
LABELS = ("x", "y", "radius", "thickness", "deformation")
ENERGY_BINS = 4


def sample(files: list[str], settings: dict, seed: int) -> dict[str, np.ndarray]:
    """Images and labels of the three levels. `<level>_split` is 0 for training, 1 for validation, 2 for test.

    count_images (n, 28, 28) uint8, count (n,); ring_images, ring_labels (n, 5) px; events (n, 2, rows, columns),
    particle (n,) as an index of PARTICLES, energy_mev (n,).
    """
    rng = np.random.default_rng([seed, 81])
    given = {}
    for path in files:
        given |= read(path, settings["n_detector"])
    numbers = settings["n_counting"], settings["n_regression"]
    data = given if "count" in given else given | sample_counts(numbers[0], 4, rng)
    data = data if "ring_labels" in data else data | sample_rings(numbers[1], rng)
    if "events" not in data:
        found = sample_events(settings["n_detector"], tuple(settings["energy_mev"]), rng)
        data |= {"events": found["images"], "particle": found["particle"], "energy_mev": found["energy_mev"]}
    real = ", ".join(Path(path).name for path in files)
    source = (
        f"given files {real}; the rest simulated" if files else "simulated rings, and a simulated barrel of modules"
    )
    shares = [settings["train_share"], settings["validation_share"]]
    for level, key in (("count", "count"), ("ring", "ring_labels"), ("event", "particle")):
        n = len(data[key])
        data[f"{level}_split"] = (rng.permutation(n)[:, None] >= n * np.cumsum(shares)).sum(1).astype(np.int8)
    return data | {"source": np.array(source)}


def sample_counts(n: int, max_rings: int, rng) -> dict[str, np.ndarray]:
    """`n` images with 1 ... max_rings rings each, merged by their maximum."""
    count = rng.integers(1, max_rings + 1, n)
    owner = np.repeat(np.arange(n), count)
    labels = draw_labels(len(owner), 3, (0.2, 1.0), (0.0, 1.0), rng)
    rings = draw_rings(labels, rng)
    images = np.zeros((n, SIDE_PX, SIDE_PX), np.uint8)
    np.maximum.at(images, owner, rings)
    return {"count_images": images, "count": count}


def sample_rings(n: int, rng) -> dict[str, np.ndarray]:
    """`n` images of one ring and its labels."""
    labels = draw_labels(n, 4, (0.2, 1.5), (0.5, 3.0), rng)
    return {"ring_images": draw_rings(labels, rng), "ring_labels": labels}


def draw_labels(n: int, min_radius: int, thickness: tuple, deformation: tuple, rng) -> np.ndarray:
    """(n, 5) centre, radius, thickness and deformation in pixels; a ring keeps two pixels from the edges."""
    centre = rng.integers(5, 24 - 1, (n, 2))
    room = np.minimum(centre, SIDE_PX - centre).min(1) - 2
    centre[room < min_radius] = np.clip(centre[room < min_radius], min_radius + 2, SIDE_PX - min_radius - 2)
    room = np.minimum(centre, SIDE_PX - centre).min(1) - 2
    radius = rng.integers(min_radius, np.maximum(room, min_radius) + 1)
    return np.column_stack([centre, radius, rng.uniform(*thickness, n), rng.uniform(*deformation, n)]).astype(float)


def draw_rings(labels: np.ndarray, rng, n_dots: int = 360) -> np.ndarray:
    """Rings of 360 dots, uint8 (n, 28, 28); each dot is off the circle by up to half the deformation.

    # ASSUME: a dot is a Gaussian whose sigma is half a pixel and a third of the thickness in quadrature.
    """
    images = np.empty((len(labels), SIDE_PX, SIDE_PX), np.uint8)
    angle = np.linspace(0, 2 * np.pi, n_dots, endpoint=False)
    pixels = np.arange(SIDE_PX) + 0.5
    for start in range(0, len(labels), 500):
        x, y, radius, thickness, deformation = labels[start : start + 500].T[:, :, None]
        n = len(x)
        jitter = rng.uniform(-0.5, 0.5, (2, n, n_dots)) * deformation
        places = [(x + radius * np.cos(angle) + jitter[0]), (y + radius * np.sin(angle) + jitter[1])]
        sigma = np.hypot(0.5, thickness / 3)[:, :, None]
        rows, columns = (
            np.exp(-0.5 * ((place[:, :, None] - pixels) / sigma) ** 2).astype(np.float32) for place in places[::-1]
        )
        light = np.einsum("kdi,kdj->kij", rows, columns, optimize=True)
        bright = 255 * (1 - np.exp(-2.0 * light / np.median(light.max((1, 2)))))
        images[start : start + n] = bright
    return images


def read(path: str, n_events: int) -> dict[str, np.ndarray]:
    """One given folder or file, told apart by what is in it; at most `n_events` events, from all parts of a file."""
    place = Path(path)
    if (place / "labels.txt").exists():
        count = read_integer_labels(str(place / "labels.txt"))
        if count.min() < 1 or count.max() > 20:
            raise ValueError(f"{place}/labels.txt counts {count.min()} to {count.max()} rings; 1 to 20 were expected")
        return {"count_images": read_numbered_images(path, len(count), SIDE_PX), "count": count}
    if (place / "labels.json").exists():
        labels = read_ring_labels(str(place / "labels.json"))
        return {"ring_images": read_numbered_images(path, len(labels), SIDE_PX), "ring_labels": labels}
    if place.suffix in (".h5", ".hdf5"):
        return read_events(path, n_events)
    raise ValueError(f"{path} is no folder with labels.txt or labels.json, and no HDF5 file (challenges: rings: files)")


def read_events(path: str, n_events: int) -> dict[str, np.ndarray]:
    """Barrel images of multi-PMT modules: event_data (n, 16, 40, 38), charges of 19 tubes and then their times; labels
    0 gamma, 1 e, 2 mu; energies in MeV where the file has them."""
    n_rows = count_hdf5_rows(path, "event_data")
    every = max(n_rows // n_events, 1)
    rows = slice(0, every * n_events, every)
    names = {"event_data": 4, "labels": 1} | ({"energies": 1} if count_hdf5_rows(path, "energies") else {})
    arrays = read_hdf5_arrays(path, names, rows)
    event, particle = arrays["event_data"].astype(np.float64), arrays["labels"].astype(int)
    if event.shape[1:] != (N_ROWS, N_COLUMNS, 38) or not np.isfinite(event).all():
        raise ValueError(f"{path}: event_data is {event.shape}; finite (n, {N_ROWS}, {N_COLUMNS}, 38) was expected")
    if particle.min() < 0 or particle.max() > 2:
        raise ValueError(f"{path}: labels run from {particle.min()} to {particle.max()}; 0, 1 and 2 were expected")
    charge = event[..., :19].sum(-1)
    time = (event[..., 19:] * event[..., :19]).sum(-1) / np.maximum(charge, 1e-9)
    images = np.stack([module_image(q, t) for q, t in zip(charge, time, strict=True)])
    energy = arrays.get("energies", charge.sum((1, 2)))  # no energy in the file: the charge stands for it
    return {"events": images, "particle": particle, "energy_mev": np.asarray(energy, float)}


def score(data: list[dict], found: dict[str, list[dict]], settings: dict, rng: np.random.Generator) -> dict:
    """Counting, regression, generation and particles, each on test images of its own."""
    n_resamples = settings["n_resamples"]
    scores = {}
    for classes in ("two", "three", "four"):
        names = [name for name in (f"{method}_{classes}" for method in COUNTERS) if name in found]
        if names:
            pairs = {
                f"{name}_accuracy": f"pca_svm_{classes}_accuracy" for name in names if name != f"pca_svm_{classes}"
            }
            pairs = pairs if f"pca_svm_{classes}" in names else {}
            scores |= seed_scores(*_counting(found, names, classes), n_resamples, rng, baselines=pairs)
    if "dbscan" in found:
        scores |= seed_scores(*_clusters(found["dbscan"]), n_resamples, rng)
    if "regressor" in found:
        units = {"_px": "px", "_pixels": "px"}
        scores |= seed_scores(*_regression(found["regressor"]), n_resamples, rng, units=units)
    names = [name for name in ("generator_plain", "generator_vae") if name in found]
    if names:
        scores |= seed_scores(*_generation(found, names), n_resamples, rng, units={"_px": "px", "_px_of_real": "px"})
    if "generation_curve" in found:
        scores |= seed_scores(*_generation_curve(found["generation_curve"]), n_resamples, rng, units={"_px": "px"})
    names = [name for name in ("detector_charge", "detector_boosting", "detector_cnn") if name in found]
    if names:
        baselines = {f"detector_cnn_auc_{p}": f"detector_boosting_auc_{p}" for p in ("mu", "gamma", "pi0")}
        baselines = baselines if {"detector_cnn", "detector_boosting"} <= set(names) else {}
        scores |= seed_scores(*_particles(data, found, names), n_resamples, rng, baselines=baselines)
    return scores


def _counting(found, names, classes):
    def statistics(seed, index):
        truth = found[names[0]][seed]["truth"][index]
        right = {name: found[name][seed]["guess"][index] == truth for name in names}
        values = {f"{name}_accuracy": float(one.mean()) for name, one in right.items()}
        if classes == "four":
            values |= {f"{name}_accuracy_of_{k}": float(one[truth == k].mean())
                       for name, one in right.items() for k in range(1, 5)}  # fmt: skip
        for other in COUNTERS[:-1]:
            pair = [f"{method}_{classes}" for method in ("cnn", other)]
            if set(pair) <= set(names):
                gain = values[f"{pair[0]}_accuracy"] - values[f"{pair[1]}_accuracy"]
                values[f"cnn_{classes}_gain{other.removeprefix('pca_svm')}"] = gain
        return values

    return statistics, [wholes(len(one["truth"])) for one in found[names[0]]]


def _clusters(runs):
    def statistics(seed, index):
        truth, clusters = runs[seed]["truth"][index], runs[seed]["n_clusters"][index]
        return {"dbscan_accuracy": float(np.mean(truth == clusters)),
                "dbscan_correlation": float(np.corrcoef(truth, clusters)[0, 1])}  # fmt: skip

    return statistics, [wholes(len(one["truth"])) for one in runs]


def _regression(runs):
    def statistics(seed, index):
        error = (runs[seed]["mean"] - runs[seed]["truth"])[index]
        sigma = runs[seed]["sigma"][index]
        values = {f"regressor_{name}_px": float(np.sqrt(np.mean(error[:, k] ** 2))) for k, name in enumerate(LABELS)}
        values["regressor_centre_pixels"] = float(np.sqrt(np.mean(error[:, :2] ** 2)))
        inside = np.abs(error) < sigma
        return values | {f"regressor_{name}_coverage": float(inside[:, k].mean()) for k, name in enumerate(LABELS)}

    return statistics, [wholes(len(one["truth"])) for one in runs]


def _generation(found, names):
    """An independent regressor reads the drawn images: what was asked for must be in them; and two drawings of the same
    labels must differ as much as two of the simulator's."""

    def statistics(seed, index):
        values = {}
        for name in names:
            one = found[name][seed]
            asked, seen, real = (one[key][index] for key in ("asked", "seen", "seen_real"))
            values |= {f"{name}_{key}": value for key, value in _read_back(seen, asked).items()}
            values |= {f"{name}_{key}_of_real": value for key, value in _read_back(real, asked).items()}
            values[f"{name}_misfit"] = float(np.sqrt(one["misfit"][index].mean()))
            values[f"{name}_deformation_r"] = float(np.corrcoef(seen[:, 4], asked[:, 4])[0, 1])
            values[f"{name}_deformation_r_of_real"] = float(np.corrcoef(real[:, 4], asked[:, 4])[0, 1])
            values[f"{name}_diversity"] = float(one["variance"][index].mean() / one["variance_real"][index].mean())
        return values

    return statistics, [wholes(len(one["asked"])) for one in found[names[0]]]


def _generation_curve(runs):
    def statistics(seed, index):
        one, values = runs[seed], {}
        for size, seen, misfit in zip(one["sizes"], one["seen"], one["misfit"], strict=True):
            read = _read_back(seen[index], one["asked"][index])
            values |= {f"generator_vae_of_{size}_{key}": value for key, value in read.items()}
            values[f"generator_vae_of_{size}_misfit"] = float(np.sqrt(misfit[index].mean()))
        return values

    return statistics, [wholes(len(one["asked"])) for one in runs]


def _read_back(seen: np.ndarray, asked: np.ndarray) -> dict[str, float]:
    """How far what a regressor reads in drawn images is from what was asked for, root mean square in px."""
    error = np.sqrt(np.mean((seen - asked) ** 2, 0))
    return {"centre_px": float(np.hypot(*error[:2]) / np.sqrt(2)), "radius_px": float(error[2])}


def _particles(data, found, names):
    truths = [one["particle"][one["event_split"] == 2] for one in data]
    energies = [one["energy_mev"][one["event_split"] == 2] for one in data]
    edges = np.quantile(np.concatenate(energies), np.linspace(0, 1, ENERGY_BINS + 1)[1:-1])
    electron = PARTICLES.index("e")

    def statistics(seed, index):
        truth, energy = truths[seed][index], np.searchsorted(edges, energies[seed][index])
        values = {}
        for name in names:
            chance = found[name][seed]["probability"][index]
            for other in ("mu", "gamma", "pi0"):
                k = PARTICLES.index(other)
                pair = (truth == k) | (truth == electron)
                if not (truth == k).any():
                    continue
                ratio = np.log(chance[:, electron] + 1e-9) - np.log(chance[:, k] + 1e-9)
                values[f"{name}_auc_{other}"] = area_under_roc(ratio[pair], truth[pair] == electron)
                if name == "detector_cnn":
                    for b in range(ENERGY_BINS):
                        part = pair & (energy == b)
                        auc = area_under_roc(ratio[part], truth[part] == electron)
                        values[f"detector_cnn_auc_{other}_energy_{b + 1}"] = auc
        return values

    return statistics, [wholes(len(truth)) for truth in truths]
