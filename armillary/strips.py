"""Strips of rows of a FITS image, read from several threads at once and with no more memory than the strip.

Rice-compressed rows (DES tiles and everything this project writes) go through `armillary.rice`; any other
image goes through CFITSIO, one thread at a time.
"""

import threading

import numpy as np

from armillary.files import read_bytes, read_image_header, read_image_rows, read_rice_layout
from armillary.rice import decode_rows

_cfitsio = threading.Lock()


class ImageStrips:
    """Row access to one 2-D image: `shape` (n_rows, n_columns), `header` dict, `read(first_row, rows)`.

    Args:
        path: FITS file.
        extension: HDU of the image; None takes the first one that holds a 2-D image.

    Raises:
        FileNotFoundError, ValueError: no such file, not FITS, truncated, no 2-D image; the message names the
            file.
    """

    def __init__(self, path: str, extension: int | None = None) -> None:
        self.path = path
        self.extension, self.shape, self.header = read_image_header(path, extension)
        self.layout = read_rice_layout(path, self.extension)

    def read(self, first_row: int, rows: np.ndarray) -> None:
        """Fill `rows`, float32 (n, n_columns), with image rows first_row ... first_row + n - 1.
        Thread-safe.
        """
        if self.layout is None:
            self._read_plain(first_row, rows)
        else:
            self._read_rice(first_row, rows)

    def _read_plain(self, first_row: int, rows: np.ndarray) -> None:
        with _cfitsio:
            rows[:] = read_image_rows(self.path, self.extension, first_row, first_row + len(rows))

    def _read_rice(self, first_row: int, rows: np.ndarray) -> None:
        layout, chosen = self.layout, slice(first_row, first_row + len(rows))
        starts, sizes = layout.starts[chosen], layout.sizes[chosen]
        coded = np.flatnonzero(sizes > 0)
        if len(coded):
            first_byte = int(starts[coded].min())
            heap = read_bytes(
                self.path, layout.heap_offset + first_byte, int((starts + sizes)[coded].max()) - first_byte
            )
            try:
                decode_rows(
                    heap,
                    starts - first_byte,
                    sizes,
                    block_size=layout.block_size,
                    scales=layout.scales[chosen],
                    zeros=layout.zeros[chosen],
                    blanks=None if layout.blanks is None else layout.blanks[chosen],
                    dither_method=layout.dither_method,
                    first_seed=first_row + layout.dither_seed - 1,
                    image=rows,
                )
            except ValueError as error:
                raise ValueError(f"{self.path}: {error} (strip from row {first_row})") from error
        for row in np.flatnonzero(sizes == 0):  # rows that CFITSIO could not quantise and stored losslessly
            self._read_plain(first_row + int(row), rows[row : row + 1])
