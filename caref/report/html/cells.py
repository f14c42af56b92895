"""The page's list of all cells, which can be sorted and filtered."""

from collections.abc import Mapping
from html import escape

from caref.analysis import floor
from caref.analysis.every_cell import Line, best, standings
from caref.analysis.summary import of_fewer
from caref.report.findings import Findings
from caref.results.measures import Measure, held


def section(findings: Findings) -> str:
    """One line a cell, warnings above them; what all cells share has no column."""
    lines = findings.lines
    measures = held(line.summaries for line in lines)
    told = _told(findings)
    heads = [f'<th scope="col" class="text"><button>{name}</button></th>' for name in told]
    heads += [f'<th scope="col"><button>{name}</button></th>' for name in ("n", "% trained")]
    heads += [
        f'<th scope="col" title="{escape(one.meaning)}"><button>{one.label}{_unit(one)}</button></th>'
        for one in measures.values()
    ]
    leading = best(lines)
    body = "\n".join(_line(line, [told[name][at] for name in told], measures, leading) for at, line in enumerate(lines))
    notes = "".join(f"<li>{escape(note)}</li>" for note in findings.notes())
    warnings = f'<details open class="notes"><summary>Warnings</summary><ul>{notes}</ul></details>' if notes else ""
    told_samples = "".join(f"<li>{escape(line)}</li>" for line in standings(lines))
    samples = f'<details open class="notes"><summary>Samples</summary><ul>{told_samples}</ul></details>'
    above = warnings + (samples if told_samples else "")
    search = (
        '<p><input id="filter" type="search" placeholder="Filter: e-SNLI AQ α=2" aria-label="Filter"> '
        '<span id="shown"></span></p>'
    )
    return (
        f'{above}<p class="legend">Mean <span class="std">± population standard deviation</span> over n splits. '
        "<b>Bold</b>: the best of a model's cells on the same data and splits. "
        "Choose a line to see its splits and predictions.</p>"
        f'{search}<div class="scroll tall"><table class="list" id="all"><thead><tr>{"".join(heads)}</tr></thead>'
        f"<tbody>\n{body}\n</tbody></table></div>"
    )


def _unit(measure: Measure) -> str:
    return f" <small>{measure.unit}</small>" if measure.unit in ("%", "words") else ""


def _told(findings: Findings) -> dict[str, list[str]]:
    """The columns of words by their heads: models only where there are several, settings where some differ."""
    lines = findings.lines
    mark = "" if findings.only_demo else ' <span class="few">demo</span>'
    columns = {
        "model": [escape(line.model) for line in lines],
        "dataset": [escape(line.dataset) + (mark if line.demo else "") for line in lines],
        "peft": [escape(line.peft) for line in lines],
        "regulariser": ["none" if line.reg == "–" else escape(line.reg) for line in lines],
        "settings": [escape(line.settings) for line in lines],
        "samples": [escape(line.samples.label) for line in lines],
    }
    shared = {name: len(set(columns[name])) == 1 for name in ("model", "samples")}
    shared["settings"] = not any(columns["settings"])
    return {name: texts for name, texts in columns.items() if not shared.get(name)}


def _line(line: Line, texts: list[str], measures: Mapping[str, Measure], leading: set[tuple[str, str]]) -> str:
    share = f"{line.trainable_percent:.2f}" if line.trainable_percent is not None else "–"
    figures = [
        _figure(line, metric, measure, (line.cell.signature, metric) in leading) for metric, measure in measures.items()
    ]
    if line.refused:
        figures[0] = f'<span class="refused" title="{escape(line.refused)}">refused</span>'
    cells = "".join(f'<td class="text">{text}</td>' for text in texts)
    cells += "".join(f"<td>{text}</td>" for text in (str(line.n), share, *figures))
    return f'<tr data-cell="{escape(line.cell.signature)}" tabindex="0">{cells}</tr>'


def _figure(line: Line, metric: str, measure: Measure, leads: bool) -> str:
    found = line.summaries.get(metric)
    if found is None:
        return "–"
    tag = "b" if leads else "span"
    text = f'<{tag}>{measure.text(found.mean)}</{tag}> <span class="std">±{measure.text(found.std)}</span>'
    if of := of_fewer(found, line.n):
        text += f'<span class="few">{of}</span>'
    if metric == "similarity" and floor.marked(line):
        text += f' <span class="nothing" title="within {floor.NEAR} of the floor">explains nothing</span>'
    return text
