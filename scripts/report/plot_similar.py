"""Write a page on which objects are searched by example: what looks alike to a network, and to simpler features."""

import base64
import io
from pathlib import Path

import numpy as np
from PIL import Image

from armillary.figures.mim_scores import stamps_of
from armillary.files import read_arrays, read_json
from armillary.files_cutouts import open_cutouts
from armillary.pages import render_page
from armillary.probes import impute
from armillary.similarity import neighbours, read_search_vectors, whiten
from armillary.step import run

N_OBJECTS, N_ALIKE, N_COLUMNS = 480, 12, 24
KINDS = ("galaxy", "quasar", "star")


def plot_similar(
    embeddings: str, features: str, cutouts: str, metrics: str, templates: list[str], html: str, *, pages: list[dict]
) -> None:
    """All lenses of the objects, up to a tenth of those shown, and others at random; searched among what is shown."""
    vectors, columns = read_search_vectors(embeddings)
    rows = _chosen(columns["lens"] == 1, np.random.default_rng(0))
    arrays = read_arrays(features)
    photometry = arrays["photometry"].astype(float)
    ways = {"embedding": vectors, "principal components": arrays["pca"], "photometry": impute(photometry, photometry)}
    alike = {name: neighbours(whiten(values)[rows], N_ALIKE).tolist() for name, values in ways.items()}
    with open_cutouts(cutouts) as file:
        stamps = stamps_of(file, rows)
    text = render_page(
        Path(templates[0]).parent, "similar.html", here="mim", title="What looks alike", root="../", pages=pages,
        objects=[_described(columns, row) for row in rows], alike=alike, n_columns=N_COLUMNS,
        n_rows=-(-len(rows) // N_COLUMNS), sprite=_sprite(stamps), first=_first(columns, rows),
        provenance=read_json(Path(metrics).parent / "provenance/summarise_metrics.json"),
    )  # fmt: skip
    Path(html).write_text(text)


def _chosen(is_lens: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Rows that are shown, ascending."""
    lenses = rng.permutation(np.flatnonzero(is_lens))[: N_OBJECTS // 10]
    others = rng.permutation(np.flatnonzero(~is_lens))[: N_OBJECTS - len(lenses)]
    return np.sort(np.append(lenses, others))


def _first(columns: dict, rows: np.ndarray) -> int:
    """The object that the page opens with: the brightest lens, if there is one."""
    magnitude = columns["magnitude_i"][rows] + 100.0 * (columns["lens"][rows] != 1)
    return int(np.argmin(magnitude))


def _described(columns: dict, row: int) -> dict:
    """Kind of an object and what is known of it."""
    kind = "lens" if columns["lens"][row] == 1 else KINDS[int(columns["class"][row])]
    kind = "blend" if kind == "galaxy" and columns["blend"][row] == 1 else kind
    redshift = columns["zspec"][row]
    known = f"i = {columns['magnitude_i'][row]:.1f}" + (f", z = {redshift:.2f}" if np.isfinite(redshift) else "")
    return {"kind": kind, "known": known}


def _sprite(stamps: np.ndarray) -> str:
    """All stamps (n, S, S, 3) in one picture, N_COLUMNS beside each other, as an address that holds it."""
    n_rows, size = -(-len(stamps) // N_COLUMNS), stamps.shape[1]
    sheet = np.zeros((n_rows * N_COLUMNS, size, size, 3))
    sheet[: len(stamps)] = stamps
    sheet = sheet.reshape(n_rows, N_COLUMNS, size, size, 3).transpose(0, 2, 1, 3, 4)
    stream = io.BytesIO()
    picture = Image.fromarray((255 * sheet.reshape(n_rows * size, N_COLUMNS * size, 3)).astype(np.uint8))
    picture.save(stream, "JPEG", quality=88, subsampling=0)
    return f"data:image/jpeg;base64,{base64.b64encode(stream.getvalue()).decode()}"


if __name__ == "__main__":
    run(plot_similar, snakemake)
