"""The page in a real browser: what is pressed is what the csv holds, and text stays text."""

import csv
import io
import itertools
import time
from pathlib import Path

import pytest

from caref.ratings.question import JUSTIFIES

from .conftest import HTML


def press(browser, keys: str) -> None:
    from selenium.webdriver.common.action_chains import ActionChains

    for key in keys:
        ActionChains(browser).send_keys(key).perform()


def click(browser, name: str) -> None:
    browser.find_element("id", name).click()


def text(browser, name: str) -> str:
    return browser.find_element("id", name).text


def shows(browser, name: str, expected: str) -> bool:
    """Wait until an element's text begins as expected; what it says in the end is told where it never does."""
    for _ in range(400):
        if text(browser, name).startswith(expected):
            return True
        time.sleep(0.05)
    raise AssertionError(f"#{name} says {text(browser, name)!r}, not {expected!r}")


def begin(browser, address: str) -> None:
    """Open a page that nobody has answered yet, and start."""
    browser.get(address)
    assert shows(browser, "count", "0 of ")
    click(browser, "start")


def saved(folder: Path) -> list[dict[str, str]]:
    """The one file that the browser has saved."""
    for _ in range(600):  # a download is written beside the page's own time
        files = [file for file in folder.iterdir() if file.suffix == ".csv"]
        if files:
            (file,) = files
            return list(csv.DictReader(io.StringIO(file.read_bytes().decode(), newline="")))
        time.sleep(0.05)
    raise AssertionError("nothing was saved")


@pytest.fixture
def page(make_cell, ratings, tmp_path):
    """A function: sample 30 items of one cell, or as the options say; the page's address."""

    def make(*options: str, says=None) -> str:
        make_cell("x", says=says)
        ratings("sample", tmp_path / "results", "--out", tmp_path / "out", "--no-gold", "--no-checks", *options)
        return (tmp_path / "out" / "rater-1.html").as_uri()

    return make


def sheet(tmp_path) -> list[dict[str, str]]:
    content = (tmp_path / "out" / "rater-1.csv").read_text(encoding="utf-8-sig")
    return list(csv.DictReader(io.StringIO(content, newline="")))


def test_thirty_items_by_keys_with_a_reload_undo_and_a_skip(page, browser, ratings, tmp_path):
    begin(browser, page())
    pressed = [str(1 + (7 * place) % 4) for place in range(30)]
    press(browser, "".join(pressed[:13]))
    browser.refresh()
    assert shows(browser, "count", "13 of 30 done, 17 left")
    assert text(browser, "heading").lower() == "example 14 of 30"
    press(browser, "4uu")  # the 14th and the 13th are taken back
    assert text(browser, "count") == "12 of 30 done, 18 left"
    press(browser, "9x")  # keys that mean nothing
    pressed[12] = "2"
    press(browser, "".join(pressed[12:20]))
    press(browser, "s")
    browser.find_elements("css selector", "#reasons input")[2].click()
    browser.find_element("id", "words").send_keys("=1+1, 1234 us")  # digits and letters here are words
    click(browser, "skip-it")
    press(browser, "".join(pressed[21:29]))
    browser.refresh()
    assert shows(browser, "count", "29 of 30 done, 1 left")
    press(browser, pressed[29])
    assert text(browser, "tally") == "29 rated, 1 skipped."
    press(browser, "u" + pressed[29])
    click(browser, "finish")
    rows = saved(tmp_path / "downloads")
    expected = [JUSTIFIES.answers[int(key) - 1] for key in pressed]
    expected[20] = ""
    assert [row["rating"] for row in rows] == expected
    assert [row["skipped"] for row in rows] == [
        "The text upsets me: =1+1, 1234 us" if at == 20 else "" for at in range(30)
    ]
    made = sheet(tmp_path)
    assert [(row["study"], row["item"], row["number"]) for row in rows] == [
        (row["study"], row["item"], row["number"]) for row in made
    ]
    (file,) = (tmp_path / "downloads").glob("*.csv")
    assert file.name == "rater-1.csv"
    told = ratings("agree", file, "--key", tmp_path / "out" / "key.csv").stdout
    assert "rater-1: 1 skipped" in told
    assert not [line for line in browser.get_log("browser") if line["level"] == "SEVERE"]


def test_buttons_answer_too_and_the_second_click_of_a_double_click_does_not(page, browser):
    from selenium.webdriver.common.action_chains import ActionChains

    begin(browser, page())
    buttons = browser.find_elements("css selector", "#answers button")
    assert [button.text.splitlines()[-1] for button in buttons] == list(JUSTIFIES.answers)
    buttons[1].click()
    assert text(browser, "count").startswith("1 of 30")
    ActionChains(browser).double_click(browser.find_elements("css selector", "#answers button")[0]).perform()
    assert text(browser, "count").startswith("2 of 30")


def test_keyboards_and_screen_readers(page, browser):
    """Everything has a name, the heading is read after each answer, and single keys can be turned off."""
    begin(browser, page())
    assert browser.find_element("css selector", "html").get_attribute("lang") == "en"
    focused = browser.switch_to.active_element
    assert focused.get_attribute("id") == "heading" and text(browser, "question") == JUSTIFIES.text
    press(browser, "\ue004")  # Tab: to the first answer
    assert browser.switch_to.active_element.accessible_name == "yes"
    press(browser, "\ue004\ue007")  # Tab, Enter: weak yes
    assert text(browser, "count").startswith("1 of 30")
    assert browser.switch_to.active_element.get_attribute("id") == "heading"
    group = browser.find_element("id", "answers")
    assert group.aria_role == "group" and group.accessible_name == JUSTIFIES.text
    controls = browser.find_elements("css selector", "button, input, textarea, summary, progress")
    assert all(one.accessible_name for one in controls if one.is_displayed() and one.tag_name != "progress")
    browser.find_element("css selector", "summary").click()
    click(browser, "keys")
    press(browser, "1")
    browser.refresh()
    assert shows(browser, "count", "1 of 30")
    assert not browser.find_element("id", "keys").is_selected()
    press(browser, "1")
    assert text(browser, "count").startswith("1 of 30")


@pytest.mark.parametrize(("width", "height"), [(360, 640), (1400, 900)])
@pytest.mark.parametrize("dark", [False, True])
def test_it_fits_and_can_be_read_on_a_phone_and_at_a_desk(page, browser, sized, width, height, dark):
    address = page(says=lambda split, number: f"{'a long explanation of many words ' * 12}{'x' * 120} {number}")
    sized(browser, width, height, dark)
    begin(browser, address)
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    for button in browser.find_elements("css selector", "#answers button"):
        place = button.rect
        assert place["height"] >= 44 and place["width"] >= 44
        assert browser.execute_script("return arguments[0].getBoundingClientRect().bottom", button) <= height
    ratio = browser.execute_script(
        """
        const shade = (colour) => colour.match(/\\d+/g).slice(0, 3).map((v) => v / 255)
          .map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
          .reduce((sum, v, at) => sum + v * [0.2126, 0.7152, 0.0722][at], 0);
        const back = shade(getComputedStyle(document.body).backgroundColor);
        return [...document.querySelectorAll("#heading, #task, dt, dd, h3, .tools button:not(:disabled), summary")]
          .filter((one) => one.checkVisibility())
          .map((one) => shade(getComputedStyle(one).color))
          .map((ink) => (Math.max(ink, back) + 0.05) / (Math.min(ink, back) + 0.05));
        """
    )
    assert min(ratio) >= 4.5  # WCAG AA
    background = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert (background == "rgb(20, 20, 19)") == dark


def test_a_script_in_a_generation_stays_letters(page, browser, tmp_path):
    begin(browser, page(says=lambda split, number: f"{HTML} {number}"))
    title = browser.title
    for _ in range(30):
        shown = browser.find_element("id", "explanation").get_attribute("textContent")
        assert shown.startswith(HTML.lower())
        assert not browser.find_elements("css selector", "img, #explanation *")
        press(browser, "1")
    assert browser.title == title
    assert all(row["explanation"].startswith(HTML.lower()) for row in sheet(tmp_path))


def test_nothing_runs_or_loads_but_the_page_itself(page, browser):
    browser.get(page())
    ran = browser.execute_script(
        """
        const script = document.createElement("script");
        script.textContent = "window.taken = true";
        document.body.append(script);
        const image = document.createElement("img");
        image.setAttribute("onerror", "window.taken = true");
        image.src = "http://127.0.0.1:9/x";
        document.body.append(image);
        return new Promise((done) => setTimeout(() => done(window.taken === true), 300));
        """
    )
    assert ran is False


def test_febs_further_questions(page, browser, ratings, tmp_path):
    begin(browser, page("--reasons", "--each", "3"))
    press(browser, "2")
    assert text(browser, "question") == "Is each reason true?"
    press(browser, "3")  # there are two answers only
    press(browser, "1u")
    assert text(browser, "question") == "Is each reason true?"
    browser.refresh()
    assert shows(browser, "question", "Is each reason true?")
    press(browser, "12")  # true, not relevant: on to the next
    assert text(browser, "question") == JUSTIFIES.text and text(browser, "count").startswith("1 of 3")
    press(browser, "u")
    assert text(browser, "question") == "Is each reason relevant?"
    press(browser, "2" + "122" + "411")
    click(browser, "finish")
    rows = saved(tmp_path / "downloads")
    names = ("rating", "reasons_true", "reasons_relevant")
    assert [tuple(row[name] for name in names) for row in rows] == [
        ("weak yes", "yes", "no"),
        ("yes", "no", "no"),
        ("no", "yes", "yes"),
    ]
    (file,) = (tmp_path / "downloads").glob("*.csv")
    told = ratings("agree", file, "--key", tmp_path / "out" / "key.csv").stdout
    assert "% reasons true" in told


def test_another_study_in_the_same_browser_does_not_mix(page, browser, ratings, tmp_path):
    begin(browser, page())
    press(browser, "123")
    ratings(*("sample", tmp_path / "results", "--seed", "1", "--no-gold", "--no-checks"), "--out", tmp_path / "seed 1")
    browser.get((tmp_path / "seed 1" / "rater-1.html").as_uri())
    assert shows(browser, "count", "0 of 30")
    browser.get((tmp_path / "out" / "rater-1.html").as_uri())
    assert shows(browser, "count", "3 of 30")


def test_two_tabs_of_a_page_are_one_sheet(page, browser):
    begin(browser, page())
    press(browser, "12")
    first, address = browser.current_window_handle, browser.current_url
    browser.switch_to.new_window("tab")
    browser.get(address)
    assert shows(browser, "count", "2 of 30")
    press(browser, "3")
    browser.switch_to.window(first)
    assert shows(browser, "count", "3 of 30")
    press(browser, "4u")
    browser.get("about:blank")
    browser.back()
    assert shows(browser, "count", "3 of 30")


@pytest.mark.parametrize("fault", ["IDBFactory.prototype.open", "IDBObjectStore.prototype.put"])
def test_it_says_where_answers_cannot_be_kept_and_gives_them_as_text(page, browser, fault):
    script = f"{fault} = () => {{ throw new Error('refused'); }}"
    browser.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": script})
    begin(browser, page())
    press(browser, "14")
    assert shows(browser, "unkept", "This browser does not keep answers")
    browser.find_element("css selector", "summary").click()
    click(browser, "copy")
    kept = browser.find_element("id", "text").get_property("value")
    rows = list(csv.DictReader(io.StringIO(kept, newline="")))
    assert [row["rating"] for row in itertools.islice(rows, 3)] == ["yes", "no", ""]
