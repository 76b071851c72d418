"""The target `clusters_compare`: two files named in the config, and what is said where they cannot be compared."""

import json
import re

import numpy as np
import pandas as pd
import pytest
from running import snakemake

from armillary.metrics import validate_metrics


@pytest.fixture
def files(tmp_path):
    """Two lists of the same 60 clusters, the second without ten of them and with names of its own."""
    rng = np.random.default_rng(4)
    first = pd.DataFrame(
        {
            "mem_match_id": np.arange(60),
            "ra": rng.uniform(-2, 2, 60),
            "dec": rng.uniform(-2, 2, 60),
            "z_lambda": rng.uniform(0.2, 0.6, 60),
            "lambda": rng.uniform(20, 80, 60),
        }
    )
    first.to_csv(tmp_path / "first.csv", index=False)
    names = {"ra": "RAJ2000", "dec": "DEJ2000", "z_lambda": "zp", "lambda": "Ngals"}
    first[10:].drop(columns="mem_match_id").rename(columns=names).to_csv(tmp_path / "second.csv", index=False)
    return tmp_path


COLUMNS = {"ra": "RAJ2000", "dec": "DEJ2000", "redshift": "zp", "richness": "Ngals"}


def compare(folder, *arguments, first=None, second=None):
    """Run the target with these two lists; what it printed comes with it."""
    lists = {"first": first, "second": second}
    settings = {"clusters": {"compare_catalogs": {**lists, "n_resamples": 20, "n_shifts": 2}}}
    (folder / "mine.yaml").write_text(json.dumps({"pathvars": {"results": str(folder / "results")}} | settings))
    done = snakemake("clusters_compare", *arguments, "--configfile", str(folder / "mine.yaml"))
    return done.returncode, done.stdout + done.stderr


def test_two_files_of_any_columns_are_compared(files):
    first = {"file": str(files / "first.csv"), "name": "redMaPPer"}
    code, said = compare(files, first=first, second={"file": str(files / "second.csv"), "columns": COLUMNS})
    assert code == 0, said[-3000:]
    metrics = json.loads((files / "results/clusters/compare/metrics.json").read_text())
    validate_metrics(metrics, "metrics.json")
    assert metrics["purity"]["value"] == 1.0 and 0.6 < metrics["completeness"]["value"] < 1.0
    assert metrics["richness_slope"]["value"] == pytest.approx(1.0)
    assert (files / "results/clusters/compare/comparison.png").stat().st_size > 20_000
    assert "redMaPPer: 60 of 60 clusters" in said
    assert json.loads((files / "results/clusters/provenance/compare_catalogs.json").read_text())["settings"]["first"]
    code, said = compare(files, "-n", first=first, second={"file": str(files / "second.csv"), "columns": COLUMNS})
    assert code == 0 and "Nothing to be done" in said


@pytest.mark.parametrize("null", ["first", "second"])
def test_a_list_that_is_not_named_is_said_before_any_job(files, null):
    given = {key: {"file": str(files / f"{key}.csv")} for key in ("first", "second") if key != null}
    code, said = compare(files, "-n", **given)
    line = f"clusters: compare_catalogs: {null} is null; `first` and `second` must each name a `file`"
    assert code != 0 and sum(line in each for each in said.splitlines()) == 1, said


def test_a_column_that_is_not_there_is_said_in_one_line(files):
    second = {"file": str(files / "second.csv"), "columns": COLUMNS | {"richness": "N200"}}
    code, said = compare(files, first={"file": str(files / "first.csv")}, second=second)
    line = r"Error in clusters_compare_catalogs: ValueError: \S+second.csv has no column 'N200' "
    line += r"\(clusters: compare_catalogs: second: columns: richness\); it has RAJ2000, DEJ2000, zp, Ngals"
    assert code != 0 and re.search(f"^{line}$", said, flags=re.M), said[-3000:]
    assert not (files / "results/clusters/compare/metrics.json").exists()
