"""The HTML page: well formed, self-contained, safe with any text, and everything behind a cell is in it."""

import json
import re
import shutil
import subprocess
from html.parser import HTMLParser

import pytest
from made_up_cells import TINY, spread

from caref.report import findings
from caref.report.html import page
from caref.report.html.data import MOST_OF_A_CELL, of_a_cell

VOID = {"meta", "input", "br", "link", "img"}


class Tags(HTMLParser):
    """Fails where a tag is closed that is not open; keeps text, attributes and the data script."""

    def __init__(self):
        super().__init__()
        self.open, self.attributes, self.text, self.scripts = [], [], [], []

    def handle_starttag(self, tag, attrs):
        self.attributes += [(tag, name, value) for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.attributes += [(tag, name, value) for name, value in attrs]

    def handle_endtag(self, tag):
        assert self.open and self.open[-1] == tag, f"</{tag}> closes {self.open[-1:]}"
        self.open.pop()

    def handle_data(self, data):
        (self.scripts if self.open and self.open[-1] == "script" else self.text).append(data)


def read(text: str) -> Tags:
    tags = Tags()
    tags.feed(text)
    tags.close()
    assert tags.open == []
    return tags


@pytest.fixture
def cells(make_cell):
    rows = ("AQ", "CAREF-AQ")
    found = [make_cell(row, name, spread(85, 1, 7, n=13)) for row in rows for name in ("esnli", "ecqa")]
    found[0].config["model"]["name"] = '<i>&"model"</i>'
    return found


@pytest.fixture
def document(cells, written):
    return page.document(findings.gather(cells), written(cells))


def test_the_page_is_well_formed_and_text_is_text(document):
    tags = read(document)
    assert ("html", "lang", "en") in tags.attributes
    shown = document.split("<body>")[1].split("<script")[0]
    assert "&lt;i&gt;&amp;&quot;model&quot;" in shown and "<i>&" not in shown


def test_nothing_is_fetched_from_anywhere(document):
    for tag, name, value in read(document).attributes:
        if name in ("src", "href", "xlink:href", "action", "data") and value:
            assert value.startswith("#"), (tag, name, value)
    assert "@import" not in document and not re.search(r"url\((?!#)", document)


def test_light_dark_and_narrow_are_provided_for(document):
    assert "prefers-color-scheme: dark" in document and "max-width: 46rem" in document
    assert 'name="viewport"' in document


def test_splits_and_predictions_are_behind_each_cell(document, cells):
    data = json.loads(read(document).scripts[0])["cells"]
    assert set(data) == {cell.signature for cell in cells}
    for cell in cells:
        behind = data[cell.signature]
        assert behind["splits"] == list(range(13)) and behind["seeds"] == [7004 + split for split in range(13)]
        assert behind["scores"]["accuracy"] == [round(cell.records[s]["scores"]["accuracy"], 3) for s in range(13)]
        assert [one["right"] for one in behind["predictions"]] == [True, False]
        assert behind["predictions"][0]["generation"] == "neutral because <b>it</b> is"
    assert document.count("</script>") == 2  # a generation that says </script> ends nothing


def test_every_figure_of_the_table_opens_a_cell_that_is_there(document):
    tags = read(document)
    data = json.loads(tags.scripts[0])["cells"]
    opened = {value for _, name, value in tags.attributes if name == "data-cell"}
    assert opened == set(data)


def test_a_folder_of_any_name_opens_its_cell_and_breaks_no_markup(cells, written):
    for number, cell in enumerate(cells):
        cell.signature = f'{number}"><b>x&'
    tags = read(page.document(findings.gather(cells), written(cells)))
    opened = [(tag, value) for tag, name, value in tags.attributes if name == "data-cell"]
    assert {value for _, value in opened} == {cell.signature for cell in cells}
    assert {tag for tag, _ in opened} == {"tr", "button"} and len(opened) > 3 * len(cells)


def test_missing_or_broken_predictions_are_said_not_fatal(cells, written):
    root = written(cells)
    (root / cells[0].signature / "predictions" / "000.jsonl.gz").unlink()
    (root / cells[1].signature / "predictions" / "000.jsonl.gz").write_bytes(b"no gzip")
    data = json.loads(read(page.document(findings.gather(cells), root)).scripts[0])["cells"]
    assert data[cells[0].signature]["predictions"] is None and data[cells[1].signature]["predictions"] is None
    assert len(data[cells[2].signature]["predictions"]) == 2


def test_demo_and_random_weights_carry_a_banner_and_no_paper_number(make_cell, written):
    cells = [make_cell("AQ", "esnli", [10.0, 12.0], source="demo", model=TINY)]
    text = page.document(findings.gather(cells), written(cells))
    assert text.count('class="banner"') == 1 and '<body class="demo">' in text
    assert '<small class="paper"' not in text.split('id="claims"')[0]
    real = [make_cell("AQ", "esnli", [10.0, 12.0], model=TINY)]
    text = page.document(findings.gather(real), written(real))
    assert "random weights" in text and '<small class="paper"' not in text


def test_few_splits_are_marked(document):
    assert '<span class="few">13/60</span>' in document


@pytest.mark.parametrize(("cells", "each"), [(1, MOST_OF_A_CELL), (200, 20), (724, 5), (10**6, 1)])
def test_the_number_of_predictions_held_falls_with_the_number_of_cells(cells, each):
    assert of_a_cell(cells) == each


@pytest.mark.skipif(shutil.which("chromium") is None, reason="chromium is not installed")
def test_a_browser_opens_what_is_behind_a_cell(document, cells, tmp_path):
    file = tmp_path / "report.html"
    file.write_text(document, encoding="utf-8")
    line = [
        "chromium",
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--dump-dom",
        f"--user-data-dir={tmp_path}/profile",
    ]
    url = f"{file.as_uri()}#cell={cells[1].signature}"
    dom = subprocess.run([*line, url], capture_output=True, text=True, timeout=120, check=True).stdout
    dialog = re.search(r"<dialog.*?</dialog>", dom, flags=re.DOTALL).group()
    assert re.match(r"<dialog[^>]* open", dialog) and "ECQA" in dialog
    assert dialog.count("<circle") == 3 * 13  # accuracy, nBERT, broken
    assert "The first 2 of 350 of split 0" in dialog
    assert "neutral because &lt;b&gt;it&lt;/b&gt; is" in dialog
    assert re.search(r'id="shown">4 cells<', dom)
