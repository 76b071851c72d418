"""Fetch one file of the dataset manifest: from the mirror folder if it is there, else from its archive."""

import os

from armillary.datasets import fetch
from armillary.step import run


def fetch_dataset(file: str, *, entry: dict, partial: str) -> None:
    """Write the file of a manifest entry, checked, to `file`; say what it is and what to cite.

    file: where it goes. entry: what the manifest says of it. partial: keeps a broken download.
    The mirror folder is a property of the machine, not of the product, and so comes from ARMILLARY_MIRROR.
    """
    source = fetch(file, entry, partial=partial, mirror=os.environ.get("ARMILLARY_MIRROR"))
    print(f"{entry['dataset']}: from {source}")
    print(f"licence: {entry['licence']}; please cite: {entry['citation']}")


if __name__ == "__main__":
    run(fetch_dataset, snakemake)
