"""Attention, mean over layers, heads and the positions that write the choice (raw attention, as inseq's)."""

from caref.evidence import attention_rows
from caref.evidence.gradients import by_word_of


def attribute(reading, labels):
    """Word scores by split and question, at least 0; see `Reading.word_scores`."""
    with attention_rows.told(reading.backbone.model):
        return by_word_of(reading, labels, lambda batch: attention_rows.attended(batch).mean(0))
