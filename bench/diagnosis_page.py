"""`docs/diagnosis.md`, written from what `bench/diagnosis.py` measured."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any

Row = dict[str, Any]

HEAD = """# How good is the diagnosis?

Written by `python bench/diagnosis.py`; every figure below is measured, none is set down by hand.

Faults are planted as people plant them without wanting to (`bench/planted_*.py`): in networks for tables (classes, and
numbers), for pictures laid flat, of convolutions, in a user's own module (a convolutional net; an LSTM), and, where it
can have them, in a small transformer. Each is trained, and `diagnose` is asked. It is right when a name that a good
engineer would accept is among its findings and, where the fault lies in a layer, at that layer or the activation or
normalization after it. Where every layer was planted (large weights, exploding signals) any of them is right; where a
gradient vanishes, any of the lower half.

Thresholds were set while looking at the *tune* half. The *held* half has other data sets, another seed, another user's
module and often another way of planting the fault; of it, only the names of what was missed were told. Sound runs
(`bench/healthy.py`) are public data with default recipes: whatever is found in them is a false alarm.

A cure is what `deepglass diagnose RUN --cure` does: the first finding that fields of the recipe can cure is cured, and
both runs are judged on the same validation rows, each with its own best weights. The new run is diagnosed in its turn:
"better, not well" has the same finding again. A user's module begins anew as its author made it, with the fault that
was planted in its weights: the remedy alone must help. Where code or data must change there is no cure, and none is
counted.
"""


def summed(rows: list[Row]) -> dict[str, Any]:
    """The figures of each half and of both, and of each fault."""
    halves = {half: _figures([row for row in rows if row["half"] in pair]) for half, pair in _HALVES.items()}
    faults = {
        fault: {half: _figures([row for row in rows if row["fault"] == fault and row["half"] in pair])
                for half, pair in _HALVES.items()}
        for fault in dict.fromkeys(row["fault"] for row in rows if row["fault"])
    }  # fmt: skip
    return {"halves": halves, "faults": faults}


_HALVES = {"tune": ("tune",), "held": ("held",), "both": ("tune", "held")}


def _figures(rows: list[Row]) -> dict[str, Any]:
    planted = [row for row in rows if row["fault"]]
    sound = [row for row in rows if not row["fault"]]
    cures = [row["cure"] for row in planted if row.get("cure")]
    return {
        "cases": len(planted),
        "named": sum(row["named"] for row in planted),
        "first": sum(row["first"] for row in planted),
        "beside": sum(len(row["found"]) > 1 for row in planted),
        "sound": len(sound),
        "alarms": sum(bool(row["found"]) for row in sound),
        "cures": len(cures),
        "improved": sum(cure["improved"] for cure in cures),
        "clearly": sum(clearly(cure) for cure in cures),
        "gone": sum(cure["improved"] and cure["gone"] for cure in cures),
        "seconds": statistics.median(row["seconds"] for row in rows) if rows else 0.0,
    }


def clearly(cure: dict[str, Any]) -> bool:
    """Whether the gain is one that a person would notice: a twentieth of the figure or more."""
    if not cure["improved"] or cure["before"] is None:
        return cure["improved"]
    return abs(cure["after"] - cure["before"]) >= 0.05 * abs(cure["before"])


def write_page(path: Path, figures: dict[str, Any], rows: list[Row]) -> None:
    """The page: the three figures, each fault, every miss, every false alarm, every cure."""
    parts = [HEAD, _totals(figures["halves"]), _faults(figures["faults"]), _misses(rows), _alarms(rows), _cures(rows)]
    path.write_text("\n".join(parts).rstrip() + "\n", encoding="utf-8")
    print(f"written: {path}")


def _share(part: int, whole: int) -> str:
    return f"{part} of {whole} ({part / whole:.0%})" if whole else "–"


def _totals(halves: dict[str, Any]) -> str:
    lines = ["| | tune | held | both | wanted |", "| --- | --- | --- | --- | --- |"]
    wanted = {"right name and layer": ("named", "cases", "≥ 90 %"), "and first of the findings": ("first", "cases", ""),
              "false alarms in sound runs": ("alarms", "sound", "≤ 5 %"),
              "cures that improve validation": ("improved", "cures", "≥ 70 %"),
              "and by a twentieth or more": ("clearly", "cures", ""),
              "and the finding is gone": ("gone", "cures", "")}  # fmt: skip
    for words, (part, whole, goal) in wanted.items():
        cells = " | ".join(_share(entry[part], entry[whole]) for entry in halves.values())
        lines.append(f"| {words} | {cells} | {goal} |")
    cells = " | ".join(f"{entry['seconds']:.2f} s" for entry in halves.values())
    lines.append(f"| a diagnosis takes (median) | {cells} | |")
    return "\n".join(lines) + "\n"


def _faults(faults: dict[str, Any]) -> str:
    lines = ["## Fault by fault", "", "| planted | tune | held | cured |", "| --- | --- | --- | --- |"]
    for fault, found in faults.items():
        cells = [f"{found[half]['named']}/{found[half]['cases']}" for half in ("tune", "held")]
        cures = found["both"]
        cured = f"{cures['improved']}/{cures['cures']}" if cures["cures"] else "code or data"
        lines.append(f"| {fault.replace('_', ' ')} | {' | '.join(cells)} | {cured} |")
    return "\n".join(lines) + "\n"


def _told(row: Row) -> str:
    said = [f"`{name}`{f' in `{layer}`' if layer else ''}" for name, layer, *_ in row["found"]]
    return ", ".join(said) or "nothing"


def _misses(rows: list[Row]) -> str:
    lines = ["## Every miss", ""]
    for row in rows:
        if row["fault"] and not row["named"]:
            place = f" in {' or '.join(f'`{layer}`' for layer in row['layers'][:3])}" if row["layers"] else ""
            lines.append(f"- {row['half']}, {row['name']}: planted `{row['wanted'][0]}`{place}; found {_told(row)}")
    return "\n".join([*lines, *(["None."] if len(lines) == 2 else [])]) + "\n"


def _alarms(rows: list[Row]) -> str:
    lines = ["## Every false alarm", ""]
    for row in rows:
        if not row["fault"] and row["found"]:
            evidence = "; ".join(entry[3] for entry in row["found"])
            lines.append(f"- {row['half']}, {row['name']}: {_told(row)}: {evidence}")
    return "\n".join([*lines, *(["None."] if len(lines) == 2 else [])]) + "\n"


def _cures(rows: list[Row]) -> str:
    lines = ["## Every cure", "", "| case | cured | changed | judged by | before | after | |",
             "| --- | --- | --- | --- | --- | --- | --- |"]  # fmt: skip
    for row in rows:
        cure = row.get("cure")
        if not row["fault"] or not cure:
            continue
        changes = ", ".join(f"{name} = {_shown(value)}" for name, value in cure["changes"].items())
        figures = f"{cure['measure'].replace('_', ' ')} | {_digits(cure['before'])} | {_digits(cure['after'])}"
        if "refused" in cure:
            figures = "refused | – | –"
        word = "no better" if not cure["improved"] else "better" if cure["gone"] else "better, not well"
        lines.append(f"| {row['half']}, {row['name']} | {cure['finding']} | {changes} | {figures} | {word} |")
    return "\n".join(lines) + "\n"


def _shown(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else ", ".join(map(str, value)) if isinstance(
        value, list) else str(value)  # fmt: skip


def _digits(value: float | None) -> str:
    return "–" if value is None else f"{value:.3g}"
