"""Files of embeddings that hold what tokens are pooled to part by part, and the choices that are made of them."""

import numpy as np

from armillary.files_cutouts import read_embeddings, write_embeddings

PREFIX = "part_"


def parts_of(poolings: list[list[str]]) -> list[str]:
    """The parts that a list of poolings is made of, each once."""
    return list(dict.fromkeys(part for pooling in poolings for part in pooling))


def write_parts(
    path: str, parts: dict[str, np.ndarray], columns: dict[str, np.ndarray], facts: dict, main: str
) -> None:
    """A file of embeddings whose vectors are those of the part `main`, and all parts beside them."""
    write_embeddings(path, parts[main], columns | {PREFIX + name: values for name, values in parts.items()}, facts)


def read_choices(path: str, poolings: list[list[str]]) -> tuple[list[tuple], dict[str, np.ndarray]]:
    """The parts (N, d) of embeddings, a tuple a pooling, and the columns of their objects."""
    _, columns = read_embeddings(path)
    parts = {name.removeprefix(PREFIX): columns.pop(name) for name in list(columns) if name.startswith(PREFIX)}
    missing = [part for part in parts_of(poolings) if part not in parts]
    if missing:
        raise ValueError(f"{path} has no part {missing[0]!r} (config key `mim: poolings`): embed its objects anew")
    return [tuple(parts[name] for name in pooling) for pooling in poolings], columns


def read_placed(path: str, poolings: list[list[str]], n_rows: int) -> list[tuple]:
    """The same where a file holds some of `n_rows` objects: in their rows, NaN in the others."""
    choices, columns = read_choices(path, poolings)
    placed = {}
    for part in (part for choice in choices for part in choice):
        if id(part) not in placed:
            placed[id(part)] = np.full((n_rows, part.shape[1]), np.nan, np.float32)
            placed[id(part)][columns["row"]] = part
    return [tuple(placed[id(part)] for part in choice) for choice in choices]
