"""The commands that the README and profiles/README.md show do what they say; runs are planned, not made."""

import inspect
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from snakemake.scheduling.job_scheduler import JobScheduler

ROOT = Path(__file__).parents[2]
PAGES = (ROOT / "README.md").read_text() + (ROOT / "profiles/README.md").read_text()
SHOWN = {re.sub(r" (-n|--cores \d+)\b", "", words).strip() for words in re.findall(r"\bsnakemake ([^`\"#\n]+)", PAGES)}
COMMANDS = sorted(words for words in SHOWN if "demo.yaml" in words)
ELSEWHERE = {  # what a command says -> the test that runs it
    "--report": "test_clusters.py::test_the_report_is_one_file_that_needs_no_network",
    "--touch": "test_clusters.py::test_touch_says_that_an_edit_means_nothing",
    "--unlock": "test_clusters.py::test_a_locked_folder_is_unlocked",
    "clusters_compare": "test_clusters_compare.py::test_two_files_of_any_columns_are_compared",
    "clusters_survey": "test_clusters.py::test_a_survey_goes_on_shard_by_shard",
    "report --configfile": "test_clusters.py::test_the_light_report_holds_together",
    "hsc_observed": "test_hsc.py::test_own_stamps_have_the_posterior_of_the_same_simulated_ones",
    "mim_label_efficiency": "test_mim.py::test_every_kind_of_probe_is_scored_on_the_same_objects",
    "mim_embed": "test_mim.py::test_files_of_ones_own_are_embedded_and_searched",
    "mim_similarity": "test_mim.py::test_files_of_ones_own_are_embedded_and_searched",
    "exercise_score_rings": "test_challenges.py::test_an_answer_is_scored_beside_ours",
    "mim_shapes": "test_mim.py::test_shapes_of_ones_own_objects_are_measured_and_searched",
    "cmb_observed": "test_cmb.py::test_observed_maps_are_recovered_and_a_wrong_sign_is_said",
}
PLANNED = {  # the command's first words -> rules that it plans, rules that it must not plan
    "results/demo/clusters/scores/score_fields.json": ("score_fields train_encoder", "infer_tile plot_field"),
    "clusters --forcerun": ("train_encoder score_fields", ""),
    "clusters --until": ("tile_images sample_catalog", "train_encoder"),
    "clusters --batch": ("tile_images", "train_encoder score_fields"),
}


def snakemake(*arguments: str) -> str:
    command = [sys.executable, "-m", "snakemake", "--nolock", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def settings(tmp_path_factory) -> list[str]:
    """The test's settings, with results of their own, so that nothing is there yet."""
    path = tmp_path_factory.mktemp("settings") / "nothing_yet.yaml"
    path.write_text("pathvars: {results: results/test_commands}\n")
    return ["--configfile", "config/test.yaml", str(path)]


def test_the_readme_shows_them():
    assert {command.split()[1] for command in COMMANDS if command.startswith("clusters")} >= {
        "--rulegraph", "--dag", "--summary", "--report", "--forcerun", "--until", "--touch", "--batch"
    }  # fmt: skip


@pytest.mark.parametrize("command", [c for c in COMMANDS if any(c.startswith(start) for start in PLANNED)])
def test_a_part_of_the_run_is_planned(command, settings):
    words = [word.replace("results/demo", "results/test_commands") for word in shlex.split(command)]
    told = snakemake(*words, "--dry-run", *settings)
    wanted, unwanted = next(PLANNED[start] for start in PLANNED if command.startswith(start))
    planned = set(re.findall(r"^(?:local)?rule clusters_(\w+):", told, flags=re.M))
    assert set(wanted.split()) <= planned
    assert not set(unwanted.split()) & planned


def is_planned_here(words: str) -> bool:
    """Whether no other test runs a command."""
    special = {*ELSEWHERE, "--rulegraph", "--dag", "--summary"}
    in_parts = words in COMMANDS and words.startswith(tuple(PLANNED))
    return not in_parts and not any(key in words for key in special)


@pytest.mark.parametrize("words", sorted(filter(is_planned_here, SHOWN)))
def test_what_the_pages_show_can_be_planned(words):
    """As it stands at survey size; other commands that name no settings are planned at test size, which is quick."""
    small = [] if words == "clusters" or "--configfile" in words else ["--configfile", "config/test.yaml"]
    words = words.replace("results/", "results/test/") if small else words
    command = words.replace("--profile ", "--profile profiles/").split()
    snakemake(*command, "--cores", "2", "--dry-run", "--quiet", "all", *small)


@pytest.mark.parametrize("option", ELSEWHERE)
def test_what_is_not_planned_here_is_run_elsewhere(option):
    assert any(option in words for words in SHOWN)
    path, _, name = ELSEWHERE[option].partition("::")
    assert f"def {name}(" in (Path(__file__).parent / path).read_text()


@pytest.mark.parametrize("how", ["--rulegraph", "--dag"])
def test_graphs_are_drawn_in_mermaid(how, settings):
    assert f"snakemake clusters {how} mermaid-js" in (ROOT / "README.md").read_text()
    drawn = snakemake("clusters", how, "mermaid-js", *settings)
    assert "flowchart" in drawn and "clusters_train_encoder" in drawn


def test_a_summary_names_every_product(settings):
    told = snakemake("clusters", "--summary", *settings)
    assert re.search(r"results/test_commands/clusters/metrics.json\s.*missing", told)


def test_the_survey_is_planned_from_a_list(tmp_path, settings):
    """A bad list is one clear line; a good one is a job a shard and one that merges."""
    (tmp_path / "tiles.txt").write_text("DES0001-0001\nDES0002-0001 # a comment\n\nDES0003-0001\n")
    survey = f"clusters: {{infer_shard: {{source: empty, n_tiles_per_shard: 2, tile_list: {tmp_path}/tiles.txt}}}}\n"
    (tmp_path / "survey.yaml").write_text(survey)
    told = snakemake("clusters_survey", "--dry-run", *settings, str(tmp_path / "survey.yaml"))
    assert re.search(r"clusters_infer_shard\s+2\n", told) and re.search(r"clusters_summarise_survey\s+1\n", told)
    for text, wrong in {
        "DES1": "'DES1' is no DES tile name",
        "": "no tile",
        "DES0001-0001\n" * 2: "named twice",
    }.items():
        (tmp_path / "tiles.txt").write_text(text)
        with pytest.raises(AssertionError, match=wrong):
            snakemake("clusters_survey", "--dry-run", *settings, str(tmp_path / "survey.yaml"))


def test_the_scheduler_still_has_the_limit_that_the_snakefile_lifts():
    assert "workflow.scheduler.job_rate_limiter" in (ROOT / "Snakefile").read_text()
    assert "if self.job_rate_limiter is not None" in inspect.getsource(JobScheduler)
