"""The state of an unfinished training on disk: written whole or not at all, read only if it is of the same making."""

import os
from pathlib import Path

import torch

from armillary.step import announce


def write_checkpoint(path: str | Path, state: dict) -> None:
    """Write under another name first, so that a kill leaves the old one whole."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    hidden = path.with_name(".unfinished-" + path.name)
    torch.save(state, hidden)
    os.replace(hidden, path)


def read_checkpoint(path: str | Path, fingerprint: str) -> dict | None:
    """The state, or None if there is none or it has another `fingerprint` (settings, data, code)."""
    if not Path(path).exists():
        return None
    state = torch.load(path, weights_only=True, map_location="cpu")
    if state["fingerprint"] != fingerprint:
        announce(f"{path} belongs to other settings, data or code; training starts afresh")
        return None
    return state
