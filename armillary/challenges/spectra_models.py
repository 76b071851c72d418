"""Distributions of galaxy spectra: components with a mixture, an autoencoder with a flow, and one with wishes."""

import numpy as np
import torch
from sklearn.decomposition import PCA
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import RidgeCV
from sklearn.mixture import GaussianMixture
from torch import Tensor, nn

from armillary.challenges.galaxy_spectra import N_PIXELS, STEP
from armillary.challenges.loop import Training, build, fit
from armillary.challenges.spectra import SAMPLERS
from armillary.challenges.spectral_indices import indices, measure_redshifts, rest_templates, to_observed, to_rest

TRAIN, VALIDATION, TEST = 0, 1, 2
N_JUDGED = 20  # principal components that the judge sees


def train(variant: str, data: dict[str, np.ndarray], settings: dict, seed: int) -> dict[str, np.ndarray]:
    """chi2 (n_sizes, n_test) a pixel of held-out spectra, and what is drawn, judged and measured."""
    split = {k: np.flatnonzero(data["split"] == k) for k in (TRAIN, VALIDATION, TEST)}
    rng = np.random.default_rng([seed, 79])
    sizes = settings["n_latents"] if variant != "conditional" else settings["n_latents"][:1]
    chi2, drawn, found = [], {}, {}
    for size in sizes:
        keep = size == settings["n_latents"][0]
        if variant == "pca":
            model, samples = fit_components(data, split, size, rng, keep)
        else:
            model, samples, history = fit_autoencoder(variant, data, split, size, settings, seed, keep)
            found |= {"history": history} if keep else {}
        chi2.append(misfit(model, data["flux"][split[TEST]], data["ivar"][split[TEST]]))
        drawn |= samples
    return found | {"sizes": np.array(sizes), "chi2": np.array(chi2)} | judge(variant, drawn, data, split, seed, rng)


def misfit(model: np.ndarray, flux: np.ndarray, ivar: np.ndarray) -> np.ndarray:
    """chi2 a measured pixel (n,)."""
    return (ivar * (flux - model) ** 2).sum(1) / np.maximum((ivar > 0).sum(1), 1)


def weighted_components(flux, ivar, n_components: int, n_rounds: int = 8) -> tuple[np.ndarray, np.ndarray]:
    """Mean and components (K, n_pixels) that minimise chi2 with gaps (expectation-maximisation; Roweis 1998)."""
    weight = np.maximum(ivar.sum(0), 1e-9)
    mean = (ivar * flux).sum(0) / weight
    left = flux - mean
    basis = np.linalg.svd(np.where(ivar > 0, left, 0), full_matrices=False)[2][:n_components]
    for _ in range(n_rounds):
        weights = component_weights(left, ivar, basis)
        mean = mean + (ivar * (left - weights @ basis)).sum(0) / weight
        left = flux - mean
        weights = component_weights(left, ivar, basis)
        normal = np.einsum("nk,nl,np->pkl", weights, weights, ivar, optimize=True) + 1e-6 * np.eye(n_components)
        right = np.einsum("nk,np->pk", weights, ivar * left, optimize=True)
        basis = np.linalg.qr(np.linalg.solve(normal, right[..., None])[..., 0])[0].T
    return mean, basis


def component_weights(left, ivar, basis) -> np.ndarray:
    """Weights (n, K) of the components that fit each spectrum best, given its errors and gaps."""
    normal = np.einsum("np,kp,lp->nkl", ivar, basis, basis, optimize=True) + 1e-6 * np.eye(len(basis))
    return np.linalg.solve(normal, ((ivar * left) @ basis.T)[..., None])[..., 0]


def fit_components(data, split, size, rng, keep) -> tuple[np.ndarray, dict]:
    """Reconstructions of test spectra, and spectra drawn from a Gaussian mixture of the weights."""
    flux, ivar = (data[key].astype(float) for key in ("flux", "ivar"))
    mean, basis = weighted_components(flux[split[TRAIN]], ivar[split[TRAIN]], size)
    weights = [component_weights(flux[rows] - mean, ivar[rows], basis) for rows in (split[TRAIN], split[TEST])]
    samples = {}
    if keep:
        mixture = GaussianMixture(8, random_state=int(rng.integers(1 << 31)), reg_covar=1e-4).fit(weights[0])
        drawn = rng.permutation(mixture.sample(len(split[TEST]))[0])  # they come component by component
        samples["mixture"] = mean + drawn @ basis
    return mean + weights[1] @ basis, samples


class SpectrumAutoencoder(nn.Module):
    """Spectra to a Gaussian of K latents and back; `n_wishes` numbers are known to both sides."""

    def __init__(self, size: int, n_wishes: int, mean: np.ndarray, spread: np.ndarray):
        super().__init__()
        self.register_buffer("mean", torch.from_numpy(mean.astype(np.float32)))
        self.register_buffer("spread", torch.from_numpy(spread.astype(np.float32)))
        self.encoder = nn.Sequential(
            nn.Linear(len(mean) + n_wishes, 256), nn.SiLU(), nn.Linear(256, 128), nn.SiLU(), nn.Linear(128, 2 * size)
        )
        self.decoder = nn.Sequential(
            nn.Linear(size + n_wishes, 128), nn.SiLU(), nn.Linear(128, 384), nn.SiLU(), nn.Linear(384, len(mean))
        )

    def encode(self, flux: Tensor, ivar: Tensor, wishes: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and ln variance (B, K); pixels that are missing count as the mean spectrum."""
        scaled = torch.where(ivar > 0, (flux - self.mean) / self.spread, 0)
        mean, ln_variance = self.encoder(torch.cat([scaled, wishes], 1)).chunk(2, 1)
        return mean, ln_variance.clamp(-12, 4)

    def decode(self, latents: Tensor, wishes: Tensor) -> Tensor:
        """Spectra (B, n_pixels)."""
        return self.mean + self.spread * self.decoder(torch.cat([latents, wishes], 1))

    def loss(self, flux, ivar, wishes, noise, beta: float) -> Tensor:
        """Half of chi2 and `beta` times the divergence from the unit Gaussian, a pixel."""
        mean, ln_variance = self.encode(flux, ivar, wishes)
        model = self.decode(mean + noise * torch.exp(0.5 * ln_variance), wishes)
        divergence = 0.5 * (mean**2 + ln_variance.exp() - 1 - ln_variance).sum(1)
        return (0.5 * (ivar * (flux - model) ** 2).sum(1) + beta * divergence).mean() / N_PIXELS


class Coupling(nn.Module):
    """Affine couplings of alternating halves (RealNVP, Dinh et al. 2017), given what is wished for."""

    def __init__(self, size: int, n_wishes: int, n_layers: int = 8, n_hidden: int = 48):
        super().__init__()
        masks = [(torch.arange(size) + k) % 2 for k in range(n_layers)]
        self.register_buffer("masks", torch.stack(masks).float())
        self.nets = nn.ModuleList(
            nn.Sequential(nn.Linear(size + n_wishes, n_hidden), nn.SiLU(), nn.Linear(n_hidden, n_hidden), nn.SiLU(),
                          nn.Linear(n_hidden, 2 * size))
            for _ in range(n_layers)
        )  # fmt: skip

    def forward(self, latents: Tensor, wishes: Tensor) -> tuple[Tensor, Tensor]:
        """Latents to unit Gaussians, and the ln determinant."""
        x, ln_determinant = latents, 0
        for mask, net in zip(self.masks, self.nets, strict=True):
            scale, shift = self._moves(net, mask, x, wishes)
            x = x * torch.exp(scale) + shift
            ln_determinant = ln_determinant + scale.sum(1)
        return x, ln_determinant

    def inverse(self, noise: Tensor, wishes: Tensor) -> Tensor:
        """Unit Gaussians to latents."""
        x = noise
        for mask, net in zip(self.masks.flip(0), reversed(self.nets), strict=True):
            scale, shift = self._moves(net, mask, x, wishes)
            x = (x - shift) * torch.exp(-scale)
        return x

    def _moves(self, net, mask, x, wishes):
        scale, shift = net(torch.cat([x * mask, wishes], 1)).chunk(2, 1)
        return torch.tanh(scale) * (1 - mask), shift * (1 - mask)

    def loss(self, latents: Tensor, wishes: Tensor) -> Tensor:
        """Negative log-likelihood but for a constant."""
        x, ln_determinant = self(latents, wishes)
        return (0.5 * (x**2).sum(1) - ln_determinant).mean()


def fit_autoencoder(variant, data, split, size, settings, seed, keep):
    """Reconstructions of test spectra; spectra drawn from the prior and by a flow, or as is asked for.

    The one with wishes learns in the rest frame, and what it draws is shifted to the redshift that is asked for.
    """
    rows, test, outside = split[TRAIN], split[TEST], split[VALIDATION]
    conditional = variant == "conditional"
    lead = int(np.log1p(data["z"].max()) / STEP) + 2
    pair = to_rest(data["flux"], data["ivar"], data["z"], lead) if conditional else (data["flux"], data["ivar"])
    wishes = wishes_of(data, rows) if conditional else torch.zeros(len(data["z"]), 0)
    mean = (pair[1][rows] * pair[0][rows]).sum(0) / np.maximum(pair[1][rows].sum(0), 1e-9)
    spread = np.sqrt((np.where(pair[1][rows] > 0, pair[0][rows] - mean, 0) ** 2).mean(0)) + 1e-3
    flux, ivar = (torch.from_numpy(part) for part in pair)
    network = build(lambda: SpectrumAutoencoder(size, wishes.shape[1], mean, spread), seed)

    def loss(index, rng):
        part = rows[index]
        noise = torch.from_numpy(rng.normal(size=(len(index), size)).astype(np.float32))
        return network.loss(flux[part], ivar[part], wishes[part], noise, settings["beta"])

    def held_out():
        return network.loss(flux[outside], ivar[outside], wishes[outside], 0.0, settings["beta"])

    training = Training(settings["n_epochs"], settings["batch_size"], settings["learning_rate"])
    history = fit(network, loss, len(rows), held_out, training, seed)
    with torch.inference_mode():
        model = network.decode(network.encode(flux[test], ivar[test], wishes[test])[0], wishes[test]).numpy()
        latents, ln_variance = network.encode(flux, ivar, wishes)
    samples = draw(variant, network, (latents, ln_variance), wishes, split, settings, seed) if keep else {}
    if conditional:
        model = to_observed(model, data["z"][test], lead)
        samples = {name: to_observed(spectra, data["z"][test], lead) for name, spectra in samples.items()}
    return model, samples, history


def draw(variant, network, posterior, wishes, split, settings, seed) -> dict[str, np.ndarray]:
    """Noiseless spectra, as many as there are test spectra, for each sampler of the variant."""
    latents, ln_variance = (part.clone() for part in posterior)
    rows, test, outside = split[TRAIN], split[TEST], split[VALIDATION]
    middle, width = latents[rows].mean(0), latents[rows].std(0) + 1e-3
    flow = build(lambda: Coupling(latents.shape[1], wishes.shape[1]), seed + 500)

    def loss(index, rng):
        part = rows[index]
        noise = torch.from_numpy(rng.normal(size=(len(index), latents.shape[1])).astype(np.float32))
        drawn = latents[part] + noise * torch.exp(0.5 * ln_variance[part])
        return flow.loss((drawn - middle) / width, wishes[part])

    held_out = lambda: flow.loss((latents[outside] - middle) / width, wishes[outside])  # noqa: E731
    fit(flow, loss, len(rows), held_out, Training(settings["n_flow_epochs"], 128, 3e-3), seed)
    rng = np.random.default_rng([seed, 89])
    noise = torch.from_numpy(rng.normal(size=(len(test), latents.shape[1])).astype(np.float32))
    with torch.inference_mode():
        by_flow = network.decode(flow.inverse(noise, wishes[test]) * width + middle, wishes[test]).numpy()
        by_prior = network.decode(noise, wishes[test]).numpy()
    return {"asked": by_flow} if variant == "conditional" else {"prior": by_prior, "flow": by_flow}


def wishes_of(data, rows) -> Tensor:
    """Redshift and metallicity, of mean 0 and spread 1 on `rows`: (n, 2)."""
    both = np.column_stack([data["z"], data["log_metallicity"]])
    return torch.from_numpy(((both - both[rows].mean(0)) / both[rows].std(0)).astype(np.float32))


def judge(variant, drawn, data, split, seed, rng) -> dict[str, np.ndarray]:
    """What a classifier, neighbours, indices and estimators of redshift and metallicity say of what was drawn."""
    test, rows = split[TEST], split[TRAIN]
    flux, ivar = data["flux"].astype(float), data["ivar"]
    mean = (ivar[rows] * flux[rows]).sum(0) / np.maximum(ivar[rows].sum(0), 1e-9)
    filled = np.where(ivar > 0, flux, mean)
    space = PCA(N_JUDGED, random_state=seed).fit(filled[rows])
    z_max = 1.05 * data["z"][rows].max() + 0.01
    templates, lead = rest_templates(flux[rows], ivar[rows], data["z"][rows], z_max)
    real, known = judged_features(space, filled[test]), judged_features(space, filled[rows])[:, :N_JUDGED]
    real_z = measure_redshifts(filled[test], templates, lead, z_max)
    found = {"indices_real": indices(filled[test], data["z"][test]), "real_spectra": filled[test][:6],
             "nearest_real": nearest(real[:, :N_JUDGED], known)}  # fmt: skip
    for sampler in SAMPLERS[variant]:
        spectra = drawn[sampler]
        noisy = with_noise(spectra, ivar[test], mean, rng)
        features = judged_features(space, noisy)
        z = measure_redshifts(noisy, templates, lead, z_max)
        scores = told_apart(features, real, seed)
        found |= {
            f"judged_{sampler}": scores[0], f"judged_{sampler}_real": scores[1], f"drawn_{sampler}": spectra[:6],
            f"indices_{sampler}": indices(noisy, data["z"][test] if sampler == "asked" else z),
            f"nearest_{sampler}": nearest(features[:, :N_JUDGED], known), f"components_{sampler}": features[:, :2],
        }  # fmt: skip
        if sampler == "asked":
            metals = metallicity_reader(filled[rows], data["log_metallicity"][rows], data["z"][rows])
            found |= {
                "asked_z": data["z"][test], "seen_z": z, "real_z": real_z,
                "asked_metallicity": data["log_metallicity"][test],
                "seen_metallicity": metals(noisy, data["z"][test]),
                "real_metallicity": metals(filled[test], data["z"][test]),
            }  # fmt: skip
    return found | {"components_real": real[:, :2]}


def with_noise(spectra, ivar, mean, rng) -> np.ndarray:
    """Spectra with the noise and the gaps of held-out ones."""
    noise = rng.normal(size=spectra.shape) / np.sqrt(np.where(ivar > 0, ivar, 1))
    return np.where(ivar > 0, spectra + noise, mean)


def judged_features(space: PCA, filled: np.ndarray) -> np.ndarray:
    """N_JUDGED components and the ln rms of what is outside them: (n, N_JUDGED + 1)."""
    inside = space.transform(filled)
    left = filled - space.inverse_transform(inside)
    return np.column_stack([inside, np.log(left.std(1))])


def told_apart(drawn: np.ndarray, real: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Chance that each is drawn, by boosting on the other half of the spectra: (n,) of the drawn and of the real."""
    chance = np.zeros(2 * len(real))
    x, y = np.concatenate([drawn, real]), np.repeat([1, 0], len(real))
    half = np.tile(np.arange(len(real)) % 2, 2)
    for k in (0, 1):
        model = HistGradientBoostingClassifier(max_iter=60, learning_rate=0.1, max_leaf_nodes=8, random_state=seed)
        chance[half == k] = model.fit(x[half != k], y[half != k]).predict_proba(x[half == k])[:, 1]
    return chance[: len(real)], chance[len(real) :]


def nearest(one: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Distance to the nearest training spectrum in units of each component's spread."""
    scale = known.std(0)
    a, b = one / scale, known / scale
    square = (a**2).sum(1)[:, None] + (b**2).sum(1) - 2 * a @ b.T
    return np.sqrt(np.maximum(square.min(1), 0))


def metallicity_reader(flux, log_metallicity, z):
    """A ridge regression on spectra shifted to the rest frame, tuned on its own training spectra."""

    def rest(spectra, redshift):
        pixels = np.arange(N_PIXELS)
        step = np.log(9150.0 / 3850.0) / (N_PIXELS - 1)
        return np.array(
            [np.interp(pixels + np.log1p(one) / step, pixels, row) for row, one in zip(spectra, redshift, strict=True)]
        )

    model = RidgeCV(np.logspace(-1, 4, 11)).fit(rest(flux, z), log_metallicity)
    return lambda spectra, redshift: model.predict(rest(spectra, redshift))
