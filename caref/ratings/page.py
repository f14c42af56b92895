"""A rater's page: one HTML file that works from a disk, without a network, on a desk and on a phone.

Texts of models and datasets lie in it as JSON and are set as text by the script, never as HTML; a content security
policy lets nothing run or load but the page's own script and style.
"""

import base64
import hashlib
import json
from html import escape
from pathlib import Path

from caref.ratings.question import SKIPS
from caref.ratings.sheets import questions
from caref.ratings.study import Study

_WEB = Path(__file__).with_name("web")


def document(study: Study, rater: str, reasons: bool) -> bytes:
    """The whole page of one rater; `reasons` asks FEB's two further questions."""
    style, script = (_asset(name) for name in ("style.css", "script.js"))
    data = {
        "study": study.code,
        "rater": rater,
        "questions": [{"name": one.name, "text": one.text, "answers": list(one.answers)} for one in questions(reasons)],
        "skips": list(SKIPS),
        "items": [
            {
                "item": screen.code,
                "dataset": screen.dataset,
                "task": screen.task,
                "fields": [list(field) for field in screen.fields],
                "answer": screen.answer,
                "explanation": screen.explanation,
            }
            for screen in study.order(rater)
        ],
    }
    held = json.dumps(data, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
    policy = f"default-src 'none'; style-src {_hash(style)}; script-src {_hash(script)}; base-uri 'none'"
    page = _asset("page.html")
    for mark, content in {
        "POLICY": policy,
        "RATER": escape(rater),
        "STYLE": style,
        "SCRIPT": script,
        "DATA": held,  # last, so that no text of it is taken for a mark
    }.items():
        page = page.replace(f"%{mark}%", content)
    return page.encode()


def _asset(name: str) -> str:
    return (_WEB / name).read_text(encoding="utf-8")


def _hash(content: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"
