"""Placeholder."""

from armillary.step import run


def estimate_observed() -> None:
    """To come."""


if __name__ == "__main__":
    run(estimate_observed, snakemake)
