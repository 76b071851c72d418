"""Placeholder."""

from armillary.step import run


def infer_observed() -> None:
    """To come."""


if __name__ == "__main__":
    run(infer_observed, snakemake)
