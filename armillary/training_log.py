"""What a training tells while it runs: TensorBoard events, and its history as a table."""

import csv

LEAST_GAIN = 0.005  # of the validation loss; a training that gained less has not left its start


def tensorboard_writer(folder: str | None, purge_step: int):
    """A TensorBoard writer in `folder`, which drops events from `purge_step` on; None without a folder."""
    if folder is None:
        return None
    from torch.utils.tensorboard import SummaryWriter  # slow to import, so only where it is used

    return SummaryWriter(folder, purge_step=purge_step or None)


def write_history(path: str, columns: list[str], history: list[dict]) -> None:
    """One row an epoch or evaluation, as CSV."""
    with open(path, "w", newline="") as stream:
        table = csv.DictWriter(stream, columns)
        table.writeheader()
        table.writerows(history)


def read_history(path: str) -> list[dict[str, float]]:
    """The rows that `write_history` wrote."""
    with open(path, newline="") as stream:
        return [{name: float(value) for name, value in row.items() if value} for row in csv.DictReader(stream)]


def gain_over_start(history: list[dict]) -> float:
    """By how much the best validation loss lies below that of the answer training starts from (`start_loss`), over the
    latter. Below LEAST_GAIN the network has learned little or nothing, or there was little to learn.
    """
    return 1 - min(row["validation_loss"] for row in history) / history[0]["start_loss"]
