"""What a method found is kept until its job is whole, so that a killed job goes on with the next method."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

from armillary.files_hsc import read_posteriors, write_posteriors
from armillary.step import announce


def kept_or_made(
    path: str, method: str, fingerprint: str, make: Callable[[], dict[str, np.ndarray]]
) -> dict[str, np.ndarray]:
    """The arrays of a method from the file where an earlier try left them, if they are of the same `fingerprint`; else
    what `make` returns, which is then left there, whole or not at all."""
    if Path(path).exists():
        found = read_posteriors(path)[method]
        if found.pop("fingerprint").decode() == fingerprint:
            announce(f"{method}: taken from an earlier try")
            return found
    found = make()
    hidden = Path(path).with_name(".unfinished-" + Path(path).name)
    hidden.parent.mkdir(parents=True, exist_ok=True)
    write_posteriors(str(hidden), {method: found | {"fingerprint": np.bytes_(fingerprint)}})
    os.replace(hidden, path)
    return found
