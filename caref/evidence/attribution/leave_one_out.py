"""Leave one out: by how much the lead of the choice falls when a word is removed (occlusion; one pass a word).

The lead is log p(choice) less that of the best other choice. No temperature moves the order of its falls.
"""

import numpy as np

from caref.evidence.leads import lead


def attribute(reading, labels):
    """Word scores by split and question: above 0 where a word speaks for the choice; see `Reading.word_scores`."""
    removed = [[[(place,) for place in one.rankable] for one in questions] for questions in reading.splits]
    whole = reading.log_p()
    found = []
    for split, variants in enumerate(reading.log_p_without(removed)):
        found.append([])
        for place, (question, tables) in enumerate(zip(reading.splits[split], variants, strict=True)):
            label = labels[split][place]
            scores = np.zeros(len(question.words))
            if question.rankable:
                own = whole[split][place][: len(question.example.choices)]
                scores[question.rankable] = lead(own, label) - lead(tables, label)
            found[-1].append(scores)
    return found
