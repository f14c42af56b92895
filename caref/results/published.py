"""What a record's `source: published` means: others have published its scores, and no run of ours has made them.

`python -m caref.published` writes such records. They are shown under their model's name and "(published)", stand in no
Table 1 and in no comparison but `beside_published`; nothing is averaged or mixed with them.
"""

from caref.results.store import Cell

SOURCE = "published"


def is_published(cell: Cell) -> bool:
    """Whether a cell's scores are others'."""
    return any(record.get("source") == SOURCE for record in cell.records.values())


def model_label(cell: Cell) -> str:
    """What tables, figures and files call a cell's model: whoever reads of a published cell reads that it is one."""
    return cell.config["model"]["name"] + (f" ({SOURCE})" if is_published(cell) else "")
