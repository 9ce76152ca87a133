"""Where a benchmark writes what it measured: `bench/results/NAME.json`, with the date, the versions and the machine."""

from __future__ import annotations

import json
import os
import platform
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"


def record(name: str, figures: Any) -> Path:
    """Write the figures of one benchmark, replacing those of its last run on the same kind of machine."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    about = {
        "date": date.today().isoformat(),
        "deepglass": version("deepglass"),
        "torch": version("torch"),
        "scikit-learn": version("scikit-learn"),
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
    }
    path.write_text(json.dumps({"about": about, "figures": figures}, indent=1) + "\n", encoding="utf-8")
    print(f"written: {path}")
    return path
