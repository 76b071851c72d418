"""When does a network that learned elsewhere help? Arms against the number of labels, on far and near targets.

Far: weights of ImageNet, for patches of the night sky, clear or cloudy (or any folder of classes), and for the pixels
of broken clouds. Near: a network that learned Omega_m from pressure maps of one simulated code, for those of another.
Controls are networks from scratch, features of a network that never learned anything, and a bank of filters.
"""

from pathlib import Path

import numpy as np
from sklearn.metrics import accuracy_score

from armillary.challenges import camels_skies
from armillary.challenges.fisheye import CLOUDY_DEPTH, random_field
from armillary.challenges.scores import r_squared, seed_scores, splits, wholes
from armillary.files_challenges import read_image_folder

QUESTION = "Is transfer learning always effective? When does it help, and how many labels does it save?"
CAVEATS = (
    "All targets are simulated unless a folder of images is given: patches of sky with stars, glow and cloud; "
    "pressure maps of the simulator of the challenge camels.",
    "Grey images are shown to ImageNet's three channels; the stretch (arcsinh) is ours and may decide the result.",
    "Every arm is tuned by the same search: a third of the labels, whole simulations of maps, is set aside; the "
    "penalty of a probe, or rate and number of steps of a network, are what does best there; then all labels are "
    "learned from. Sixteen labels leave five to choose by, and choices are as good as that.",
    "From scratch stands a small network that learns. EfficientNet-lite0 from scratch was at chance with 16 and with "
    "128 labels after the 64 steps that could be paid for, so it says nothing, and every arm, random features too, "
    "saved labels against it: it was left out.",
    "Fine-tuning starts from the probe (Kumar et al. 2022) at a tenth of the rates, keeps batch norms, and takes no "
    "step at all if none does good: then it is the probe. The large network takes a few dozen steps at most, as they "
    "cost much.",
    "A seed is a target set, a choice of labels and a start of its own; larger sets contain the smaller ones. With one "
    "seed, intervals know nothing of the choice of labels, and few labels depend on it much.",
    "Batch norms of random features are those of unlabelled training images, which makes them a strong control; so are "
    "those of the source's network on maps (settled_r2: what they alone do), but not ImageNet's on the sky, where that "
    "does harm.",
    "Filters are smoothed images, their spread and their points: what one would measure without any network.",
)
LITERATURE = (
    ("cost of hydrodynamic simulations, N-body pretraining against none", "8 to 15 times fewer", "arXiv:2505.21215"),
    ("pretraining on many physical systems against scratch", "better at all sample sizes, Fig. 5; unconfirmed",
     "arXiv:2310.02994"),
)  # fmt: skip
SIDE_PX = 48
ARMS = {
    "sky": ("probe", "finetune", "small", "random", "filters"),
    "maps": ("probe", "finetune", "scratch", "random", "imagenet"),
    "cloud": ("probe", "small", "random", "filters"),
}
SCRATCH = {"sky": "small", "maps": "scratch", "cloud": "small"}  # what learns from the labels alone


def sample(files: list[str], settings: dict, seed: int) -> dict[str, np.ndarray]:
    """sky_images (n, side, side) between 0 and 1, sky_label (n,), sky_split; cloud_images, cloud_mask (n, side, side),
    cloud_split; source_maps, source_parameters,
    source_split and target_maps, target_parameters, target_simulation, target_split; weights, a path or empty."""
    rng = np.random.default_rng([seed, 111])
    folders, weights = ([path for path in files if Path(path).is_dir() is kind] for kind in (True, False))
    if len(folders) > 1 or len(weights) > 1 or any(not path.endswith((".pth", ".pt")) for path in weights):
        raise ValueError(
            f"challenges: transfer: files are at most one folder of classes and one .pth of weights; got {files}"
        )
    if folders:
        images, label, names = read_image_folder(folders[0], SIDE_PX)
        sky = {"sky_images": (images / 255.0).astype(np.float32), "sky_label": label}
        source = f"{len(images)} given images of {', '.join(names)}; simulated maps"
    else:
        sky = simulate_sky(settings["n_sky"], rng)
        source = "simulated patches of sky and simulated pressure maps"
    data = sky | {"sky_split": splits(len(sky["sky_label"]), (0.5, 0.0), rng)}
    data |= simulate_broken_clouds(settings["n_clouds"], rng)
    data["cloud_split"] = splits(settings["n_clouds"], (0.5, 0.0), rng)
    for name, code, n in (("source", "tng", "n_simulations"), ("target", "simba", "n_target_simulations")):
        parameters = camels_skies.draw_parameters(settings[n], rng)
        maps = [camels_skies.simulate_maps(one, code, settings["n_maps"], 32, rng)[:, 1] for one in parameters]
        split = splits(len(parameters), (0.6, 0.1), rng)
        data |= {
            f"{name}_maps": np.log10(np.concatenate(maps)).astype(np.float32),
            f"{name}_parameters": np.repeat(parameters, settings["n_maps"], 0),
            f"{name}_simulation": np.repeat(np.arange(len(parameters)), settings["n_maps"]),
            f"{name}_split": np.repeat(split, settings["n_maps"]),
        }  # fmt: skip
    return data | {"source": np.array(source), "weights": np.array(weights[0] if weights else "")}


def simulate_sky(n: int, rng) -> dict[str, np.ndarray]:
    """Patches of night sky (n, 48, 48), half of them behind cloud, and labels.

    # ASSUME: clouds are log-normal with a slope of -11/3 and a mean optical depth of 0.5 to 3; clear skies have
    gradients and haze just as smooth.
    """
    label = rng.permutation(n) % 2
    images = np.empty((n, SIDE_PX, SIDE_PX))
    for number, cloudy in enumerate(label):
        clear_sky = _clear_sky(rng)
        field = random_field(SIDE_PX, 11 / 3, rng, 1)
        depth = rng.uniform(0.5, 3.0) * np.exp(field - 0.5) if cloudy else 0.03 * np.exp(0.5 * field)
        images[number] = _seen(*clear_sky, depth, 1 + 0.1 * (not cloudy) * field, rng)
    return {"sky_images": images.astype(np.float32), "sky_label": label}


def simulate_broken_clouds(n: int, rng) -> dict[str, np.ndarray]:
    """Patches (n, 48, 48) of which clouds cover a fifth to four fifths, and where: masks (n, 48, 48) of what is deeper
    than 0.3."""
    images, masks = np.empty((n, SIDE_PX, SIDE_PX), np.float32), np.empty((n, SIDE_PX, SIDE_PX), bool)
    for number in range(n):
        clear_sky = _clear_sky(rng)
        field = random_field(SIDE_PX, 11 / 3, rng, 1)
        threshold = np.quantile(field, rng.uniform(0.2, 0.8))
        depth = rng.uniform(1.0, 3.0) * np.clip(field - threshold, 0, None) ** 0.7
        images[number], masks[number] = _seen(*clear_sky, depth, 1.0, rng), depth > CLOUDY_DEPTH
    return {"cloud_images": images, "cloud_mask": masks}


def _clear_sky(rng) -> tuple[np.ndarray, np.ndarray]:
    """Glow and stars, photons a pixel. # ASSUME: star counts rise by 10^0.5 a magnitude."""
    y, x = np.mgrid[:SIDE_PX, :SIDE_PX] / SIDE_PX - 0.5
    slope = rng.normal(0, 0.5, 2)
    glow = 200 * rng.lognormal(0, 0.5) * np.exp(slope[0] * x + slope[1] * y)
    n_stars = rng.poisson(rng.lognormal(3.5, 0.4))
    flux = 150 * rng.uniform(size=n_stars) ** (-1 / 1.25)
    stars = np.zeros_like(x)
    for (row, column), one in zip(rng.uniform(-0.5, 0.5, (n_stars, 2)), np.minimum(flux, 2e4), strict=True):
        stars += one / (2 * np.pi) * np.exp(-0.5 * ((y - row) ** 2 + (x - column) ** 2) * SIDE_PX**2)
    return glow, stars


def _seen(glow, stars, depth, haze, rng) -> np.ndarray:
    """The patch behind clouds of optical `depth`, darker or brighter than the sky, arcsinh-stretched to 0 to 1."""
    veil = 1 - np.exp(-depth)
    sky = glow * (1 + rng.uniform(-0.5, 1.5) * veil) * haze
    seen = rng.poisson(sky + stars * (1 - veil)) + rng.normal(0, 5, glow.shape)
    middle, spread = np.median(seen), np.percentile(seen, 84) - np.median(seen)
    return np.clip(0.35 + 0.12 * np.arcsinh((seen - middle) / max(spread, 1.0)), 0, 1)


def score(data: list[dict], found: dict[str, list[dict]], settings: dict, rng: np.random.Generator) -> dict:
    """Accuracy, R2 or overlap at every number of labels, and what each arm has over learning from scratch."""
    scores = {}
    for target in ARMS:
        names = [f"{target}_{arm}" for arm in ARMS[target] if f"{target}_{arm}" in found]
        if not names:
            continue
        groups = [run["simulation"] if "simulation" in run else wholes(len(run["truth"])) for run in found[names[0]]]
        statistics, baselines = _curves(found, names, target)
        scores |= seed_scores(statistics, groups, settings["n_resamples"], rng, baselines=baselines)
    return scores


def overlap(truth: np.ndarray, guess: np.ndarray) -> float:
    """Pixels that both call cloud over those that either does, and the same of clear sky: the mean of the two, since
    calling all cloud would do for the first."""
    both, either = np.sum(truth & guess), np.sum(truth | guess)
    return float(0.5 * (both / either + (truth.size - either) / (truth.size - both)))


UNITS = {"sky": "accuracy", "maps": "r2", "cloud": "overlap"}
MEASURES = {"sky": accuracy_score, "maps": r_squared, "cloud": overlap}


def _curves(found, names: list[str], target: str):
    unit, measure = UNITS[target], MEASURES[target]
    sizes = [int(size) for size in found[names[0]][0]["sizes"]]
    scratch = f"{target}_{SCRATCH[target]}"
    others = [name for name in names if name != scratch] if scratch in names else []
    baselines = {f"{name}_{unit}_{size}": f"{scratch}_{unit}_{size}" for name in others for size in sizes}
    probe = f"{target}_probe"

    def statistics(seed, index):
        runs = {name: found[name][seed] for name in names}
        curves = {
            name: [float(measure(run["truth"][index], one[index])) for one in run["guess"]]
            for name, run in runs.items()
        }
        values = {f"{name}_{unit}_{n}": v for name in names for n, v in zip(sizes, curves[name], strict=True)}
        pairs = [(name, scratch, f"{name}_minus_scratch") for name in others]
        if probe in names:
            rivals = [name for name in names if name not in (probe, scratch)]
            pairs += [(probe, name, f"{probe}_minus_{name.rpartition('_')[2]}") for name in rivals]
        for one, other, key in pairs:
            gain = np.subtract(curves[one], curves[other])
            values |= {f"{key}_{n}": float(v) for n, v in zip(sizes, gain, strict=True)}
        for name, run in runs.items():
            if "n_steps" in run:
                values |= {f"{name}_steps_{n}": float(k) for n, k in zip(sizes, run["n_steps"], strict=True)}
            for kind in ("direct", "settled"):
                if kind in run:
                    values[f"{target}_{kind}_r2"] = r_squared(run["truth"][index], run[kind][index])
        return values

    return statistics, baselines
