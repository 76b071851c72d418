"""When does a network that learned elsewhere help? Arms against the number of labels, on a far and on a near target.

Far: weights of ImageNet, for patches of the night sky, clear or cloudy (or any folder of classes). Near: a network that
learned Omega_m from pressure maps of one simulated code, for those of another. Controls are the same network from
scratch, a small one from scratch, and features of a network that never learned anything.
"""

from pathlib import Path

import numpy as np
from scipy import fft

from armillary.challenges import camels_skies
from armillary.challenges.scores import r_squared, seed_scores, splits, wholes
from armillary.files_challenges import read_image_folder

QUESTION = "Is transfer learning always effective? When does it help, and how many labels does it save?"
HEADLINE = ("sky_probe_accuracy_32", "sky_scratch_accuracy_32")
CAVEATS = (
    "Both targets are simulated unless a folder of images is given: patches of sky with stars, glow and cloud; "
    "pressure maps of the simulator of the challenge camels.",
    "Grey images are shown to ImageNet's three channels; the stretch (arcsinh) is ours and may decide the result.",
    "Every arm is tuned by the same search: a third of the labels, whole simulations of maps, is set aside; the "
    "penalty of a probe, "
    "or rate and number of steps of a network, are what does best there; then all labels are learned from. "
    "Sixteen labels leave five to choose by, and choices are as good as that.",
    "Fine-tuning starts from the probe (Kumar et al. 2022) at a tenth of the rates, keeps batch norms, and takes no "
    "step at all if none does good: then it is the probe. The large network takes a few dozen steps at most, as they "
    "cost much; the small one from scratch may take more and shows what labels alone give.",
    "A seed is a target set, a choice of labels and a start of its own; larger sets contain the smaller ones. With one "
    "seed, intervals know nothing of the choice of labels, and few labels depend on it much.",
    "Batch norms of random features are those of unlabelled training images, which makes them a strong control; so are "
    "those of the source's network on maps (settled_r2: what they alone do), but not ImageNet's on the sky, where that "
    "does harm.",
)
LITERATURE = (
    ("cost of hydrodynamic simulations, N-body pretraining against none", "8 to 15 times fewer", "arXiv:2505.21215"),
    ("pretraining on many physical systems against scratch", "better at all sample sizes, Fig. 5; unconfirmed",
     "arXiv:2310.02994"),
)  # fmt: skip
SIDE_PX = 48
ARMS = {
    "sky": ("probe", "finetune", "scratch", "small", "random"),
    "maps": ("probe", "finetune", "scratch", "random", "imagenet"),
}


def sample(files: list[str], settings: dict, seed: int) -> dict[str, np.ndarray]:
    """sky_images (n, side, side) between 0 and 1, sky_label (n,), sky_split; source_maps, source_parameters,
    source_split and target_maps, target_parameters, target_simulation, target_split; weights, a path or empty."""
    rng = np.random.default_rng([seed, 111])
    folders, weights = ([path for path in files if Path(path).is_dir() is kind] for kind in (True, False))
    if len(folders) > 1 or len(weights) > 1 or any(not path.endswith((".pth", ".pt")) for path in weights):
        raise ValueError(
            f"challenges: transfer: files are at most one folder of classes and one .pth of weights; got {files}"
        )
    if folders:
        images, label, names = read_image_folder(folders[0], SIDE_PX)
        sky = {"sky_images": images / 255.0, "sky_label": label}
        source = f"{len(images)} given images of {', '.join(names)}; simulated maps"
    else:
        sky = simulate_sky(settings["n_sky"], rng)
        source = "simulated patches of sky and simulated pressure maps"
    sky["sky_images"] = sky["sky_images"].astype(np.float32)
    data = sky | {"sky_split": splits(len(sky["sky_label"]), (0.5, 0.0), rng)}
    for name, code in (("source", "tng"), ("target", "simba")):
        parameters = camels_skies.draw_parameters(settings["n_simulations"], rng)
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
    """Patches of night sky (n, 48, 48), half of them behind cloud, arcsinh-stretched between 0 and 1, and labels.

    # ASSUME: star counts rise by 10^0.5 a magnitude; clouds are log-normal with a slope of -11/3 and a mean optical
    # depth of 0.5 to 3, darker or brighter than the sky; clear skies have gradients and haze just as smooth.
    """
    y, x = np.mgrid[:SIDE_PX, :SIDE_PX] / SIDE_PX - 0.5
    waves = np.hypot(*np.meshgrid(fft.fftfreq(SIDE_PX), fft.rfftfreq(SIDE_PX), indexing="ij"))
    label = rng.permutation(n) % 2
    images = np.empty((n, SIDE_PX, SIDE_PX))
    for number, cloudy in enumerate(label):
        slope = rng.normal(0, 0.5, 2)
        glow = 200 * rng.lognormal(0, 0.5) * np.exp(slope[0] * x + slope[1] * y)
        n_stars = rng.poisson(rng.lognormal(3.5, 0.4))
        flux = 150 * rng.uniform(size=n_stars) ** (-1 / 1.25)
        stars = np.zeros_like(x)
        for (row, column), one in zip(rng.uniform(-0.5, 0.5, (n_stars, 2)), np.minimum(flux, 2e4), strict=True):
            stars += one / (2 * np.pi) * np.exp(-0.5 * ((y - row) ** 2 + (x - column) ** 2) * SIDE_PX**2)
        root = np.where(waves > 0, np.maximum(waves, 1e-9) ** (-11 / 6), 0)
        field = fft.irfft2(fft.rfft2(rng.normal(size=x.shape)) * root, x.shape)
        field /= field.std()
        depth = rng.uniform(0.5, 3.0) * np.exp(field - 0.5) if cloudy else 0.03 * np.exp(0.5 * field)
        veil = 1 - np.exp(-depth)
        sky = glow * (1 + rng.uniform(-0.5, 1.5) * veil) * (1 + 0.1 * (not cloudy) * field)
        seen = rng.poisson(sky + stars * (1 - veil)) + rng.normal(0, 5, x.shape)
        middle, spread = np.median(seen), np.percentile(seen, 84) - np.median(seen)
        images[number] = np.clip(0.35 + 0.12 * np.arcsinh((seen - middle) / max(spread, 1.0)), 0, 1)
    return {"sky_images": images, "sky_label": label}


def score(data: list[dict], found: dict[str, list[dict]], settings: dict, rng: np.random.Generator) -> dict:
    """Accuracy or R2 at every number of labels; gain over scratch, labels saved, and where scratch draws level."""
    scores = {}
    for target, groups_of, curve in (("sky", _own, _accuracies), ("maps", _simulations, _explained)):
        names = [f"{target}_{arm}" for arm in ARMS[target] if f"{target}_{arm}" in found]
        if not names:
            continue
        groups = [groups_of(run) for run in found[names[0]]]
        statistics, baselines = _curves(found, names, target, curve)
        scores |= seed_scores(statistics, groups, settings["n_resamples"], rng, baselines=baselines)
    return scores


def _own(run) -> np.ndarray:
    return wholes(len(run["truth"]))


def _simulations(run) -> np.ndarray:
    return run["simulation"]


def _accuracies(run, index) -> list[float]:
    return [float(np.mean(one[index] == run["truth"][index])) for one in run["guess"]]


def _explained(run, index) -> list[float]:
    return [r_squared(run["truth"][index], one[index]) for one in run["guess"]]


def _curves(found, names: list[str], target: str, curve):
    unit = "accuracy" if target == "sky" else "r2"
    sizes = [int(size) for size in found[names[0]][0]["sizes"]]
    scratch = f"{target}_scratch"
    others = [name for name in names if name != scratch] if scratch in names else []
    baselines = {f"{name}_{unit}_{size}": f"{scratch}_{unit}_{size}" for name in others for size in sizes}

    def statistics(seed, index):
        curves = {name: curve(found[name][seed], index) for name in names}
        values = {f"{name}_{unit}_{n}": v for name in names for n, v in zip(sizes, curves[name], strict=True)}
        for name in others:
            gain = np.subtract(curves[name], curves[scratch])
            values |= {f"{name}_minus_scratch_{n}": float(v) for n, v in zip(sizes, gain, strict=True)}
            values[f"{name}_saving"] = labels_saved(sizes, curves[name], curves[scratch])
        for name, run in ((name, found[name][seed]) for name in names):
            if "n_steps" in run:
                values |= {f"{name}_steps_{n}": float(k) for n, k in zip(sizes, run["n_steps"], strict=True)}
            for kind in ("direct", "settled"):
                if kind in run:
                    values[f"{target}_{kind}_r2"] = r_squared(run["truth"][index], run[kind][index])
        return values

    return statistics, baselines


def labels_saved(sizes: list[int], curve: list[float], scratch: list[float]) -> float:
    """How many times fewer labels `curve` needs for what `scratch` reaches with all: a lower limit if it has that with
    the fewest, and below 1, the upper limit 1 / 2, if it never gets there. Between sizes, log-linear."""
    reached = np.maximum.accumulate(curve)
    wanted = scratch[-1]
    if reached[-1] < wanted:
        return 0.5
    if reached[0] >= wanted:
        return sizes[-1] / sizes[0]
    k = int(np.argmax(reached >= wanted))
    share = (wanted - reached[k - 1]) / (reached[k] - reached[k - 1])
    needed = np.exp(np.log(sizes[k - 1]) + share * np.log(sizes[k] / sizes[k - 1]))
    return float(sizes[-1] / needed)
