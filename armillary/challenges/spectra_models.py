"""Distributions of galaxy spectra: components with a Gaussian mixture, and autoencoders with a flow.

Both come in the observed frame and, told redshift and metallicity, in the rest frame, where a second stage adds detail.
"""

from typing import NamedTuple

import numpy as np
import torch
from scipy.stats import multivariate_normal
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
N_GAUSSIANS = (2, 4, 8, 16)  # of a mixture; validation spectra choose
IN_REST_FRAME = ("pca_rest", "conditional")


class Frame(NamedTuple):
    """Spectra in the frame in which a method learns: flux and ivar (n, P), what it is told of each (n, n_wishes), and
    the rows of each split; `z` (n,) and `lead` shift back from the rest frame, z is None in the observed one."""

    flux: np.ndarray
    ivar: np.ndarray
    wishes: np.ndarray
    split: dict[int, np.ndarray]
    z: np.ndarray | None
    lead: int

    def observed(self, spectra: np.ndarray) -> np.ndarray:
        """Spectra (n_test, P), one for each of the test rows, in the observed frame (n_test, N_PIXELS)."""
        return spectra if self.z is None else to_observed(spectra, self.z[self.split[TEST]], self.lead)


def prepare(variant: str, data: dict[str, np.ndarray]) -> Frame:
    """The spectra as they were observed, or at rest with redshift and metallicity told."""
    split = {k: np.flatnonzero(data["split"] == k) for k in (TRAIN, VALIDATION, TEST)}
    if variant not in IN_REST_FRAME:
        return Frame(data["flux"], data["ivar"], np.zeros((len(data["z"]), 0), np.float32), split, None, 0)
    lead = int(np.log1p(data["z"].max()) / STEP) + 2
    told = np.column_stack([data["z"], data["log_metallicity"]])
    told = (told - told[split[TRAIN]].mean(0)) / told[split[TRAIN]].std(0)
    pair = to_rest(data["flux"], data["ivar"], data["z"], lead)
    return Frame(*pair, told.astype(np.float32), split, data["z"], lead)


def train(variant: str, data: dict[str, np.ndarray], settings: dict, seed: int) -> dict[str, np.ndarray]:
    """chi2 (n_sizes, n_test) a pixel of held-out spectra, and what is drawn, judged and measured."""
    frame = prepare(variant, data)
    rng = np.random.default_rng([seed, 79])
    by_components = variant.startswith("pca")
    models, drawn, found = (fit_components if by_components else fit_autoencoders)(variant, frame, settings, seed, rng)
    test = frame.split[TEST]
    chi2 = [misfit(frame.observed(model), data["flux"][test], data["ivar"][test]) for model in models.values()]
    drawn = {name: frame.observed(spectra) for name, spectra in drawn.items()}
    found |= {"sizes": np.array(list(models)), "chi2": np.array(chi2)}
    return found | judge(variant, drawn, data, frame.split, seed, rng)


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


def fit_components(variant: str, frame: Frame, settings: dict, seed: int, rng) -> tuple[dict, dict, dict]:
    """Reconstructions (n_test, P) of test spectra by number of components, and spectra drawn from a Gaussian mixture of
    the weights, given what is told; at rest a second stage is as many components more."""
    first, *others = settings["n_latents"]
    samplers = {first: "mixture"}
    if variant == "pca_rest":
        samplers = {first: "asked", first + settings["n_details"]: "detailed"}
    rows, test = frame.split[TRAIN], frame.split[TEST]
    models, drawn = {}, {}
    for size in dict.fromkeys([*samplers, *others]):
        mean, basis = weighted_components(frame.flux[rows].astype(float), frame.ivar[rows].astype(float), size)
        weights = component_weights(frame.flux - mean, frame.ivar, basis)
        models[size] = mean + weights[test] @ basis
        if size in samplers:
            drawn[samplers[size]] = mean + draw_given(weights, frame.wishes, frame.wishes[test], frame, rng) @ basis
    return models, drawn, {}


def draw_given(values: np.ndarray, known: np.ndarray, wanted: np.ndarray, frame: Frame, rng) -> np.ndarray:
    """`values` (n_test, k) drawn for each row of `wanted` (n_test, m), from a Gaussian mixture of (values, known) in
    the training spectra; validation spectra choose how many Gaussians, of N_GAUSSIANS."""
    both, n = np.column_stack([values, known]).astype(float), values.shape[1]
    middle, spread = both[frame.split[TRAIN]].mean(0), both[frame.split[TRAIN]].std(0) + 1e-9
    both, wanted = (both - middle) / spread, (wanted - middle[n:]) / spread[n:]
    seed = int(rng.integers(1 << 31))
    tried = [GaussianMixture(k, random_state=seed, reg_covar=1e-4).fit(both[frame.split[TRAIN]]) for k in N_GAUSSIANS]
    best = max(tried, key=lambda one: one.score(both[frame.split[VALIDATION]]))
    return middle[:n] + spread[:n] * condition(best, n, wanted, rng)


def condition(mixture: GaussianMixture, n: int, wanted: np.ndarray, rng) -> np.ndarray:
    """Draws (n_rows, n) of the first `n` coordinates of a mixture for given others, `wanted` (n_rows, m)."""
    ln_chance = np.log(mixture.weights_) + np.zeros((len(wanted), 1))
    means, roots = [], []
    for k, (mean, covariance) in enumerate(zip(mixture.means_, mixture.covariances_, strict=True)):
        cross, outer = covariance[:n, n:], covariance[n:, n:]
        slope = np.linalg.solve(outer, cross.T).T
        if wanted.shape[1]:
            ln_chance[:, k] += multivariate_normal(mean[n:], outer).logpdf(wanted)
        means.append(mean[:n] + (wanted - mean[n:]) @ slope.T)
        roots.append(np.linalg.cholesky(covariance[:n, :n] - slope @ cross.T))
    place = (ln_chance + rng.gumbel(size=ln_chance.shape)).argmax(1)  # a draw from the posterior of the Gaussians
    noise = rng.normal(size=(len(wanted), n))
    return np.array(means)[place, np.arange(len(wanted))] + np.einsum("ikl,il->ik", np.array(roots)[place], noise)


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


def fit_autoencoders(variant: str, frame: Frame, settings: dict, seed: int, rng) -> tuple[dict, dict, dict]:
    """Reconstructions (n_test, P) of test spectra by number of latents; spectra drawn from the prior and by a flow, or
    as is asked for, with and without a second stage of components of what the autoencoder leaves."""
    sizes = settings["n_latents"][: 1 if variant == "conditional" else None]
    models, drawn, found = {}, {}, {}
    for size in sizes:
        network, history = fit_autoencoder(frame, size, settings, seed)
        wishes = torch.from_numpy(frame.wishes)
        with torch.inference_mode():
            posterior = network.encode(torch.from_numpy(frame.flux), torch.from_numpy(frame.ivar), wishes)
            every = network.decode(posterior[0], wishes).numpy()
        models[size] = every[frame.split[TEST]]
        if size != sizes[0]:
            continue
        found["history"] = history
        latents = draw_latents(posterior, frame, settings, seed)
        with torch.inference_mode():
            by = {name: network.decode(one, wishes[frame.split[TEST]]).numpy() for name, one in latents.items()}
        if variant != "conditional":
            drawn = by
            continue
        drawn["asked"] = by["flow"]
        mean, basis, weights = details(frame, every, settings["n_details"])
        models[size + settings["n_details"]] = models[size] + mean + weights[frame.split[TEST]] @ basis
        known = np.column_stack([posterior[0].numpy(), frame.wishes])
        wanted = np.column_stack([latents["flow"].numpy(), frame.wishes[frame.split[TEST]]])
        drawn["detailed"] = by["flow"] + mean + draw_given(weights, known, wanted, frame, rng) @ basis
    return models, drawn, found


def details(frame: Frame, model: np.ndarray, n_details: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean, components (n_details, P) and weights (n, n_details) of what a first stage leaves of the spectra."""
    left = (np.where(frame.ivar > 0, frame.flux - model, 0)).astype(float)
    rows = frame.split[TRAIN]
    mean, basis = weighted_components(left[rows], frame.ivar[rows].astype(float), n_details)
    return mean, basis, component_weights(left - mean, frame.ivar, basis)


def fit_autoencoder(frame: Frame, size: int, settings: dict, seed: int) -> tuple[SpectrumAutoencoder, np.ndarray]:
    """A trained autoencoder of `size` latents, and its history."""
    rows, outside = frame.split[TRAIN], frame.split[VALIDATION]
    mean = (frame.ivar[rows] * frame.flux[rows]).sum(0) / np.maximum(frame.ivar[rows].sum(0), 1e-9)
    spread = np.sqrt((np.where(frame.ivar[rows] > 0, frame.flux[rows] - mean, 0) ** 2).mean(0)) + 1e-3
    flux, ivar, wishes = (torch.from_numpy(part) for part in (frame.flux, frame.ivar, frame.wishes))
    network = build(lambda: SpectrumAutoencoder(size, wishes.shape[1], mean, spread), seed)

    def loss(index, rng):
        part = rows[index]
        noise = torch.from_numpy(rng.normal(size=(len(index), size)).astype(np.float32))
        return network.loss(flux[part], ivar[part], wishes[part], noise, settings["beta"])

    def held_out():
        return network.loss(flux[outside], ivar[outside], wishes[outside], 0.0, settings["beta"])

    training = Training(settings["n_epochs"], settings["batch_size"], settings["learning_rate"])
    return network, fit(network, loss, len(rows), held_out, training, seed)


def draw_latents(posterior: tuple[Tensor, Tensor], frame: Frame, settings: dict, seed: int) -> dict[str, Tensor]:
    """Latents (n_test, K) from the unit Gaussian, `prior`, and by a flow that learned where spectra are, `flow`."""
    latents, ln_variance = (part.clone() for part in posterior)
    rows, test, outside = frame.split[TRAIN], frame.split[TEST], frame.split[VALIDATION]
    wishes = torch.from_numpy(frame.wishes)
    middle, width = latents[rows].mean(0), latents[rows].std(0) + 1e-3
    flow = build(lambda: Coupling(latents.shape[1], wishes.shape[1]), seed + 500)

    def loss(index, rng):
        part = rows[index]
        noise = torch.from_numpy(rng.normal(size=(len(index), latents.shape[1])).astype(np.float32))
        drawn = latents[part] + noise * torch.exp(0.5 * ln_variance[part])
        return flow.loss((drawn - middle) / width, wishes[part])

    def held_out():
        return flow.loss((latents[outside] - middle) / width, wishes[outside])

    fit(flow, loss, len(rows), held_out, Training(settings["n_flow_epochs"], 128, 3e-3), seed)
    rng = np.random.default_rng([seed, 89])
    noise = torch.from_numpy(rng.normal(size=(len(test), latents.shape[1])).astype(np.float32))
    with torch.inference_mode():
        return {"prior": noise, "flow": flow.inverse(noise, wishes[test]) * width + middle}


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
            f"indices_{sampler}": indices(noisy, data["z"][test] if variant in IN_REST_FRAME else z),
            f"nearest_{sampler}": nearest(features[:, :N_JUDGED], known), f"components_{sampler}": features[:, :2],
        }  # fmt: skip
        if sampler == "asked":  # once: what is asked for, and how well it can be told of held-out spectra
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
        return to_observed(spectra, 1 / (1 + redshift) - 1, 0)

    model = RidgeCV(np.logspace(-1, 4, 11)).fit(rest(flux, z), log_metallicity)
    return lambda spectra, redshift: model.predict(rest(spectra, redshift))
