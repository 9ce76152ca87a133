"""How long `deepglass --help` keeps a person waiting, beside the bare interpreter and `import torch`."""

import statistics
import subprocess
import sys
import time

from recording import record

ROUNDS = 7
HELP = "import sys; sys.argv = ['deepglass', '--help']; from deepglass.cli import main; main()"
COMMANDS = {
    "python -c pass": "pass",
    "import deepglass": "import deepglass",
    "deepglass --help": HELP,
    "import torch": "import torch",
}


def seconds(code: str) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def measure() -> dict[str, float]:
    """The median of each; in turns, so that a busy moment falls on all alike; the first round warms the disk."""
    taken: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for turn in range(ROUNDS + 1):
        for name, code in COMMANDS.items():
            spent = seconds(code)
            if turn:
                taken[name].append(spent)
    return {name: statistics.median(each) for name, each in taken.items()}


if __name__ == "__main__":
    medians = measure()
    for name, median in medians.items():
        print(f"{name:18} {median:6.3f} s   {median / medians['import torch']:5.2f} x import torch")
    record(
        "startup", {name: {"seconds": each, "ratio": each / medians["import torch"]} for name, each in medians.items()}
    )
