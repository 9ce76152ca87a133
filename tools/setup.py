"""Makes `.venv` ready: `python3 tools/setup.py core|test|dev`. Asks nothing; does nothing when nothing is to be done.

core   what `make demo` needs          test   core and what the tests need          dev   test and the checkers

Plain standard library, and words that Python 3.8 can read: the first job is to say kindly that a Python is too old.
"""

import hashlib
import json
import os
import pathlib
import platform
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
STAMP = VENV / "deepglass-setup.json"
CONSTRAINTS = VENV / "deepglass-constraints.txt"
LEVELS = ("core", "test", "dev")

OLDEST, NEWEST_TRIED = (3, 11), (3, 14)
TORCH = "torch>=2.11"
CPU_INDEX = "https://download.pytorch.org/whl/cpu"
# Without a GPU and without the CPU index, this one version: package mirrors that hold a small build hold it for this.
TORCH_WITHOUT_INDEX = "torch==2.13.0"

# The base of an activated environment, which may be the very one to be made anew.
FACTS = "import sys, venv, ensurepip; print(*sys.version_info[:2]); print(sys._base_executable or sys.executable)"
TORCH_VERSION = "import torch; print(torch.__version__)"
REACH = f"import urllib.request; urllib.request.urlopen('{CPU_INDEX}/torch/', timeout=3)"


def answer(command, seconds=60):
    """What a command prints, or None where it is missing, fails or takes too long."""
    try:
        done = subprocess.run([str(word) for word in command], capture_output=True, timeout=seconds)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.decode(errors="replace").strip() if done.returncode == 0 else None


def step(words, command):
    """Say what is done, do it, and stop with the command's own message where it fails."""
    print("deepglass set-up: " + words, flush=True)
    code = subprocess.call([str(word) for word in command])
    if code:
        stop(f"'{' '.join(map(str, command))}' failed ({code}); its message is above.", "mend that and run again")


def stop(facts, next_move):
    """End with the place, the facts and the next move."""
    sys.exit(f"deepglass set-up: {facts} Next: {next_move}")


def find_python():
    """A Python that is new enough and can make environments: the one running where it will do."""
    names = [sys.executable] + [f"python3.{minor}" for minor in (13, 12, 11, 14)] + ["python3", "python"]
    found = []
    for name in names:
        # A shim on the path may exist and yet run nothing, so each is asked.
        said = answer([name, "-c", FACTS])
        if said:
            version, place = said.splitlines()
            found.append((tuple(int(part) for part in version.split()), place))
    fitting = [place for version, place in found if OLDEST <= version <= NEWEST_TRIED]
    newer = [place for version, place in found if version > NEWEST_TRIED]
    if fitting or newer:
        return (fitting or newer)[0]
    stop(
        f"Python 3.11 or newer with 'venv' is needed; this is {platform.python_version()}, no other here will do.",
        "install it (Debian, Ubuntu: sudo apt-get install python3 python3-venv; macOS: brew install python;"
        " Windows: winget install Python.Python.3.13), then run the same command again",
    )
    return None


def pip(*words):
    """A pip command of the environment."""
    return [PYTHON, "-m", "pip", "install", "-qq", "--disable-pip-version-check", *words]


def has_gpu():
    """Whether NVIDIA's own tool sees a device."""
    return shutil.which("nvidia-smi") is not None and answer(["nvidia-smi", "-L"], seconds=20) is not None


def install_torch():
    """The build of torch that fits the machine: with CUDA where a GPU is, else the small one where it is offered."""
    if answer([PYTHON, "-c", TORCH_VERSION], seconds=180):
        return
    if platform.system() != "Linux" or has_gpu():
        step("installing torch", pip(TORCH))
    # In a process of its own, as a name server that never answers heeds no timeout of urllib's.
    elif answer([sys.executable, "-c", REACH], seconds=4) is not None:
        step("installing torch (CPU build; no GPU found)", pip(TORCH, "--index-url", CPU_INDEX))
    else:
        step("installing torch (no GPU found, " + CPU_INDEX + " out of reach)", pip(TORCH_WITHOUT_INDEX))


def install(level):
    """The package itself, editable, with torch held where it is: pip left alone replaces it by a CUDA build."""
    version = answer([PYTHON, "-c", TORCH_VERSION], seconds=180)
    if version is None:
        stop("torch was installed but cannot be imported.", f"see why: {PYTHON} -c 'import torch'")
    CONSTRAINTS.write_text(f"torch=={version}\n")
    wanted = str(ROOT) if level == "core" else f"{ROOT}[{level}]"
    step(f"installing deepglass and what it needs ({level})", pip("-c", CONSTRAINTS, "-e", wanted))


def wanted_state():
    """What a finished environment was made from: this checkout, its requirements, this script."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8").split("\n[tool.")[0]
    made_from = hashlib.sha256((text + pathlib.Path(__file__).read_text(encoding="utf-8")).encode()).hexdigest()
    return {"root": str(ROOT), "made_from": made_from}


def finished_levels(wanted):
    """The levels already installed for this very state; and whether the environment can be kept at all."""
    try:
        stamp = json.loads(STAMP.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return [], PYTHON.exists()
    if not PYTHON.exists() or stamp.get("root") != wanted["root"]:
        # The commands inside name the folder they were made in: a moved checkout needs a new environment.
        return [], False
    return (stamp["levels"] if stamp.get("made_from") == wanted["made_from"] else []), True


def main(level):
    """Bring the environment to a level."""
    wanted = wanted_state()
    levels, keep = finished_levels(wanted)
    if level in levels:
        return
    if not keep:
        step(f"making {VENV}", [find_python(), "-m", "venv", "--clear", VENV])
    install_torch()
    install(level)
    done = LEVELS[: LEVELS.index(level) + 1]
    STAMP.write_text(json.dumps(dict(wanted, levels=sorted({*levels, *done}))), encoding="utf-8")


if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1] not in LEVELS:
        stop(f"one of {', '.join(LEVELS)} is wanted.", "python3 tools/setup.py core")
    main(sys.argv[1])
