"""Take the encoder of the training with the least selection loss as the checkpoint to use."""

import csv
import shutil

from armillary.files import write_json
from armillary.step import announce, run


def summarise_trainings(checkpoints: list[str], histories: list[str], checkpoint: str, record: str) -> None:
    """`checkpoints` and `histories` are those of the trainings in turn; of equal losses the first counts.

    `record` holds the number of the training that is taken.
    """
    losses = [least_loss(path) for path in histories]
    best = losses.index(min(losses))
    announce(f"least selection losses {', '.join(f'{loss:.4f}' for loss in losses)}: training {best} is taken")
    shutil.copyfile(checkpoints[best], checkpoint)
    write_json(record, {"training": best, "selection_losses": losses})


def least_loss(history: str) -> float:
    """The selection loss of the epoch that a training kept."""
    with open(history, newline="") as stream:
        return min(float(row["validation_loss"]) for row in csv.DictReader(stream))


if __name__ == "__main__":
    run(summarise_trainings, snakemake)
