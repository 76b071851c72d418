"""The batched k-space engine: GalSim evaluates every profile and PSF, sources are transformed by the batch.

GalSim's per-object time goes into objects, stamps and transforms that are nearly alike. Here every galaxy's
k-image is drawn by GalSim into one array a batch (one C++ call with the source's 2 x 2 jacobian), every
PSF's once a cell and stamp size; products, phases, aliases, inverse transforms and additions run over the
whole batch. A stamp of N pixels has period N: light beyond its edge is folded back, so that flux is
conserved exactly.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import ducc0
import galsim
import numba
import numpy as np

from armillary.psf import PsfexPsf, SeeingPsf, psf_of_cell
from armillary.stamps import DE_VAUCOULEURS, EXPONENTIAL, STAMP_SIZES, peak_level, reach_tables, stamp_reach

BATCH_PIXELS = 2**17
BAND_STEPS = 16  # k bands are multiples of N / BAND_STEPS
MAX_BAND = 1.5  # widest k band in units of N (Nyquist is 0.5)


class Sources(NamedTuple):
    """What the engine draws, one entry a source: positions (corner convention), flux (n_bands, N), shape."""

    x: np.ndarray
    y: np.ndarray
    flux: np.ndarray
    hlr_arcsec: np.ndarray
    fracdev: np.ndarray
    g1: np.ndarray
    g2: np.ndarray


class Scene(NamedTuple):
    """What is drawn and where: the sources of a field, the PSF cell (N,) each lies in, and the field's geometry."""

    sources: Sources
    cell: np.ndarray
    pixel_arcsec: float
    image_size: int
    n_psf_cells: int  # along a side

    def part(self, rows) -> "Scene":
        """The same field with only some sources, an array of indices or a slice."""
        sources = Sources(*(np.ascontiguousarray(value[..., rows]) for value in self.sources))
        return self._replace(sources=sources, cell=self.cell[rows])


class Plan(NamedTuple):
    """Stamp size (pixels) and k band (grid steps either side of zero) of every source."""

    size: np.ndarray
    band: np.ndarray


def jacobians(sources: Sources) -> np.ndarray:
    """Matrices (N, 2, 2) that take a unit round profile to each galaxy: hlr x area-preserving shear."""
    scale = sources.hlr_arcsec / np.sqrt(1 - sources.g1**2 - sources.g2**2)
    rows = [[1 + sources.g1, sources.g2], [sources.g2, 1 - sources.g1]]
    return np.ascontiguousarray((scale * np.array(rows)).transpose(2, 0, 1))


def plan_stamps(
    sources: Sources,
    psfs: list[SeeingPsf | PsfexPsf],
    sky_sigma: list[float],
    pixel_arcsec: float,
    edge_sigma: float,
    peak_fraction: float | None = None,
) -> Plan:
    """Size every stamp so that in every band the light at its edge is below the tolerance.

    The tolerance is `edge_sigma` x the sky noise of a pixel, or `peak_fraction` x the source's own peak.
    """
    reach = np.zeros(sources.x.size)
    wavenumber = np.zeros(sources.x.size)
    for psf, flux, sigma in zip(psfs, sources.flux, sky_sigma, strict=True):
        radius, k = _band_reach(sources, psf, flux, edge_sigma * sigma / pixel_arcsec**2, peak_fraction)
        reach, wavenumber = np.maximum(reach, radius), np.maximum(wavenumber, k)
    index = np.searchsorted(STAMP_SIZES, 2 * reach / pixel_arcsec + 1)
    size = STAMP_SIZES[np.minimum(index, STAMP_SIZES.size - 1)]
    steps = np.ceil(wavenumber * pixel_arcsec / (2 * np.pi) * BAND_STEPS)
    band = np.clip(steps, 3, MAX_BAND * BAND_STEPS).astype(int) * size // BAND_STEPS
    if any(psf.includes_pixel for psf in psfs):
        band = np.minimum(band, size // 2)  # a pixelised model has nothing real beyond Nyquist
    return Plan(size, band)


def add_sources(
    images: np.ndarray, scene: Scene, plan: Plan, psfs: list[SeeingPsf | PsfexPsf], corner: tuple[int, int] = (0, 0)
) -> None:
    """Add every source to `images` (n_bands, height, width), whose first pixel is the field's `corner`."""
    sources = scene.sources
    jacobian = jacobians(sources)
    transfers = _Transfers(psfs, plan, scene)
    work = _Workspace()
    for rows, size, band in _groups(plan, sources):
        batch = _Batch(work, rows.size, size, band, sources.hlr_arcsec[rows[0]] > 0, scene.pixel_arcsec)
        transfer, cell_index = transfers.of_group(rows, size)
        for start in range(0, rows.size, batch.n):
            part = rows[start : start + batch.n]
            batch.draw_galaxies(jacobian, sources.fracdev, part)
            batch.add(images, sources, part, transfer, cell_index[start : start + batch.n], corner)


class _Workspace:
    """Memory that every batch reuses: one growing buffer a purpose."""

    def __init__(self) -> None:
        self.buffers: dict[str, np.ndarray] = {}

    def array(self, purpose: str, shape: tuple[int, ...], dtype: type) -> np.ndarray:
        """An array of any content on the buffer of `purpose`."""
        n_bytes = int(np.prod(shape)) * np.dtype(dtype).itemsize
        if self.buffers.get(purpose, np.empty(0)).nbytes < n_bytes:
            self.buffers[purpose] = np.empty(n_bytes, np.uint8)
        return self.buffers[purpose][:n_bytes].view(dtype).reshape(shape)


class _Transfers:
    """k-images of PSF (times pixel), drawn by GalSim once a band, stamp size and cell in use."""

    def __init__(self, psfs, plan: Plan, scene: Scene) -> None:
        self.psfs, self.plan, self.scene = psfs, plan, scene
        self.profiles: dict[tuple[int, int], galsim.GSObject] = {}
        self.drawn: dict[int, tuple[np.ndarray, list[np.ndarray]]] = {}

    def of_group(self, rows: np.ndarray, size: int) -> tuple[list[np.ndarray], np.ndarray]:
        """One (n_cells, 2 K + 1, K + 1) array a band (K the size's widest k band); each row's place in it."""
        if size not in self.drawn:
            members = np.flatnonzero(self.plan.size == size)
            cells, place = np.unique(self.scene.cell[members], return_inverse=True)
            bands = np.zeros(cells.size, int)
            np.maximum.at(bands, place, self.plan.band[members])
            self.drawn = {size: (cells, [self._draw(number, cells, size, bands) for number in range(len(self.psfs))])}
        cells, transfers = self.drawn[size]
        return transfers, np.searchsorted(cells, self.scene.cell[rows])

    def _draw(self, number: int, cells: np.ndarray, size: int, bands: np.ndarray) -> np.ndarray:
        """k-images out to each cell's own band, in the middle of arrays wide enough for the widest."""
        psf, step, widest = self.psfs[number], 2 * np.pi / (size * self.scene.pixel_arcsec), int(bands.max())
        symmetric = isinstance(psf, SeeingPsf)
        pixel = galsim.ImageCF(galsim.BoundsI(0, widest, -widest, widest), scale=step)
        galsim.Pixel(self.scene.pixel_arcsec)._drawKImage(pixel)
        transfer = np.zeros((cells.size, *pixel.array.shape), np.float32 if symmetric else np.complex64)
        for place, (cell, band) in enumerate(zip(cells.tolist(), bands.tolist(), strict=True)):
            image = galsim.ImageCF(galsim.BoundsI(0, band, -band, band), scale=step)
            self._profile(number, cell)._drawKImage(image)
            middle = (slice(widest - band, widest + band + 1), slice(band + 1))
            values = image.array if psf.includes_pixel else image.array * pixel.array[middle]
            transfer[place][middle] = values.real if symmetric else values
        return transfer

    def _profile(self, number: int, cell: int) -> galsim.GSObject:
        if (number, cell) not in self.profiles:
            psf, field = self.psfs[number], self.scene
            self.profiles[number, cell] = psf_of_cell(psf, cell, field.image_size, field.n_psf_cells)
        return self.profiles[number, cell]


class _Batch:
    """Work arrays for up to `n` stamps of one size and k band."""

    def __init__(
        self, work: _Workspace, n_rows: int, size: int, band: int, galaxies: bool, pixel_arcsec: float
    ) -> None:
        self.n = max(1, min(BATCH_PIXELS // size**2, n_rows))
        self.size, self.galaxies = size, galaxies
        step = 2 * np.pi / (size * pixel_arcsec)  # rad / arcsec
        self.spectra = work.array("spectra", (self.n, size, size // 2 + 1), np.complex64)
        self.spectra[:] = 0
        self.stamps = work.array("stamps", (self.n, size, size), np.float32)
        shape = (self.n, 2 * band + 1, band + 1)
        self.exponential = work.array("exponential", shape, np.complex64)
        self.de_vaucouleurs = work.array("de_vaucouleurs", shape, np.complex64)
        self.draws = (
            _k_drawer(EXPONENTIAL, self.exponential, band, step),
            _k_drawer(DE_VAUCOULEURS, self.de_vaucouleurs, band, step),
        )

    def draw_galaxies(self, jacobian: np.ndarray, fracdev: np.ndarray, rows: np.ndarray) -> None:
        """GalSim's k-images of the galaxies `rows`, both profiles where a galaxy is a mixture."""
        if not self.galaxies:
            return
        draw_exponential, draw_de_vaucouleurs = self.draws
        fraction = fracdev[rows]
        draw_exponential(np.flatnonzero(fraction < 1), jacobian, rows)
        draw_de_vaucouleurs(np.flatnonzero(fraction > 0), jacobian, rows)

    def add(self, images, sources: Sources, rows, transfers, cell_index, corner) -> None:
        """Multiply by PSF, flux and phase, transform back, and add the stamps of every band."""
        n, half = rows.size, self.size // 2
        left = np.floor(sources.x[rows]).astype(np.int64) - half
        bottom = np.floor(sources.y[rows]).astype(np.int64) - half
        # Pixel i covers [i, i+1): its centre, where the light is sampled, is at i + 0.5.
        dx, dy = sources.x[rows] - 0.5 - left, sources.y[rows] - 0.5 - bottom
        fraction = sources.fracdev[rows].astype(np.float32)
        for image, flux, transfer in zip(images, sources.flux, transfers, strict=True):
            amplitude = (flux[rows] / self.size**2).astype(np.float32)
            fill_spectra(
                self.spectra[:n],
                self.exponential,
                self.de_vaucouleurs,
                fraction,
                transfer,
                cell_index,
                amplitude,
                dx,
                dy,
                self.galaxies,
            )
            ducc0.fft.c2r(
                self.spectra[:n], axes=(1, 2), lastsize=self.size, forward=False, inorm=0, out=self.stamps[:n]
            )
            add_stamps(image, self.stamps[:n], left - corner[0], bottom - corner[1])


@numba.njit(cache=True, fastmath=True, error_model="numpy")
def fill_spectra(spectra, exponential, de_vaucouleurs, fracdev, transfer, cell, amplitude, dx, dy, galaxies):
    """spectra (n, N, N/2+1) = galaxy x PSF x amplitude x phase, with wavenumbers beyond Nyquist folded back.

    Galaxy k-images are (n, 2 K + 1, K + 1): rows -K to K, columns 0 to K. `transfer` is (n_cells, 2 L + 1,
    L + 1) with L >= K. Elements outside the k band are left as they are (zero).
    """
    n, size, _ = spectra.shape
    half, band, middle = size // 2, exponential.shape[2] - 1, transfer.shape[2] - 1
    cos_x, sin_x = np.empty(band + 1, np.float32), np.empty(band + 1, np.float32)
    values = np.empty(band + 1, np.complex64)
    for s in range(n):
        for i in range(band + 1):
            angle = -2 * np.pi / size * i * dx[s]
            cos_x[i], sin_x[i] = np.cos(angle), np.sin(angle)
        if band >= half:
            spectra[s] = 0
        one, two = np.float32(1) - fracdev[s], fracdev[s]
        for j in range(-band, band + 1):
            angle = -2 * np.pi / size * j * dy[s]
            cos_y, sin_y = np.float32(np.cos(angle)) * amplitude[s], np.float32(np.sin(angle)) * amplitude[s]
            psf = transfer[cell[s], middle + j]
            for i in range(band + 1):
                values[i] = psf[i] * np.complex64(
                    complex(cos_x[i] * cos_y - sin_x[i] * sin_y, cos_x[i] * sin_y + sin_x[i] * cos_y)
                )
            if galaxies and two < 1:
                if two == 0:
                    for i in range(band + 1):
                        values[i] *= exponential[s, band + j, i].real
                else:
                    for i in range(band + 1):
                        values[i] *= one * exponential[s, band + j, i].real + two * de_vaucouleurs[s, band + j, i].real
            elif galaxies:
                for i in range(band + 1):
                    values[i] *= de_vaucouleurs[s, band + j, i].real
            if band < half:
                target = spectra[s, j % size]
                for i in range(band + 1):
                    target[i] = values[i]
            else:
                fold_row(spectra[s], values, j)


@numba.njit(cache=True, error_model="numpy")
def fold_row(spectrum, values, j):
    """Add row j (columns 0 to K) of a wide k-image and its mirror image to a spectrum (N, N/2+1)."""
    size, half_columns = spectrum.shape
    for i in range(values.size):
        column = i % size
        if column < half_columns:
            spectrum[j % size, column] += values[i]
        column = -i % size
        if i > 0 and column < half_columns:
            spectrum[-j % size, column] += np.conj(values[i])


@numba.njit(cache=True, error_model="numpy")
def add_stamps(image, stamps, left, bottom):
    """Add stamps (n, N, N) to an image at their lower-left pixels, cut at the image's borders."""
    height, width = image.shape
    n, size, _ = stamps.shape
    for s in range(n):
        first, last = max(0, -left[s]), min(size, width - left[s])
        if first >= last:
            continue
        for j in range(max(0, -bottom[s]), min(size, height - bottom[s])):
            row = image[bottom[s] + j, left[s] + first : left[s] + last]
            stamp = stamps[s, j, first:last]
            for i in range(row.size):
                row[i] += stamp[i]


def _k_drawer(profile: galsim.GSObject, array: np.ndarray, band: int, step: float) -> Callable:
    """draw(places, jacobian, rows): GalSim evaluates `profile` under jacobian[rows[p]] into array[p]."""
    if hasattr(getattr(profile, "_sbp", None), "drawK"):
        return _direct_drawer(profile._sbp.drawK, array, galsim.BoundsI(0, band, -band, band)._b, step)

    def draw(places: np.ndarray, jacobian: np.ndarray, rows: np.ndarray) -> None:
        for place in places:
            image = galsim.Image(array[place], xmin=0, ymin=-band, scale=step)
            profile._drawKImage(image, jacobian[rows[place]])

    return draw


def _direct_drawer(draw_k: Callable, array: np.ndarray, bounds, step: float) -> Callable:
    """The same without an Image object a source: GalSim's C++ layer is given the addresses."""
    start, plane_bytes, stride = array.ctypes.data, array.strides[0], array.shape[2]
    view = galsim._galsim.ImageViewCF

    def draw(places: np.ndarray, jacobian: np.ndarray, rows: np.ndarray) -> None:
        planes = (start + places * plane_bytes).tolist()
        matrices = (jacobian.ctypes.data + rows[places] * jacobian.strides[0]).tolist()
        for plane, matrix in zip(planes, matrices, strict=True):
            draw_k(view(plane, 1, stride, bounds), step, matrix)

    return draw


def _band_reach(sources: Sources, psf, flux: np.ndarray, level: float, peak_fraction: float | None):
    """Radius (arcsec) and wavenumber (rad / arcsec) one band asks for, (N,) each."""
    fwhm = psf.fwhm_arcsec
    exponential, de_vaucouleurs = reach_tables(getattr(psf, "profile", "kolmogorov"), getattr(psf, "beta", 3.0))
    shear = np.hypot(sources.g1, sources.g2)
    stretch = np.sqrt((1 + shear) / (1 - shear))
    ratio = sources.hlr_arcsec / fwhm
    reach, wavenumber = np.zeros(flux.size), np.zeros(flux.size)
    for table, share in ((exponential, 1 - sources.fracdev), (de_vaucouleurs, sources.fracdev)):
        rows = np.flatnonzero((share > 0) & (flux > 0))
        if peak_fraction is None:
            log_level = np.log10(level * fwhm**2 / (flux[rows] * share[rows]))
        else:
            log_level = np.log10(peak_fraction) + peak_level(table, ratio[rows])
        radius, _ = stamp_reach(table, ratio[rows] * stretch[rows], log_level - np.log10(stretch[rows]))
        # The tail is bounded as if all of it were in phase; what is really lost is about half of it.
        _, k = stamp_reach(table, ratio[rows] / stretch[rows], log_level + np.log10(2))
        reach[rows] = np.maximum(reach[rows], radius * fwhm)
        wavenumber[rows] = np.maximum(wavenumber[rows], k / fwhm)
    return reach, wavenumber


def _groups(plan: Plan, sources: Sources) -> Iterator[tuple[np.ndarray, int, int]]:
    """(rows, stamp size, k band) of sources that can share a batch, ordered from bottom to top."""
    key = (plan.size.astype(np.int64) * 10_000 + plan.band) * 2 + (sources.hlr_arcsec > 0)
    order = np.lexsort((sources.y, key))
    for rows in np.split(order, np.flatnonzero(np.diff(key[order])) + 1):
        yield rows, int(plan.size[rows[0]]), int(plan.band[rows[0]])
