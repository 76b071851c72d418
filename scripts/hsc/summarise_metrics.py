"""Merge the scores of the operator, the prior and all problems into the one file that report and README read."""

from armillary.files import read_json, write_json
from armillary.metrics import merge_metrics
from armillary.step import announce, run


def summarise_metrics(parts: list[str], metrics: str) -> None:
    merged = merge_metrics({path: read_json(path) for path in parts})
    announce(f"{len(merged)} numbers from {len(parts)} files")
    write_json(metrics, merged)


if __name__ == "__main__":
    run(summarise_metrics, snakemake)
