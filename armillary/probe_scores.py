"""Features against each other: the same probes, labels and held-out fields for all, and what differences are worth.

Each seed has its own network, its own draw of labels and its own fields of sky that judge; no field is labelled and
judged at once. A number's error has two parts: the scatter over seeds, and that over the fields that judge. Features
are compared seed by seed and field by field.
"""

from typing import NamedTuple

import numpy as np

from armillary.files import read_arrays
from armillary.metrics import measurement
from armillary.probe_choices import predict_by_choice
from armillary.probes import FULL_BUDGET, Budget, area_under_roc, redshift_scores
from armillary.simple_features import SIMPLE


class Task(NamedTuple):
    """What is asked of features: kind of label, the number that scores the answers, whose objects."""

    column: str
    kind: str  # classes, score or value
    metric: str
    views: dict[str, str] = {}  # scores of the same probes asked about other views of the objects that judge
    sky: str = "probe"  # or structures


TASKS = {
    "class": Task("class", "classes", "accuracy", {"missing_band": "missing", "class_seeing": "seeing"}),
    "redshift": Task("zspec", "value", "r2"),
    "blend": Task("blend", "score", "auc", {"blend_seeing": "seeing"}),
    "ellipticity": Task("ellipticity", "value", "r2"),
    "faint_arcs": Task("arcs", "score", "auc", sky="structures"),
    "tidal": Task("tail", "score", "auc", sky="structures"),
}


class Contestant(NamedTuple):
    """Features by seed and choice, the same by view, and the kind of probe that reads them.

    A choice is a tuple of arrays (N, d) that are joined; a probe picks one (a way to pool a network's tokens) by
    cross-validation within its labels. Views have NaN in rows that do not judge.
    """

    features: list[list[tuple]]
    views: dict[str, list[list[tuple]]]
    kind: str


class Judges(NamedTuple):
    """Rows and truth of the objects that judge a seed, and the field (counted from 0) of each."""

    rows: np.ndarray
    truth: np.ndarray
    field: np.ndarray


def contestants_of(
    simple: dict[str, np.ndarray], learned: list[list[tuple]], random: list[list[tuple]],
    learned_views: dict[str, list], random_views: dict[str, list],
) -> dict[str, Contestant]:  # fmt: skip
    """Embeddings of trained and of untrained networks (by network and choice), and the features they are held against.

    `simple` has the arrays SIMPLE, and <name>_<view> of each of the views.
    """
    views = list(learned_views)
    plain = {
        name: Contestant([[(simple[name],)]], {view: [[(simple[f"{name}_{view}"],)]] for view in views}, "linear")
        for name in SIMPLE
    }
    mim = Contestant(learned, learned_views, "linear")
    both = _joined(plain["photometry"], plain["shapes"])
    return {
        "mim": mim,
        "mim_neighbours": mim._replace(kind="neighbours"),
        "random": Contestant(random, random_views, "linear"),
        **plain,
        "trees": plain["photometry"]._replace(kind="trees"),
        "photometry_shapes": both,
        "mim_shapes": _joined(mim, plain["shapes"]),
        "mim_all": _joined(mim, both),
        "shape_trees": both._replace(kind="trees"),
    }


def _joined(one: Contestant, other: Contestant) -> Contestant:
    """Every choice of one beside the only choice of the other."""
    beside = lambda by_seed, added: [[x + added[0][0] for x in of] for of in by_seed]  # noqa: E731
    views = {view: beside(values, other.views[view]) for view, values in one.views.items()}
    return Contestant(beside(one.features, other.features), views, "linear")


def labelled_and_judges(
    task: str, columns: dict[str, np.ndarray], field: np.ndarray, judging: list[np.ndarray], n_labels: list[int],
    rng_seed: int,
) -> tuple[dict[int, list[np.ndarray]], list[Judges]]:  # fmt: skip
    """Labelled rows by number of labels and seed, and the judges of each seed. Numbers beyond what every seed has
    become all of the seed that has fewest."""
    wanted, truth = objects_of(task, columns), columns[TASKS[task].column]
    pools = [np.flatnonzero(wanted & ~np.isin(field, own)) for own in judging]
    most = min(len(pool) for pool in pools)
    counts = sorted({min(n, most) for n in n_labels})
    labelled = {n: [_draw(pool, n, seed, rng_seed) for seed, pool in enumerate(pools)] for n in counts}
    judges = []
    for own in judging:
        rows = np.flatnonzero(wanted & np.isin(field, own))
        judges.append(Judges(rows, truth[rows], np.unique(field[rows], return_inverse=True)[1]))
    return labelled, judges


def _draw(pool: np.ndarray, n_labels: int, seed: int, rng_seed: int) -> np.ndarray:
    return np.random.default_rng([rng_seed, seed, n_labels]).choice(pool, n_labels, replace=False)


def objects_of(task: str, columns: dict[str, np.ndarray]) -> np.ndarray:
    """Boolean (N,): the objects that a task is about. Lenses are left to the search for them."""
    if task == "faint_arcs":
        return columns["tail"] == 0
    if task == "tidal":
        return columns["arcs"] == 0
    galaxy = (columns["class"] == 0) & (columns["lens"] == 0)
    if task == "class":
        return columns["lens"] == 0
    if task == "blend":
        return galaxy
    if task == "ellipticity":
        return galaxy & (columns["blend"] == 0)
    return galaxy & np.isfinite(columns["zspec"])


def score(metric: str, told: np.ndarray, truth: np.ndarray) -> float:
    """The number of that name."""
    if metric == "accuracy":
        return float((told == truth).mean())
    return area_under_roc(told, truth) if metric == "auc" else redshift_scores(told, truth)["r2"]


def told_by(
    contestant: Contestant, task: Task, truth: np.ndarray, labelled: list[np.ndarray], judges: list[Judges],
    budget: Budget = FULL_BUDGET,
) -> dict[str, list[np.ndarray]]:  # fmt: skip
    """Answers by seed about the objects that judge it: as they are (key ""), and by name of the scores of views."""
    answers = {name: [] for name in ("", *task.views)}
    for seed, (rows, judge) in enumerate(zip(labelled, judges, strict=True)):
        pick = lambda by_seed: by_seed[seed % len(by_seed)]  # noqa: E731, B023
        shown = [pick(contestant.features), *(pick(contestant.views[view]) for view in task.views.values())]
        choices = [_joined_rows(one, rows) for one in shown[0]]
        asked = [[_joined_rows(one, judge.rows) for one in of] for of in shown]
        told = predict_by_choice(choices, truth[rows], asked, task.kind, contestant.kind, seed, budget)
        for name, answer in zip(answers, told, strict=True):
            answers[name].append(answer)
    return answers


def _joined_rows(choice: tuple, rows: np.ndarray) -> np.ndarray:
    return np.concatenate([part[rows] for part in choice], 1).astype(float)


def answers_of_networks(method: str, paths: list[str], judges: list[Judges]) -> dict[tuple[str, int], list[np.ndarray]]:
    """Answers by seed of networks as probes, by (method, number of labels), from a file a seed; none of no files."""
    files = [read_arrays(path) for path in paths]
    for path, file, of in zip(paths, files, judges, strict=bool(paths)):
        if not np.array_equal(file["rows"], of.rows):
            raise ValueError(f"{path} answers for other objects than those that judge here: make it anew")
    names = [name for name in (files[0] if files else {}) if name.startswith("told_")]
    return {(method, int(name.removeprefix("told_"))): [file[name] for file in files] for name in names}


def with_error(metric: str, told: list[np.ndarray], judges: list[Judges], n_resamples: int, rng) -> tuple[float, float]:
    """Mean score over the seeds and its one-sigma error."""
    return _summary(_scores(metric, told, judges), _resampled(metric, [told], judges, n_resamples, rng)[0])


def gain(
    metric: str, told: list[np.ndarray], other: list[np.ndarray], judges: list[Judges], n_resamples: int, rng
) -> tuple[float, float]:
    """Mean over seeds of score minus score of another, and its error; the same seeds and resamples for both."""
    difference = _scores(metric, told, judges) - _scores(metric, other, judges)
    one, another = _resampled(metric, [told, other], judges, n_resamples, rng)
    return _summary(difference, one - another)


def _scores(metric: str, told: list[np.ndarray], judges: list[Judges]) -> np.ndarray:
    return np.array([score(metric, one, of.truth) for one, of in zip(told, judges, strict=True)])


def _resampled(metric: str, several: list, judges: list[Judges], n_resamples: int, rng) -> np.ndarray:
    """(len(several), n_resamples): mean score over seeds where the fields that judge each seed are drawn anew.

    Of n fields the spread is too small by sqrt((n - 1) / n), which is put right. A seed with one field draws objects.
    """
    found = np.zeros((len(several), n_resamples))
    for seed, of in enumerate(judges):
        n_fields = of.field.max() + 1
        members = [np.flatnonzero(of.field == k) for k in range(n_fields)] if n_fields > 1 else None
        scores = np.empty_like(found)
        for number in range(n_resamples):
            if members is None:
                rows = rng.integers(len(of.truth), size=len(of.truth))
            else:
                rows = np.concatenate([members[k] for k in rng.integers(n_fields, size=n_fields)])
            scores[:, number] = [score(metric, told[seed][rows], of.truth[rows]) for told in several]
        mean = scores.mean(1, keepdims=True)
        found += mean + (scores - mean) * np.sqrt(n_fields / (n_fields - 1) if n_fields > 1 else 1.0)
    return found / len(judges)


def _summary(by_seed: np.ndarray, resampled: np.ndarray) -> tuple[float, float]:
    of_seeds = by_seed.std(ddof=1) / np.sqrt(len(by_seed)) if len(by_seed) > 1 else 0.0
    return float(by_seed.mean()), float(np.hypot(of_seeds, resampled.std()))


def as_measurement(value: float, error: float, n: int, unit: str, baseline: str | None = None, note: str = "") -> dict:
    """One number with its one-sigma interval."""
    return measurement(value, value - error, value + error, n, unit, baseline, note)


def measurements_of(
    name: str, metric: str, told: dict[tuple[str, int], list[np.ndarray]], judges: list[Judges],
    pairs: list[tuple[str, str]], n_resamples: int, seed: int,
) -> dict:  # fmt: skip
    """Scores of all contestants, gains of the first of each of the `pairs` over the second, and how many sigma these
    are; keys begin with `name`. `told` has answers by contestant and number of labels."""
    numbers, n_judging = {}, sum(len(of.rows) for of in judges)
    for (who, n), value in told.items():
        scored = with_error(metric, value, judges, n_resamples, np.random.default_rng([seed, n]))
        numbers[f"{name}_{who}_{n}"] = as_measurement(*scored, n_judging, metric)
        if name.endswith("redshift"):
            parts = [redshift_scores(one, of.truth) for one, of in zip(value, judges, strict=True)]
            for part in ("nmad", "bias", "outliers"):
                values = [one[part] for one in parts]
                numbers[f"{name}_{who}_{n}_{part}"] = measurement(np.mean(values), min(values), max(values), n_judging)
    for one, other in pairs:
        for n in sorted({n for who, n in told if who == one and (other, n) in told}):
            rng = np.random.default_rng([seed, n])
            worth, error = gain(metric, told[one, n], told[other, n], judges, n_resamples, rng)
            key, baseline = f"{name}_{one}_over_{other}_{n}", f"{name}_{other}_{n}"
            numbers[key] = as_measurement(worth, error, n_judging, metric, baseline)
            numbers[f"{key}_sigma"] = measurement(
                worth / max(error, 1e-9), n=n_judging, unit="sigma", baseline=baseline, note="gain over its error"
            )
    return numbers


def announced_scores(metric: str, told: dict[tuple[str, int], list[np.ndarray]], n: int, judges: list[Judges]) -> str:
    """Scores with `n` labels as a line of a log."""
    here = {who: _scores(metric, value, judges).mean() for (who, m), value in told.items() if m == n}
    return ", ".join(f"{who} {value:.3f}" for who, value in here.items())
