"""Exercises: a challenge to be solved by a student, and the answer scored beside ours.

Makes  <results>/exercises/<name>/: data.npz and original.ipynb (`make exercise` copies it to exercise.ipynb, once), which
       writes answer.py; then judged.npz and score.json.
From   the data of the first seed of a challenge, and the outcome of our method on it.
Steps  sample_exercise, render_exercise -> (the student) -> infer_answer -> score_answer.
"""


rule challenges_sample_exercise:
    """The arrays of exercise {wildcards.challenge}, without the targets of the test."""
    input:
        data=challenges_exercise_data,
        code=code_of("scripts/challenges/sample_exercise.py"),
    output:
        arrays="<results>/exercises/{challenge}/data.npz",
    log:
        "<results>/challenges/logs/sample_exercise_{challenge}.log",
    benchmark:
        "<results>/challenges/benchmarks/sample_exercise_{challenge}.tsv"
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=10,
    params:
        **challenges_of("settings"),
        seed=challenges_exercise_seed,
    script:
        "../scripts/challenges/sample_exercise.py"


rule challenges_render_exercise:
    """The notebook of exercise {wildcards.challenge}, as it is before a student has touched it."""
    input:
        code=code_of("scripts/challenges/render_exercise.py"),
    output:
        notebook="<results>/exercises/{challenge}/original.ipynb",
    log:
        "<results>/challenges/logs/render_exercise_{challenge}.log",
    benchmark:
        "<results>/challenges/benchmarks/render_exercise_{challenge}.tsv"
    conda:
        "../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=500,
        runtime=5,
    params:
        text=challenges_exercise_text,
    script:
        "../scripts/challenges/render_exercise.py"


rule challenges_infer_answer:
    """Run a student's answer to exercise {wildcards.challenge} on the objects that ours were tested on."""
    input:
        answer=challenges_answer,
        data=challenges_exercise_data,
        code=code_of("scripts/challenges/infer_answer.py"),
    output:
        judged="<results>/exercises/{challenge}/judged.npz",
    log:
        "<results>/challenges/logs/infer_answer_{challenge}.log",
    benchmark:
        "<results>/challenges/benchmarks/infer_answer_{challenge}.tsv"
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=8000,
        runtime=120,
    params:
        **challenges_of("settings"),
        seed=challenges_exercise_seed,
    script:
        "../scripts/challenges/infer_answer.py"


rule challenges_score_answer:
    """Score a student's answer to exercise {wildcards.challenge} beside ours, with a paired error."""
    input:
        judged="<results>/exercises/{challenge}/judged.npz",
        outcome=challenges_exercise_ours,
        code=code_of("scripts/challenges/score_answer.py"),
    output:
        score="<results>/exercises/{challenge}/score.json",
    log:
        "<results>/challenges/logs/score_answer_{challenge}.log",
    benchmark:
        "<results>/challenges/benchmarks/score_answer_{challenge}.tsv"
    conda:
        "../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        **challenges_of("settings"),
        ours=lambda wildcards: challenges_exercise(wildcards.challenge)["ours"],
    script:
        "../scripts/challenges/score_answer.py"
