"""The default encoder: find the sources, hold each against the red sequence at many redshifts, look around at each.

A cluster looks alike at every redshift once galaxies are measured against the red sequence there, brightness against
L* and distances in Mpc. So everything learned here is shared by the redshifts of a grid: a network judges each pair of
a source and a redshift it may have, the judgements are added up in Gaussians of fixed size in Mpc, and residual
convolutions over tiles and redshifts decide where and at which redshift there is a cluster, and whose its members are.
The redshift starts from where red galaxies exceed their mean density; left to find that out, some trainings never did.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from armillary.cosmology import pixels_per_mpc
from armillary.networks.blocks import ResidualBlock, SliceBlock, norm
from armillary.networks.front_end import N_GROUPS, measure_sources

OUTPUTS = (
    "membership_logit", "centre_logit", "offset_x", "offset_y",
    "redshift", "redshift_ln_error", "ln_richness", "ln_richness_ln_error",
)  # fmt: skip
REDSHIFT_SCALE = (0.45, 0.15)  # mean and spread that the redshift output is measured in
LN_RICHNESS_SCALE = (3.5, 0.4)
N_REDSHIFTS = 24
REDSHIFT_RANGE = (0.1, 0.8)
NEIGHBOURHOODS_MPC = (0.12, 0.3, 0.7)  # sigma of the Gaussians in which a tile sees what is around it
CELL_ARCSEC = 17.0  # sources are added up in cells of about this side, a whole number of them across a tile
REACHES_MPC = (0.2, 0.45, 1.0)  # sigma of the Gaussians in which a tile sees the clusters found around it
N_EVIDENCE = 8
N_COUNTED = 6  # kinds of sources that are counted: their sums enter as logarithms
EXCESS_GAIN = 0.5  # of a redshift's logit for each sigma of excess of red galaxies, before anything is learned
PEAK_HALF_WIDTH = 2  # grid steps around the highest peak of a redshift posterior that make the estimate
MAX_MISFIT = 7.0  # half the chi-squared of a source's colours beyond which it is no match for a redshift
LN_LUMINOSITY_RANGE = (-2.4, 3.0)  # of L*; members are brighter than -1.6


def redshift_grid() -> Tensor:
    """The redshifts (N_REDSHIFTS,) at which a source is held against the red sequence."""
    return torch.linspace(*REDSHIFT_RANGE, N_REDSHIFTS)


class RedSequence(nn.Module):
    """How well sources fit the red sequence at each redshift of the grid; starts from a table, then learns.

    `ln_flux`: of an L* red galaxy, (N_REDSHIFTS, n_bands), ln counts at zero point 30.
    """

    def __init__(self, n_bands: int):
        super().__init__()
        self.ln_flux = nn.Parameter(torch.zeros(N_REDSHIFTS, n_bands))
        self.ln_width = nn.Parameter(torch.full((n_bands - 1,), math.log(0.06)))
        self.ln_aperture = nn.Parameter(torch.tensor(-2.06))  # ln of what the middle aperture sees of a galaxy's counts

    def forward(self, ln_flux: Tensor, softened: Tensor, there: Tensor) -> tuple[Tensor, ...]:
        """Colours off the red sequence (n, Z, n_bands - 1), zero where a band is missing; their variance
        (n, n_bands - 1); and ln of the luminosity over L*, (n, Z), of sources (n, n_bands)."""
        ln_error2 = 1 / (1 + (2 * torch.sinh(softened)) ** 2)
        variance = self.ln_width.exp() ** 2 + ln_error2[:, :-1] + ln_error2[:, 1:]
        colour = (ln_flux[:, :-1] - ln_flux[:, 1:])[:, None] + self.ln_flux.diff(dim=1)
        level = (ln_flux - self.ln_aperture)[:, None] - self.ln_flux
        weight = there / (ln_error2 + 0.1)  # a colour off the sequence moves a faint band more than the others
        luminosity = (level * weight[:, None]).sum(2) / weight.sum(1, keepdim=True).clamp(min=1)
        return colour * (there[:, :-1] * there[:, 1:])[:, None], variance, luminosity


class SourceEncoder(nn.Module):
    """Per-tile variational factors of fields; `tile_pixels` binned pixels a tile, `width` channels at each redshift.

    A tile holds a member if any of its sources is one at any redshift: membership and centre are noisy-ors over
    sources and redshifts, each judged in the light of what is around it, and of what the surroundings alone say.
    """

    def __init__(self, n_bands: int, tile_pixels: int, width: int, pixel_arcsec: float):
        super().__init__()
        self.n_bands, self.tile_pixels, self.pixel_arcsec = n_bands, tile_pixels, pixel_arcsec
        self.n_cells = max(round(tile_pixels * pixel_arcsec / CELL_ARCSEC), 1)  # across a tile
        self.red_sequence = RedSequence(n_bands)
        n_features = 2 * (n_bands - 1) + (n_bands - 1) + 3 * n_bands + 6
        self.embed = nn.Sequential(
            nn.Linear(n_features, 2 * width), nn.SiLU(), nn.Linear(2 * width, 2 * width), nn.SiLU(),
            nn.Linear(2 * width, width),
        )  # fmt: skip
        self.count = nn.Linear(width, N_COUNTED)
        self.own = nn.Conv2d(width, width, self.n_cells, stride=self.n_cells)
        n_around = (1 + len(NEIGHBOURHOODS_MPC)) * (width + N_COUNTED) + 2 * len(NEIGHBOURHOODS_MPC)
        self.around = nn.Linear(n_around, width)
        self.at_redshift = nn.Parameter(torch.zeros(N_REDSHIFTS, 1, 1, width))
        self.blocks = nn.Sequential(SliceBlock(width, 1), SliceBlock(width, 2))
        self.evidence = nn.Linear(width, N_EVIDENCE)
        self.found_around = nn.Linear((1 + len(REACHES_MPC)) * 2 * N_EVIDENCE, width)
        self.more_blocks = nn.Sequential(SliceBlock(width, 1), SliceBlock(width, 1))
        self.last = nn.LayerNorm(width)
        self.slice_head = nn.Linear(width, 3)  # logits: this redshift, unseen member, unseen centre
        n_excesses = len(NEIGHBOURHOODS_MPC)
        self.excess_gain = nn.Parameter(torch.full((n_excesses,), EXCESS_GAIN / n_excesses))
        self.typical, self.strongest = nn.Linear(width, width), nn.Linear(width, width)
        self.joined = ResidualBlock(2 * width)
        self.head = nn.Sequential(norm(2 * width), nn.SiLU(), nn.Conv2d(2 * width, len(OUTPUTS), 1))
        self.question = nn.Linear(width, width)
        self.judge = nn.Sequential(nn.Linear(3 * width, 2 * width), nn.SiLU(), nn.Linear(2 * width, 2))
        nn.init.constant_(self.judge[-1].bias, -5.0)  # before anything is learned hardly a source is a member,
        nn.init.constant_(self.slice_head.bias[1:], -7.0)  # nor does any redshift hold one
        nn.init.constant_(self.head[-1].bias[:2], -4.0)

    def start_from(self, ln_flux: Tensor) -> None:
        """Start the red sequence from a table (N_REDSHIFTS, n_bands) of an L* red galaxy's ln counts."""
        with torch.no_grad():
            self.red_sequence.ln_flux.copy_(ln_flux)

    def prepare(self, coded: Tensor, sky_sigma: Tensor) -> tuple[Tensor, tuple[int, int]]:
        """Sources of one field (C, h, w) and the field's shape; nothing here is learned."""
        with torch.no_grad():
            return measure_sources(coded, sky_sigma, self.pixel_arcsec), tuple(coded.shape[1:])

    def cropped(self, prepared, row: int, column: int, size: int):
        """The square of `size` tiles whose first tile is (row, column)."""
        sources, _ = prepared
        first = torch.tensor([column, row], device=sources.device) * self.tile_pixels
        place, side = sources[:, :2] - first, size * self.tile_pixels
        inside = ((place >= 0) & (place < side)).all(1)
        return torch.cat([place[inside], sources[inside, 2:]], 1), (side, side)

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
        sources[:, [3 + group * self.n_bands + band for group in range(N_GROUPS) for band in dropped]] = 0
        return sources, shape

    def pairs(self, sources: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Features (P, n_features), source and redshift of all pairs that colours and brightness allow, and how much
        each counts as a red galaxy, (P, 1)."""
        there, ln_flux, softened, *extent = sources[:, 3:].split(self.n_bands, 1)
        colour, variance, luminosity = self.red_sequence(ln_flux, softened, there)
        misfit = (colour**2 / variance[:, None]).sum(2) / 2
        faintest, brightest = LN_LUMINOSITY_RANGE
        allowed = (misfit < MAX_MISFIT) & (luminosity > faintest) & (luminosity < brightest)
        s, z = allowed.nonzero(as_tuple=True)
        pair = s * N_REDSHIFTS + z  # index_select, because its gradient is several times faster than that of [s, z]
        colour, misfit, luminosity = (
            values.flatten(0, 1).index_select(0, pair) for values in (colour, misfit[..., None], luminosity[..., None])
        )
        variance, there, ln_peak, extent = (
            values.index_select(0, s) for values in (variance, there, sources[:, 2:3], torch.cat(extent, 1))
        )
        above_limit = torch.sigmoid((luminosity + 1.6) / 0.1)  # ln 0.2: the members that make a richness
        scale = redshift_grid().to(misfit)[z, None] / 0.35 - 9 / 7  # -1 to 1
        features = [
            colour / (2 * variance.sqrt()), 4 * colour.clamp(-1, 1), variance.log() / 2 + 2, there, 3 * extent,
            torch.exp(-misfit), luminosity, luminosity**2 / 4, above_limit, ln_peak / 2 - 1.5, scale,
        ]  # fmt: skip
        red = torch.exp(-misfit) * above_limit  # 1 for a galaxy bright enough to count and right on the red sequence
        return torch.cat(features, 1), s, z, red

    def neighbourhoods(self, n_tiles: int, n_cells: int, sigma_mpc: float) -> Tensor:
        """Gaussian weights (Z, n_tiles, n_tiles * n_cells) of the cells, n_cells a tile, seen from the tiles along one
        axis: a density, larger for the wider ones."""
        cells = torch.arange(n_tiles * n_cells)
        tiles = (torch.arange(n_tiles) + 0.5) * n_cells - 0.5
        cell_arcsec = self.tile_pixels * self.pixel_arcsec / n_cells
        sigma = sigma_mpc * torch.from_numpy(pixels_per_mpc(redshift_grid().numpy(), cell_arcsec)).float()
        sigma = sigma[:, None, None]
        weight = torch.exp(-0.5 * ((tiles[:, None] - cells) / sigma) ** 2)
        return weight * 2.3 * sigma_mpc**0.5 / sigma

    def look_around(self, cells: Tensor, n_rows: int, n_columns: int) -> tuple[Tensor, Tensor]:
        """What each tile sees at each redshift, (B, Z, h, w, c + N_COUNTED + 1) cells -> (B, Z, T, T, n_around), and by
        how many sigma the last of their values, red galaxies, exceeds its mean in each neighbourhood."""
        summed, share, excess = [], [], []
        mean = cells.mean((2, 3), keepdim=True)
        for sigma_mpc in NEIGHBOURHOODS_MPC:
            rows, columns = (self.neighbourhoods(n, self.n_cells, sigma_mpc).to(cells) for n in (n_rows, n_columns))
            summed.append(smoothed(cells, rows, columns))
            share.append(rows.sum(2)[:, :, None] * columns.sum(2)[:, None])  # of the neighbourhood inside the image
            expected = share[-1] * mean[..., -1]
            peak = (rows.amax((1, 2)) * columns.amax((1, 2)))[:, None, None]  # the weight of a galaxy in the middle
            variance = peak * (expected + peak / 2) / 2  # Poisson: a squared Gaussian weight adds up to half
            excess.append((summed[-1][..., -1] - expected) * variance.rsqrt())
        summed.append((30 * mean).expand(-1, -1, n_rows, n_columns, -1))
        seen = torch.stack(summed, -2)[..., :-1]  # (B, Z, T, T, n, c + N_COUNTED)
        sums, counts = seen[..., :-N_COUNTED], torch.log(seen[..., -N_COUNTED:] + 0.1)
        share = torch.stack(share, -1).expand(len(cells), -1, -1, -1, -1)
        excess = torch.stack(excess, -1)
        return torch.cat([sums.flatten(-2), counts.flatten(-2), share, excess / 3], -1), excess

    def look_at_found(self, x: Tensor) -> Tensor:
        """What each tile sees of the clusters that the tiles around it found: (B, Z, T, T, c) -> the same."""
        evidence = F.softplus(self.evidence(x))
        seen = [evidence]
        for sigma_mpc in REACHES_MPC:
            rows, columns = (self.neighbourhoods(n, 1, sigma_mpc).to(x) for n in x.shape[2:4])
            seen.append(smoothed(evidence, rows, columns))
        seen = torch.cat(seen, -1)
        return self.found_around(torch.cat([seen, torch.log(seen + 0.03)], -1))

    def forward(self, prepared: list) -> Tensor:  # B fields of equal shape -> (B, n_outputs, T, T)
        n_fields = len(prepared)
        n_rows, n_columns = (side // self.tile_pixels for side in prepared[0][1])
        sources = torch.cat([sources for sources, _ in prepared])
        counts = torch.tensor([len(sources) for sources, _ in prepared], device=sources.device)
        field = torch.repeat_interleave(torch.arange(n_fields, device=sources.device), counts)
        features, s, z, red = self.pairs(sources)
        embedded = self.embed(features)  # (P, c)
        height, width = n_rows * self.n_cells, n_columns * self.n_cells
        row, column = ((sources[:, axis] / (self.tile_pixels / self.n_cells)).long() for axis in (1, 0))
        place = ((field[s] * N_REDSHIFTS + z) * height + row[s]) * width + column[s]
        summed = torch.cat([embedded, F.softplus(self.count(embedded)), red], 1)
        cells = add_up(summed, place, n_fields, N_REDSHIFTS, height, width)
        own = self.own(cells[..., : -N_COUNTED - 1].flatten(0, 1).movedim(-1, 1)).movedim(1, -1)
        around, excess = self.look_around(cells, n_rows, n_columns)
        x = self.around(around) + own.unflatten(0, (n_fields, N_REDSHIFTS))
        x = self.blocks(x + self.at_redshift)  # (B, Z, T, T, c)
        x = self.more_blocks(x + self.look_at_found(x))
        rest = self.last(x)
        redshift_logit, *unseen = self.slice_head(rest).float().unbind(-1)  # each (B, Z, T, T)
        posterior = (redshift_logit + excess @ self.excess_gain).softmax(1)
        view = torch.cat([(posterior[..., None] * self.typical(x)).sum(1), self.strongest(rest).amax(1)], -1)
        head = self.head(self.joined(view.movedim(-1, 1))).float()  # (B, n_outputs, T, T)
        tile = (field * n_rows + row // self.n_cells) * n_columns + column // self.n_cells
        asked = between_tiles(self.question(rest), field[s], z, sources[s, :2] / self.tile_pixels)
        verdict = self.judge(torch.cat([embedded * asked, embedded, asked], 1)).float()  # (P, 2): member, centre
        # noisy-or: -ln(1 - p) of the tile is the sum of those of its sources, of the slices and of the head
        seen = add_up(F.softplus(verdict), tile[s], n_fields, n_rows, n_columns).movedim(-1, 1)
        total = seen + torch.stack([F.softplus(logit).sum(1) for logit in unseen], 1) + F.softplus(head[:, :2])
        total = total.clamp(min=1e-6)
        logits = total + torch.log(-torch.expm1(-total))
        redshift = redshift_outputs(posterior, head[:, 4:6], at_peak=not self.training)
        return torch.cat([logits, head[:, 2:4], redshift, head[:, 6:]], 1)


def add_up(values: Tensor, place: Tensor, *shape: int) -> Tensor:
    """Sums of the values (n, c) that share a place of a grid of this shape, (*shape, c)."""
    return values.new_zeros(math.prod(shape), values.shape[1]).index_add(0, place, values).view(*shape, -1)


def smoothed(values: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """(B, Z, h, w, c) summed with weights (Z, T, h) of rows and (Z, T, w) of columns, (B, Z, T, T, c)."""
    return torch.einsum("zkl,bzilc->bzikc", columns, torch.einsum("zij,bzjlc->bzilc", rows, values))


def between_tiles(values: Tensor, field: Tensor, redshift: Tensor, place: Tensor) -> Tensor:
    """Values (B, Z, T, T, c) of tiles at places x, y (P, 2) in units of tiles, linear between the tiles' middles."""
    n_rows, n_columns = values.shape[2:4]
    flat, slice_number = values.flatten(0, 3), field * values.shape[1] + redshift

    def neighbours(x: Tensor, n_tiles: int) -> list[tuple[Tensor, Tensor]]:
        from_middle = (x - 0.5).clamp(0, n_tiles - 1)
        first = from_middle.long().clamp(max=max(n_tiles - 2, 0))
        share = (from_middle - first).to(values)[:, None]
        return [(first, 1 - share), ((first + 1).clamp(max=n_tiles - 1), share)]

    return sum(
        flat.index_select(0, (slice_number * n_rows + row) * n_columns + column) * (row_share * column_share)
        for row, row_share in neighbours(place[:, 1], n_rows)
        for column, column_share in neighbours(place[:, 0], n_columns)
    )


def redshift_outputs(posterior: Tensor, correction: Tensor, *, at_peak: bool) -> Tensor:
    """Redshift and its ln error, (B, 2, T, T) in units of its scale, from the posterior (B, Z, T, T) on the grid and
    the head's corrections (B, 2, T, T), a small shift and the error that the posterior does not show.

    The mean of the posterior learns faster; its highest peak is better, because of two clusters in one line of sight
    the mean is neither. The error is the spread of the whole posterior about either.
    """
    grid = (redshift_grid().to(posterior) - REDSHIFT_SCALE[0])[:, None, None] / REDSHIFT_SCALE[1]
    kept = posterior
    if at_peak:
        steps = torch.arange(N_REDSHIFTS, device=posterior.device)[:, None, None]
        kept = posterior * ((steps - posterior.argmax(1, keepdim=True)).abs() <= PEAK_HALF_WIDTH)
        kept = kept / kept.sum(1, keepdim=True)
    mean = (kept * grid).sum(1)
    variance = (posterior * (grid - mean[:, None]) ** 2).sum(1) + torch.exp(2 * correction[:, 1].clamp(-5, 3) - 4)
    return torch.stack([mean + 0.1 * correction[:, 0], 0.5 * torch.log(variance)], 1)
