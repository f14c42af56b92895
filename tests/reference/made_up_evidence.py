"""Two cells that differ in the regulariser, and evidence of them."""

from made_up_cells import TINY, spread

from caref.analysis import evidence_compared, with_without
from caref.analysis.every_cell import lines

ASKED = {
    "name": "full",
    "examples": 12,
    "attributions": ["saliency", "random"],
    "measures": ["calibration", "erasure"],
    "removal": "delete",
}


def compared(cells, root):
    """What a report knows of evidence, without all else."""
    found = lines(cells)
    return evidence_compared.gather(found, with_without.pairs(found), root)


def pair_of(make_cell, n):
    return [make_cell(row, "esnli", spread(80, 2, 1, n=n), model=TINY) for row in ("AQ", "CAREF-AQ")]
