"""An example of the page in a real browser: words shaded by an attribution, people's marks, text that stays text."""

import pytest
from made_up_cells import TINY

from caref.report import findings
from caref.report.html import page
from caref.results import evidence

HOSTILE = "<img src=x onerror=\"document.title='taken'\">"
ASKED = {"examples": 2, "attributions": ["leave_one_out", "saliency", "explanation_words"], "measures": ["erasure"]}
WORDS = ["A", "dog", HOSTILE, "runs.", "Nobody", "moves."]
ROW = {
    "id": "second",
    "log_p": [-1.0, -1.0 - 2.0794415416798357, -400.0],  # 8 : 1 : 0
    "words": WORDS,
    "fields": ["premise"] * 4 + ["hypothesis"] * 2,
    "marked": [1, 4],
    "scores": {
        "leave_one_out": [0.5, -2.0, 0.0, 1.0, 0.0, 0.0],
        "saliency": [0.1, 0.2, 0.4, 0.0, 0.3, 0.0],
        "explanation_words": [0.0, 1.0, 0.0, 0.0, 0.0, 1.0],
    },
}
PREDICTION = {
    "source": "explain nli ...",
    "choices": ["entailment", "neutral", HOSTILE],
    "gold": "neutral",
    "explanations": ["what people wrote"],
    "generation": f"entailment because the dog, {HOSTILE}, moves",
    "answer": "entailment",
    "explanation": f"the dog, {HOSTILE}, moves",
    "right": False,
    "broken": False,
    "nbert": 0.0,
}


@pytest.fixture
def opened(make_cell, written, tmp_path):
    """A function: the address of a report's page with a cell opened, and where its evidence is."""

    def open_cell(rows=(ROW,)):
        cell = make_cell("AQ", "esnli", [50.0], source="demo", model=TINY)
        root = written([cell], [PREDICTION | {"id": name} for name in ("first", "second")])
        record = {"split": 0, "scores": {"calibration.ece": 1.0}, "reliability": []}
        evidence.write_split(root / cell.signature, ASKED, record, rows)
        return cell, root

    def address(cell, root) -> str:
        (tmp_path / "report.html").write_text(page.document(findings.gather([cell], results_dir=root), root))
        return f"{(tmp_path / 'report.html').as_uri()}#cell={cell.signature}"

    return open_cell, address


def until(browser, holds):
    """Wait until something holds in the browser; it is told where it never does."""
    from selenium.webdriver.support.ui import WebDriverWait

    return WebDriverWait(browser, 60).until(holds)


def shown(browser, selector: str):
    return until(browser, lambda _: browser.find_elements("css selector", selector))


def shares(browser) -> list[int]:
    """Of every word in % of the largest, below 0 where it is shaded as speaking against."""
    return browser.execute_script(
        """
        return [...document.querySelectorAll(".example .word")].map((one) =>
          Number(getComputedStyle(one).getPropertyValue("--share")) * (one.classList.contains("against") ? -1 : 1));
        """
    )


def choose(browser, name: str) -> None:
    from selenium.webdriver.support.ui import Select

    Select(shown(browser, "#attribution")[0]).select_by_value(name)


def test_the_words_are_shaded_by_the_attribution_chosen(opened, browser):
    open_cell, address = opened
    browser.get(address(*open_cell()))
    assert [one.text for one in shown(browser, ".example .word")] == WORDS
    assert shares(browser) == [25, -100, 0, 50, 0, 0]  # the first that was asked for
    choose(browser, "saliency")
    until(browser, lambda _: shares(browser) == [25, 50, 100, 0, 75, 0])
    choose(browser, "explanation_words")
    until(browser, lambda _: shares(browser) == [0, 100, 0, 0, 0, 100])
    options = [one.text for one in browser.find_elements("css selector", "#attribution option")]
    assert options == ["leave one out", "saliency", "explanation words"]


def test_marks_are_underlined_and_the_explanations_own_words_framed(opened, browser):
    open_cell, address = opened
    browser.get(address(*open_cell()))
    shown(browser, ".example .word")
    marked = browser.find_elements("css selector", ".example .word.marked")
    assert [one.text for one in marked] == ["dog", "Nobody"]
    assert all("underline" in one.value_of_css_property("text-decoration-line") for one in marked)
    repeated = browser.find_elements("css selector", ".example .repeated")
    assert [one.text for one in repeated] == ["dog", "moves.", "dog,", "moves"]  # of the input, then of the explanation
    assert all(one.value_of_css_property("outline-style") == "dotted" for one in repeated)
    keys = [one.text for one in browser.find_elements("css selector", ".example .key")]
    assert keys == ["premise", "hypothesis", "generated", "explains", "choices", "gold", "nBERT"]
    told = browser.find_element("css selector", ".example").text
    assert "entailment 88.9 %, neutral 11.1 %" in told and "0.0 %" in told


def test_text_of_words_and_choices_stays_text(opened, browser):
    open_cell, address = opened
    browser.get(address(*open_cell()))
    assert HOSTILE in shown(browser, ".example")[0].text
    assert not browser.find_elements("css selector", "#cell img")
    assert browser.title == "CAREF report"
    assert not [line for line in browser.get_log("browser") if line["level"] == "SEVERE"]


@pytest.mark.parametrize(("width", "dark"), [(360, False), (360, True), (1400, True)])
def test_it_fits_and_can_be_read(opened, browser, sized, width, dark):
    open_cell, address = opened
    sized(browser, width, 800, dark)
    browser.get(address(*open_cell()))
    shown(browser, ".example .word")
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    contrasts = browser.execute_script(
        """
        // What is painted: a canvas turns whatever colour CSS computes into bytes, shades over the dialog's ground.
        const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
        const painted = (...colours) => {
          for (const colour of colours) { canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1); }
          return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3).map((v) => v / 255)
            .map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
            .reduce((sum, v, at) => sum + v * [0.2126, 0.7152, 0.0722][at], 0);
        };
        const ground = getComputedStyle(document.getElementById("cell")).backgroundColor;
        return [...document.querySelectorAll(".word")].map((one) => {
          const look = getComputedStyle(one);
          const back = painted(ground, look.backgroundColor), ink = painted(look.color);
          return (Math.max(ink, back) + 0.05) / (Math.min(ink, back) + 0.05);
        });
        """
    )
    assert len(contrasts) == len(WORDS) + 2 and min(contrasts) >= 4.5  # WCAG AA; two words of the legend


def test_what_cannot_be_shaded_is_said_and_the_predictions_are_there(opened, browser):
    open_cell, address = opened
    cell, root = open_cell()
    rows = evidence.folder_of(root / cell.signature, ASKED) / "000.jsonl.gz"
    rows.write_bytes(b"cut")
    browser.get(address(cell, root))
    assert "000.jsonl.gz is missing, damaged" in shown(browser, "#cell-body .banner")[0].text
    assert len(browser.find_elements("css selector", ".example")) == 2
    assert not browser.find_elements("css selector", "#attribution")
