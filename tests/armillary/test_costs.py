"""Benchmark files of Snakemake become one row a step."""

import pytest

from armillary.costs import cost_tables, step_costs, step_of

STEPS = ["infer_fields", "infer_fields_again", "train_encoder"]
HEADER = "s\th:m:s\tmax_rss\tmax_vms\tmax_uss\tmax_pss\tio_in\tio_out\tmean_load\tcpu_time\n"


def benchmark(folder, name: str, seconds: float, memory, core_seconds) -> None:
    row = [seconds, "0:00:09", memory, 1, 1, 1, 0, 0, 90, core_seconds]
    (folder / f"{name}.tsv").write_text(HEADER + "\t".join(map(str, row)) + "\n")


@pytest.fixture
def folder(tmp_path):
    benchmark(tmp_path, "infer_fields_test", 9.0, 300, 8.0)
    benchmark(tmp_path, "infer_fields_validation", 5.0, 400, 4.0)
    benchmark(tmp_path, "train_encoder", 60.0, 2500, 110.0)
    return tmp_path


def test_jobs_of_a_step_are_added_up(folder):
    costs = step_costs("clusters", folder, STEPS)
    assert costs.step.tolist() == ["train_encoder", "infer_fields"]
    infer = costs.iloc[1]
    assert (infer.n_jobs, infer.longest_s, infer.core_s, infer.peak_mb) == (2, 9.0, 12.0, 400)


def test_a_job_too_short_to_be_measured_counts_with_its_wall_time(folder):
    benchmark(folder, "infer_fields_again", 0.4, "-", "-")
    costs = step_costs("clusters", folder, STEPS).set_index("step")
    assert costs.loc["infer_fields_again", "core_s"] == pytest.approx(0.4)
    assert costs.loc["infer_fields", "n_jobs"] == 2


def test_the_table_ends_with_the_sum(folder):
    benchmark(folder, "infer_fields_again", 1.0, 50, 1.0)
    lines = cost_tables(step_costs("clusters", folder, STEPS)).splitlines()
    assert lines[0].startswith("| step of `clusters` |")
    assert lines[2] == "| train_encoder | 1 | 60 | 110 | 2500 |"
    assert lines[-2] == "| 1 small steps | 1 | 1 | 1 | 50 |"
    assert lines[-1] == "| **all** | **4** | | **123** | |"


def test_what_is_missing_or_unknown_is_one_line(tmp_path):
    with pytest.raises(FileNotFoundError, match="snakemake clusters"):
        step_costs("clusters", tmp_path, STEPS)
    with pytest.raises(ValueError, match="paint_fields.tsv belongs to no step"):
        step_of("paint_fields", STEPS)
