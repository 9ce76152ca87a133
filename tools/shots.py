"""The pictures in the README: a real run's report, seen in a real browser. `make docs`, where Chromium is installed.

Trains on the embedded digits and photographs the page at desktop width in light and at phone width in dark.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PICTURES = ROOT / "docs" / "pictures"
QUIET = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip
SHOTS = {"report-desktop": (1280, 1480, 1), "report-phone": (390, 1480, 0)}


def main() -> None:
    """Train, then take every shot."""
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if browser is None:
        print("tools/shots.py: no Chromium here; the pictures stay as they are.")
        return
    PICTURES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        command = [sys.executable, "-m", "deepglass", "train", "digits", "--out", str(run)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        for name, (width, height, scheme) in SHOTS.items():
            words = [browser, *QUIET, f"--user-data-dir={folder}/{name}", f"--window-size={width},{height}",
                     f"--blink-settings=preferredColorScheme={scheme}", "--force-device-scale-factor=1.5",
                     f"--screenshot={PICTURES / name}.png", (run / "report.html").as_uri()]  # fmt: skip
            subprocess.run(words, check=True, capture_output=True, timeout=120)
            print(f"written: docs/pictures/{name}.png")


if __name__ == "__main__":
    main()
