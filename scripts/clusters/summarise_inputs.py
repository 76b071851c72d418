"""Write which real files a run used (bytes, sha256, where from), and what the redMaPPer readers find in
them."""

import hashlib
from pathlib import Path

from armillary.files import read_table, write_json
from armillary.metrics import measurement
from armillary.redmapper import radial_weight_richness, read_clusters, read_members
from armillary.step import announce, run


def summarise_inputs(
    files: list[str],
    members: list[str],
    catalogs: list[str],
    summary: str,
    metrics: str,
    *,
    sources: dict[str, str],
) -> None:
    used = sorted({*files, *members, *catalogs})
    record = {"files": [_describe_file(path, sources) for path in used]}
    record["catalogs"] = [_describe_clusters(path) for path in catalogs]
    record["members"] = [row for path in members for row in _describe_members(path)]
    announce(f"{len(used)} real files, {sum(f['bytes'] for f in record['files']) / 1e6:.1f} MB")
    write_json(summary, record)
    write_json(metrics, _input_metrics(record))


def _describe_file(path: str, sources: dict[str, str]) -> dict:
    """Name, size, checksum and origin; `sources` maps the end of a path to where the file comes from."""
    with open(path, "rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    source = next((origin for end, origin in sources.items() if path.endswith(end)), "unknown")
    return {"file": path, "bytes": Path(path).stat().st_size, "sha256": digest, "source": source}


def _describe_clusters(path: str) -> dict:
    """How many clusters of what redshift and richness a catalogue holds."""
    clusters = read_clusters(path)
    ranges = {name: [float(clusters[name].min()), float(clusters[name].max())] for name in ("redshift", "richness")}
    return {"file": path, "n_clusters": len(clusters)} | ranges


def _describe_members(path: str) -> list[dict]:
    """Of every cluster of a member table: rows, sum of p_mem, richness of its radial weights."""
    members = read_members(path)
    theta_r = read_table(path)["THETA_R"].to_numpy()
    rows = []
    for cluster_id, group in members.groupby("cluster_id"):
        rows.append(
            {
                "file": path,
                "cluster_id": int(cluster_id),
                "n_rows": len(group),
                "sum_p_mem": float(group["p_mem"].sum()),
                "richness_of_radial_weight": radial_weight_richness(group, theta_r[group.index]),
            }
        )
    return rows


def _input_metrics(record: dict) -> dict:
    """The member check of the first cluster as metrics, and the number of real files."""
    metrics = {
        "n_real_files": measurement(
            len(record["files"]), n=len(record["files"]), note="files not made by this workflow"
        )
    }
    if record["members"]:
        row = record["members"][0]
        metrics["redmapper_member_sum"] = measurement(
            row["sum_p_mem"], n=row["n_rows"], baseline="redmapper_member_richness",
            note=f"sum of P P_FREE THETA_I THETA_R, cluster {row['cluster_id']}, {Path(row['file']).name}",
        )  # fmt: skip
        metrics["redmapper_member_richness"] = measurement(
            row["richness_of_radial_weight"], n=row["n_rows"], note="100 (R h)^5 where THETA_R is 1/2"
        )
    return metrics


if __name__ == "__main__":
    run(summarise_inputs, snakemake)
