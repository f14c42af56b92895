"""A comparison in words, as the lists of tests show it in Markdown and HTML."""

from caref.analysis import paper, power
from caref.analysis.claims import p_value
from caref.analysis.significance import Comparison

HEAD = [
    *("", "against", "", "on", "n", "difference", "95% interval", "p", "p (Holm)", "r", "equal"),
    *power.HEAD,
]


def texts(one: Comparison) -> list[str]:
    """One for each column of HEAD."""
    found = one.difference
    column = paper.DATASETS.get(one.column, one.column)
    known = [one.left, one.right, paper.METRICS[one.metric], column, str(found.n), f"{found.mean:+.2f}"]
    tested = ["", "", "not enough splits", ""]
    if found.p_holm is not None:
        interval = f"{found.low:+.2f} to {found.high:+.2f}"
        tested = [interval, p_value(found.p), p_value(found.p_holm), f"{found.effect:+.2f}"]
    return [*known, *tested, str(found.equal), *power.shown(found, "{:.2f}".format)]
