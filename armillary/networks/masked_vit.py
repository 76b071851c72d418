"""A vision transformer that learns by filling in what it was not shown: MAE and SimMIM on multi-band cutouts.

Masked autoencoder: He et al. (2022, CVPR 16000), hidden patches never enter the encoder and a small decoder predicts
them. SimMIM: Xie et al. (2022, CVPR 9653), hidden pixels are replaced, all patches are encoded and one linear layer
predicts. Here a patch can be hidden in some bands only, and pixels that are missing (NaN, masked) are replaced by
learned values, the same for every image, before patches are formed.
"""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

OBJECTIVES = ("mae", "simmim")
POOLINGS = ("mean", "max", "core", "mean_centre", "centre", "attention")
SIZES = {  # width, depth, heads: the published ones, and those for processors
    "huge": (1280, 32, 16), "large": (1024, 24, 16), "base": (768, 12, 12), "tiny": (192, 12, 3),
    "demo": (128, 4, 4), "test": (32, 2, 2),
}  # fmt: skip
N_SKY_FEATURES = 8


class Architecture(NamedTuple):
    """What a network is built from; the words are those of the config."""

    objective: str
    size: str
    n_bands: int
    image_px: int
    patch_px: int
    decoder_width: int
    decoder_depth: int
    attention_pool: bool
    sky_token: bool


class MaskedViT(nn.Module):
    """Encoder, and the decoder of its objective. Images (B, C, S, S) are compressed pixels, cut into P patches."""

    def __init__(self, what: Architecture):
        super().__init__()
        _check(what)
        width, depth, n_heads = SIZES[what.size]
        self.what, self.width = what, width
        self.n_side = what.image_px // what.patch_px
        n_values = what.n_bands * what.patch_px**2
        self.missing_pixels = nn.Parameter(torch.zeros(what.n_bands, what.patch_px, what.patch_px))
        self.embed_patches = nn.Linear(n_values, width)
        self.register_buffer("positions", sine_cosine_positions(width, self.n_side), persistent=False)
        self.blocks = nn.ModuleList([Block(width, n_heads) for _ in range(depth)])
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.embed_sky = nn.Linear(N_SKY_FEATURES, width) if what.sky_token else None
        self.pool = AttentionPool(width, n_heads) if what.attention_pool else None
        self.decoder = nn.Linear(width, n_values) if what.objective == "simmim" else Decoder(what, width, self.n_side)
        self.apply(_initialise)

    def forward(self, images: Tensor, unusable: Tensor, hidden: Tensor, sky: Tensor | None = None) -> Tensor:
        """Predicted patches (B, P, C p p).

        `unusable` (B, C, S, S) marks pixels without a value, `hidden` (B, C, P) patches not to be shown, by band. For
        MAE every image of a batch has the same number of patches that are hidden in all bands.
        """
        replaced = unusable | spread(hidden, self.what.patch_px)
        if self.what.objective == "simmim":
            return self.decoder(self._seen(self.encode(self.tokens(images, replaced), sky)))
        gone = hidden.all(1)  # (B, P)
        n_kept = int((~gone[0]).sum())
        kept = torch.argsort(gone.int(), dim=1, stable=True)[:, :n_kept]  # (B, K)
        encoded = self.encode(self.tokens(images, replaced, kept), sky)
        if self.pool is not None:
            return self.decoder.from_pooled(self.pool(encoded))
        return self.decoder(encoded, kept[:, :, None])

    def tokens(self, images: Tensor, replaced: Tensor, kept: Tensor | None = None) -> Tensor:
        """Patches with learned values at the replaced pixels, embedded, with their positions: (B, P, width), or
        (B, K, width) of the patches `kept` (B, K)."""
        repeated = self.missing_pixels.repeat(1, self.n_side, self.n_side)
        values = patches(torch.where(replaced, repeated.to(images.dtype), images), self.what.patch_px)
        if kept is None:
            return self.embed_patches(values) + self.positions
        shown = values.gather(1, kept[:, :, None].expand(-1, -1, values.shape[2]))
        return self.embed_patches(shown) + self.positions[0, kept]

    def encode(self, tokens: Tensor, sky: Tensor | None = None) -> Tensor:
        """Tokens after all blocks, the token of the sky position left out."""
        if self.embed_sky is not None:
            if sky is None:
                raise ValueError("the network has a token for the sky position: it wants ra and dec")
            tokens = torch.cat([tokens, self.embed_sky(sky)[:, None]], 1)
        for block in self.blocks:
            tokens = block(tokens)
        tokens = self.norm(tokens)
        return tokens[:, :-1] if self.embed_sky is not None else tokens

    def features(self, images: Tensor, unusable: Tensor, sky: Tensor | None = None) -> Tensor:
        """All encoded tokens (B, P, width) of images of which nothing is hidden."""
        return self.encode(self.tokens(images, unusable), sky)

    def pooled(self, features: Tensor, pooling: str) -> Tensor:
        """One vector an image from its tokens (B, P, width)."""
        if pooling == "attention":
            if self.pool is None:
                raise ValueError("pooling is attention; the network was trained without attention_pool")
            return self.pool(features)
        return pool_tokens(features, pooling)

    def _seen(self, encoded: Tensor) -> Tensor:
        """What the linear decoder of SimMIM sees: the tokens, or the pooled vector at every position."""
        return encoded if self.pool is None else self.pool(encoded)[:, None] + self.positions


def pool_tokens(features: Tensor, pooling: str) -> Tensor:
    """(B, P, width) -> (B, d): mean or max of all; `core` is the mean of the middle 2 x 2, `centre` joins these;
    `mean_centre` joins the mean of all and that of the middle 4 x 4."""
    n_side = round(features.shape[1] ** 0.5)
    grid = features.unflatten(1, (n_side, n_side))
    middle = lambda n: grid[:, n_side // 2 - n : n_side // 2 + n, n_side // 2 - n : n_side // 2 + n]  # noqa: E731
    if pooling == "mean":
        return features.mean(1)
    if pooling == "max":
        return features.amax(1)
    if pooling == "core":
        return middle(1).mean((1, 2))
    if pooling == "centre":
        return middle(1).flatten(1)
    if pooling == "mean_centre":
        return torch.cat([features.mean(1), middle(2).mean((1, 2))], 1)
    raise ValueError(f"pooling is {pooling!r}; known: {', '.join(POOLINGS)} (config key `mim: pooling`)")


class Block(nn.Module):
    """Attention and a two-layer network, each on normalised tokens and added to them."""

    def __init__(self, width: int, n_heads: int):
        super().__init__()
        self.n_heads = n_heads
        self.norm_1, self.norm_2 = nn.LayerNorm(width, eps=1e-6), nn.LayerNorm(width, eps=1e-6)
        self.query_key_value, self.join = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.widen, self.narrow = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, N, width) -> (B, N, width)."""
        split = self.query_key_value(self.norm_1(tokens)).unflatten(2, (3, self.n_heads, -1))
        query, key, value = split.permute(2, 0, 3, 1, 4).unbind(0)  # (B, heads, N, width / heads)
        attended = F.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)
        tokens = tokens + self.join(attended)
        return tokens + self.narrow(F.gelu(self.widen(self.norm_2(tokens))))


class AttentionPool(nn.Module):
    """One learned query attends to all tokens: (B, N, width) -> (B, width)."""

    def __init__(self, width: int, n_heads: int):
        super().__init__()
        self.query = nn.Parameter(torch.zeros(1, 1, width))
        self.attend = nn.MultiheadAttention(width, n_heads, batch_first=True)
        self.norm = nn.LayerNorm(width, eps=1e-6)

    def forward(self, tokens: Tensor) -> Tensor:
        query = self.query.expand(len(tokens), -1, -1)
        return self.norm(self.attend(query, tokens, tokens, need_weights=False)[0][:, 0])


class Decoder(nn.Module):
    """The small transformer of MAE: shown tokens at their places, one learned token elsewhere, predicted patches."""

    def __init__(self, what: Architecture, width: int, n_side: int):
        super().__init__()
        self.width, self.n_patches = what.decoder_width, n_side**2
        self.enter = nn.Linear(width, self.width)
        self.hidden_token = nn.Parameter(torch.zeros(1, 1, self.width))
        self.register_buffer("positions", sine_cosine_positions(self.width, n_side), persistent=False)
        n_heads = max(self.width // 32, 1)
        self.blocks = nn.ModuleList([Block(self.width, n_heads) for _ in range(what.decoder_depth)])
        self.norm = nn.LayerNorm(self.width, eps=1e-6)
        self.leave = nn.Linear(self.width, what.n_bands * what.patch_px**2)

    def forward(self, encoded: Tensor, kept: Tensor) -> Tensor:
        """(B, K, width) of the patches `kept` (B, K, 1) -> (B, P, C p p)."""
        entered = self.enter(encoded)
        tokens = self.hidden_token.to(entered.dtype).expand(len(encoded), self.n_patches, -1)
        return self._decoded(tokens.scatter(1, kept.expand(-1, -1, self.width), entered))

    def from_pooled(self, pooled: Tensor) -> Tensor:
        """(B, width) -> (B, P, C p p): every position starts from the same vector."""
        return self._decoded(self.enter(pooled)[:, None].expand(-1, self.n_patches, -1))

    def _decoded(self, tokens: Tensor) -> Tensor:
        tokens = tokens + self.positions
        for block in self.blocks:
            tokens = block(tokens)
        return self.leave(self.norm(tokens))


def patches(images: Tensor, patch_px: int) -> Tensor:
    """(B, C, S, S) -> (B, P, C p p), patches row by row."""
    b, c, s, _ = images.shape
    n = s // patch_px
    cut = images.reshape(b, c, n, patch_px, n, patch_px)
    return cut.permute(0, 2, 4, 1, 3, 5).reshape(b, n * n, c * patch_px**2)


def unpatched(values: Tensor, n_bands: int, patch_px: int) -> Tensor:
    """The inverse of `patches`."""
    b, n_patches, _ = values.shape
    n = round(n_patches**0.5)
    cut = values.reshape(b, n, n, n_bands, patch_px, patch_px)
    return cut.permute(0, 3, 1, 4, 2, 5).reshape(b, n_bands, n * patch_px, n * patch_px)


def spread(hidden: Tensor, patch_px: int) -> Tensor:
    """Hidden patches (B, C, P) as hidden pixels (B, C, S, S)."""
    n = round(hidden.shape[2] ** 0.5)
    grid = hidden.unflatten(2, (n, n))
    return grid.repeat_interleave(patch_px, 2).repeat_interleave(patch_px, 3)


def sine_cosine_positions(width: int, n_side: int) -> Tensor:
    """Fixed positions (1, n_side^2, width): sines and cosines of row and of column, a quarter of the width each."""
    rate = 10_000.0 ** -(np.arange(width // 4) / (width // 4))
    rows, columns = np.divmod(np.arange(n_side**2), n_side)
    parts = [f(place[:, None] * rate) for place in (rows, columns) for f in (np.sin, np.cos)]
    return torch.from_numpy(np.concatenate(parts, 1)[None]).float()


def sky_features(ra_deg: np.ndarray, dec_deg: np.ndarray) -> np.ndarray:
    """Real spherical harmonics of degree 1 and 2 (N, 8) up to constants: they tell fields apart, not objects."""
    ra, dec = np.radians(ra_deg), np.radians(dec_deg)
    x, y, z = np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)
    return np.stack([x, y, z, x * y, y * z, z * x, x**2 - y**2, 3 * z**2 - 1], 1).astype(np.float32)


def draw_hidden(
    what: Architecture, n_images: int, *, mask_ratio: float, band_drop: float, rng: np.random.Generator
) -> Tensor:
    """What a batch is not shown, (B, C, P). MAE hides the same share of patches of every image, in all bands, and each
    band of an image with probability `band_drop`; SimMIM hides, band by band, a share of up to `mask_ratio`."""
    n_patches = (what.image_px // what.patch_px) ** 2
    score = rng.random((n_images, 1 if what.objective == "mae" else what.n_bands, n_patches), np.float32)
    rank = score.argsort(2).argsort(2)
    if what.objective == "mae":
        hidden = rank < max(min(round(mask_ratio * n_patches), n_patches - 1), 1)
    else:
        ratio = mask_ratio * rng.random((n_images, 1, 1))
        hidden = rank < np.ceil(ratio * n_patches)
    dropped = rng.random((n_images, what.n_bands, 1)) < band_drop
    dropped[np.arange(n_images), rng.integers(what.n_bands, size=n_images)] = False  # one band at least is shown
    return torch.from_numpy(hidden | dropped)


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    if isinstance(module, AttentionPool):
        nn.init.normal_(module.query, std=0.02)
    if isinstance(module, Decoder):
        nn.init.normal_(module.hidden_token, std=0.02)


def _check(what: Architecture) -> None:
    if what.objective not in OBJECTIVES:
        raise ValueError(f"mim: objective is {what.objective!r}; known: {', '.join(OBJECTIVES)}")
    if what.size not in SIZES:
        raise ValueError(f"mim: size is {what.size!r}; known: {', '.join(SIZES)}")
    if what.image_px % (2 * what.patch_px) or what.image_px < 4 * what.patch_px:
        raise ValueError(
            f"mim: image_px is {what.image_px}: no even multiple of patch_px ({what.patch_px}), or below four of it"
        )
