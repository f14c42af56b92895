"""The explanation of the module that `reg=ivra` or `reg=smat` trained beside the model: its distribution over words.

With `evidence.module` it is the module that another cell trained.
"""

import torch

from caref.errors import UserError
from caref.evidence.choices import side_by_side
from caref.evidence.reading import asking
from caref.models.asking import Asking


def attribute(reading, labels):
    """Word scores by split and question, at least 0, 1 in all; see `Reading.word_scores`.

    Raises:
        UserError: no such module was trained.
    """
    if reading.beside is None:
        raise UserError(
            "evidence.attributions=ivra: reads the module that reg=ivra or reg=smat trains; choose one, or another "
            "cell's by evidence.module=RESULTS/SIGNATURE, or leave it out"
        )
    found = [[None] * len(questions) for questions in reading.splits]
    for rows in side_by_side(reading.splits, reading.batch_size, length=lambda one: len(one.asked.prompt)):
        questions = [reading.splits[split][place] for split, place in rows]
        choice = torch.tensor([labels[split][place] for split, place in rows], device=reading.backbone.device)
        asked = Asking(reading.model, reading.backbone, reading.beside, [*map(asking, questions)], len(reading.splits))
        with torch.no_grad():
            words = asked.by_word(asked.explained(asked.read(), choice)).double().cpu().numpy()
        for (split, place), question, own in zip(rows, questions, words, strict=True):
            found[split][place] = own[: len(question.words)]
    return found
