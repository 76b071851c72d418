"""What a training tells while it runs: TensorBoard events, and its history as a table."""

import csv


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
