"""Placeholder."""

from armillary.step import run


def plot_observed() -> None:
    """To come."""


if __name__ == "__main__":
    run(plot_observed, snakemake)
