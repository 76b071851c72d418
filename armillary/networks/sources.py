"""The default encoder: find the sources, say what each one is, add that up where it is, look around.

A fixed front end finds peaks and takes aperture photometry at them, so that the learned part works on about a
thousand sources a field instead of millions of pixels, and the training fields pass the front end only once.
Then a small network embeds each source, the embeddings are added up in cells of half a tile, and residual
convolutions bring the context of the whole field to every tile.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

OUTPUTS = (
    "membership_logit", "centre_logit", "offset_x", "offset_y",
    "redshift", "redshift_ln_error", "ln_richness", "ln_richness_ln_error",
)  # fmt: skip
APERTURE_FWHM_ARCSEC = (1.2, 2.4, 4.8)
PEAK_SNR = 5.0
CELLS_A_TILE = 2
N_REDSHIFTS = 24  # at which a source is held against the red sequence
REDSHIFT_RANGE = (0.1, 0.8)
NEIGHBOUR_CELLS = (1, 3, 8)  # half widths of the neighbourhoods in which sources are counted
COLOUR_WAVES = (6.0, 12.0)  # radians a unit of ln flux ratio: the red sequence is narrow, and so must the response be
BRIGHT_SNR = 3.7  # asinh of half the signal to noise: 40
REFERENCE_LN_FLUX = math.log(1000.0)  # counts at zero point 30: magnitude 22.5


def gaussian_kernel(fwhm_px: float, half_px: int) -> Tensor:
    """A Gaussian aperture (k, k), k = 2 half_px + 1, its squares adding up to one: unit noise stays unit noise."""
    radius = torch.arange(-half_px, half_px + 1, dtype=torch.float32)
    profile = torch.exp(-4 * math.log(2) * (radius / fwhm_px) ** 2)
    profile = profile / profile.square().sum().sqrt()
    return profile[:, None] * profile


def find_peaks(snr: Tensor, n_present: Tensor, fwhm_px: float) -> tuple[Tensor, Tensor, Tensor]:
    """Rows, columns and signal to noise of the peaks of all bands' sum (C, h, w), seen through a Gaussian."""
    kernel = gaussian_kernel(fwhm_px, round(1.3 * fwhm_px)).to(snr)
    summed = snr.sum(0, keepdim=True) / n_present.sqrt()
    detection = F.conv2d(summed, kernel[None, None], padding=len(kernel) // 2)
    peak = (detection == F.max_pool2d(detection, 3, 1, 1)) & (detection > PEAK_SNR)
    y, x = peak[0].nonzero(as_tuple=True)
    return y, x, detection[0, y, x]


def aperture_snr(snr: Tensor, y: Tensor, x: Tensor, fwhm_px: list[float]) -> Tensor:
    """Signal to noise of every band in Gaussian apertures at pixels (y, x): (C, h, w) -> (n_apertures, C, n)."""
    half = round(1.3 * max(fwhm_px))
    padded = F.pad(snr, (half, half, half, half))
    kernels = torch.stack([gaussian_kernel(fwhm, half).flatten() for fwhm in fwhm_px]).to(snr)
    step = torch.arange(2 * half + 1, device=snr.device)
    offsets = (step[:, None] * padded.shape[2] + step).flatten()
    stamps = padded.flatten(1)[:, (y * padded.shape[2] + x)[:, None] + offsets]  # (C, n, k * k)
    return torch.einsum("cnk,ak->acn", stamps, kernels)


def measure_sources(coded: Tensor, sky_sigma: Tensor, pixel_arcsec: float) -> Tensor:
    """Sources of one field, (n, 3 + 5 n_bands): x, y in pixels (corner-based), ln of the peak's signal to noise, then
    for all bands whether the band is there, ln flux in the middle aperture, asinh of its signal to noise, and how
    ln flux grows from the inner to the middle and from the middle to the outer aperture; zeros where a band is missing.

    coded: asinh(counts / sky sigma), (C, h, w), NaN where invalid; sky_sigma: counts a pixel, (C,). ln flux is in
    counts, softened at twice the noise as in asinh magnitudes (Lupton et al. 1999).
    """
    valid = torch.isfinite(coded)
    snr = torch.sinh(torch.where(valid, coded, 0.0).clamp(-12, 12))
    n_present = valid.flatten(1).any(1).sum().clamp(min=1)
    fwhm_px = [fwhm / pixel_arcsec for fwhm in APERTURE_FWHM_ARCSEC]
    y, x, peak_snr = find_peaks(snr, n_present, fwhm_px[0])
    there = valid[:, y, x].to(snr.dtype)  # (C, n)
    softened = torch.asinh(aperture_snr(snr, y, x, fwhm_px) / 2) * there  # (3, C, n)
    ln_flux = (softened[1] + torch.log(2 * sky_sigma)[:, None]) * there
    place = torch.stack([x + 0.5, y + 0.5, torch.log(peak_snr)])
    growth = softened.diff(dim=0).flatten(0, 1)
    return torch.cat([place, there, ln_flux, softened[1], growth]).T.contiguous()


def norm(channels: int) -> nn.GroupNorm:
    """GroupNorm with 16 channels a group: batches are small because fields are large."""
    return nn.GroupNorm(max(channels // 16, 1), channels)


class ResidualBlock(nn.Module):
    """x + two 3x3 convolutions, each GroupNorm -> SiLU -> convolution."""

    def __init__(self, channels: int, dilation: int = 1):
        super().__init__()
        self.norms = nn.ModuleList([norm(channels), norm(channels)])
        self.convs = nn.ModuleList(
            [nn.Conv2d(channels, channels, 3, padding=d, dilation=d, bias=False) for d in (dilation, 1)]
        )

    def forward(self, x: Tensor) -> Tensor:  # (B, c, h, w)
        y = x
        for normalise, conv in zip(self.norms, self.convs, strict=True):
            y = conv(F.silu(normalise(y)))
        return x + y


class RedSequence(nn.Module):
    """How well a source fits the red sequence at each of N_REDSHIFTS redshifts; starts from a table, then learns.

    `ln_flux`: of an L* red galaxy, (N_REDSHIFTS, n_bands), ln counts at zero point 30.
    """

    def __init__(self, n_bands: int):
        super().__init__()
        self.ln_flux = nn.Parameter(torch.zeros(N_REDSHIFTS, n_bands))
        self.ln_width = nn.Parameter(torch.full((n_bands - 1,), math.log(0.07)))
        self.aperture = nn.Parameter(torch.tensor(-2.43))  # ln of the middle aperture's share of a galaxy's counts
        self.faint_limit = nn.Parameter(torch.tensor(-1.6))  # ln of 0.2 L*

    def forward(self, ln_flux: Tensor, snr: Tensor, there: Tensor) -> Tensor:  # (n, n_bands) each -> (n, 2 N_REDSHIFTS)
        ln_error2 = 1 / (1 + (2 * torch.sinh(snr)) ** 2)
        pairs = there[:, :-1] * there[:, 1:]
        variance = self.ln_width.exp() ** 2 + ln_error2[:, :-1] + ln_error2[:, 1:]  # (n, n_bands - 1)
        off = (ln_flux[:, :-1] - ln_flux[:, 1:])[:, None] + self.ln_flux.diff(dim=1)  # (n, z, n_bands - 1)
        misfit = (off**2 / variance[:, None] * pairs[:, None]).sum(2) / 2
        level = (ln_flux - self.aperture)[:, None] - self.ln_flux
        luminosity = (level * there[:, None]).sum(2) / there.sum(1, keepdim=True).clamp(min=1)  # ln L / L*, (n, z)
        fit = torch.exp(-misfit)
        return torch.cat([fit, fit * torch.sigmoid((luminosity - self.faint_limit) / 0.15)], 1)


class SourceEncoder(nn.Module):
    """Per-tile variational factors of fields; `tile_pixels` binned pixels a tile, `width` channels in a cell.

    A tile holds a member if any of its sources is one: membership and centre are noisy-ors over the sources of a tile,
    each judged in the light of its surroundings, and of what the surroundings alone say.
    """

    def __init__(self, n_bands: int, tile_pixels: int, width: int, pixel_arcsec: float):
        super().__init__()
        self.n_bands, self.tile_pixels, self.pixel_arcsec = n_bands, tile_pixels, pixel_arcsec
        n_features = 3 + 7 * n_bands + (n_bands - 1) * (1 + 2 * len(COLOUR_WAVES))
        self.red_sequence = RedSequence(n_bands)
        n_features += 2 * N_REDSHIFTS
        self.embed = nn.Sequential(
            nn.Linear(n_features, 2 * width), nn.SiLU(), nn.Linear(2 * width, 2 * width), nn.SiLU(),
            nn.Linear(2 * width, 2 * width), nn.SiLU(), nn.Linear(2 * width, width),
        )  # fmt: skip
        self.key, self.query = nn.Linear(width, width), nn.Linear(width, width)
        self.neighbours = nn.Sequential(
            nn.Linear((1 + len(NEIGHBOUR_CELLS)) * width, 2 * width), nn.SiLU(), nn.Linear(2 * width, width)
        )
        self.cells = nn.Sequential(ResidualBlock(width), ResidualBlock(width))
        self.to_tiles = nn.Conv2d(width, 2 * width, CELLS_A_TILE, stride=CELLS_A_TILE)
        self.context = nn.Sequential(*[ResidualBlock(2 * width, dilation) for dilation in (1, 2, 3)])
        self.field = nn.Linear(2 * width, 2 * width)
        self.joined = ResidualBlock(2 * width)
        self.head = nn.Sequential(norm(2 * width), nn.SiLU(), nn.Conv2d(2 * width, len(OUTPUTS), 1))
        self.question = nn.Linear(2 * width, width)
        self.judge = nn.Sequential(nn.Linear(3 * width, width), nn.SiLU(), nn.Linear(width, 2))
        nn.init.constant_(self.judge[-1].bias, -4.0)  # one in fifty sources is a member before anything is learned
        nn.init.constant_(self.head[-1].bias[:2], -4.0)

    def start_from(self, ln_flux: Tensor) -> None:
        """Start the red sequence from a table (N_REDSHIFTS, n_bands) of an L* red galaxy's ln counts."""
        with torch.no_grad():
            self.red_sequence.ln_flux.copy_(ln_flux)

    def prepare(self, coded: Tensor, sky_sigma: Tensor) -> tuple[Tensor, tuple[int, int]]:
        """Sources of one field (C, h, w) and the field's shape; nothing here is learned."""
        with torch.no_grad():
            return measure_sources(coded, sky_sigma, self.pixel_arcsec), tuple(coded.shape[1:])

    def turned(self, prepared, n_quarter_turns: int, flipped: bool):
        """The field seen as `torch.rot90` and then a flip of x would show it."""
        sources, (height, width) = prepared
        x, y = sources[:, 0], sources[:, 1]
        for _ in range(n_quarter_turns % 4):
            x, y = y, width - x
            height, width = width, height
        x = width - x if flipped else x
        return torch.cat([x[:, None], y[:, None], sources[:, 2:]], 1), (height, width)

    def without_bands(self, prepared, dropped: list[int]):
        """The field with bands hidden; the sources stay those that all bands together show."""
        sources, shape = prepared
        sources = sources.clone()
        sources[:, [3 + group * self.n_bands + band for group in range(5) for band in dropped]] = 0
        return sources, shape

    def features(self, sources: Tensor, field: Tensor, n_fields: int) -> Tensor:
        """Inputs of the embedding (n, n_features), of order one; a colour is there where both of its bands are."""
        n = self.n_bands
        x, y, ln_peak = sources[:, :3].T
        there, ln_flux, snr, *growth = sources[:, 3:].split(n, 1)
        colour = (ln_flux[:, :-1] - ln_flux[:, 1:]) * there[:, :-1] * there[:, 1:]
        cell = self.tile_pixels / CELLS_A_TILE
        place = torch.stack([x / cell % 1 - 0.5, y / cell % 1 - 0.5, ln_peak / 2 - 1.5], 1)
        level = (ln_flux - REFERENCE_LN_FLUX) * there / 2
        seeing = torch.stack([compactness(sources[field == k, 3:], n) for k in range(n_fields)])[field]
        waves = [wave(k * colour) for k in COLOUR_WAVES for wave in (torch.sin, torch.cos)]
        red = 2 * self.red_sequence(ln_flux, snr, there)
        return torch.cat(
            [place, there, level, 3 * colour, *waves, red, snr / 3, *(3 * g for g in growth), 3 * seeing], 1
        )

    def forward(self, prepared: list) -> Tensor:  # B fields of equal shape -> (B, n_outputs, T, T)
        n_fields = len(prepared)
        height, width = (side // self.tile_pixels for side in prepared[0][1])
        sources = torch.cat([sources for sources, _ in prepared])
        counts = torch.tensor([len(sources) for sources, _ in prepared], device=sources.device)
        field = torch.repeat_interleave(torch.arange(n_fields, device=sources.device), counts)
        embedded = self.embed(self.features(sources, field, n_fields))  # (n, width)
        cell = self.tile_pixels / CELLS_A_TILE
        row, column = ((sources[:, axis] / cell).long() for axis in (1, 0))
        place = (field * height * CELLS_A_TILE + row) * width * CELLS_A_TILE + column
        grid = n_fields, height * CELLS_A_TILE, width * CELLS_A_TILE
        embedded = embedded + self.likeness(embedded, place, *grid)
        x = add_up(embedded, place, *grid)  # (B, c, 2T, 2T)
        x = self.context(self.to_tiles(self.cells(x)))  # (B, 2c, T, T)
        x = self.joined(x + self.field(x.mean((2, 3)))[:, :, None, None])
        tile = (field * height + row // CELLS_A_TILE) * width + column // CELLS_A_TILE
        asked = self.question(x.permute(0, 2, 3, 1).flatten(0, 2)[tile])  # (n, c): what its tile asks of a source
        verdict = self.judge(torch.cat([embedded * asked, embedded, asked], 1)).float()  # (n, 2): member, centre
        head = self.head(x).float()
        # noisy-or: -ln(1 - p) of the tile is the sum of those of its sources and of the head's own
        total = add_up(F.softplus(verdict), tile, n_fields, height, width) + F.softplus(head[:, :2])
        total = total.clamp(min=1e-6)
        return torch.cat([total + torch.log(-torch.expm1(-total)), head[:, 2:]], 1)

    def likeness(self, embedded: Tensor, place: Tensor, *grid: int) -> Tensor:
        """What a source learns from how many like it are around, (n, width): a matched filter in learned features."""
        keys, query = add_up(self.key(embedded), place, *grid), self.query(embedded)  # (B, c, 2T, 2T), (n, c)
        found = [embedded]
        for half in NEIGHBOUR_CELLS:
            around = F.avg_pool2d(keys, 2 * half + 1, 1, half)
            found.append(query * around.permute(0, 2, 3, 1).flatten(0, 2)[place])
        return self.neighbours(torch.cat(found, 1))


def compactness(measured: Tensor, n_bands: int) -> Tensor:
    """Growth with aperture of a field's most compact bright sources, (2 n_bands,): its seeing, band by band."""
    snr, growth = measured[:, 2 * n_bands : 3 * n_bands], measured[:, 3 * n_bands :]
    bright = snr.repeat(1, 2) > BRIGHT_SNR
    values = torch.where(bright, growth, torch.inf).sort(0).values
    rank = (bright.sum(0) * 0.15).long()
    typical = values.gather(0, rank[None].clamp(max=max(len(values) - 1, 0)))[0] if len(values) else growth.new_zeros(0)
    return torch.where(bright.any(0), typical, 0.0) if len(values) else growth.new_zeros(2 * n_bands)


def add_up(values: Tensor, place: Tensor, n_fields: int, height: int, width: int) -> Tensor:
    """Sums of the values (n, c) that share a place, (n_fields, c, height, width)."""
    summed = values.new_zeros(n_fields * height * width, values.shape[1]).index_add(0, place, values)
    return summed.view(n_fields, height, width, -1).permute(0, 3, 1, 2)
