"""What would be learned from some data, and how: for a look before anything is trained."""

from __future__ import annotations

import dataclasses
from typing import Any

from deepglass.data.schema import Data
from deepglass.data.sources import read, source_name
from deepglass.models import family_for
from deepglass.training.metrics import choose_metric
from deepglass.training.recipe import Recipe

COLUMNS_SHOWN = 40


def preview(source: Any, recipe: Recipe) -> dict[str, Any]:
    """Kind, columns, target, split, metric, the family that would be taken, guesses and troubles, as plain values."""
    data = source if isinstance(source, Data) else read(source, recipe.wishes)
    schema, target = data.schema, data.schema.target
    return {
        "source": source_name(source), "kind": schema.kind, "task": target.task,
        "inputs": [
            {"name": entry.name, "kind": entry.kind, "shape": list(entry.shape), "columns": list(entry.columns)}
            for entry in schema.inputs
        ],
        "target": {"name": target.name, "classes": list(target.classes), "counts": list(target.counts),
                   "mean": list(target.mean), "std": list(target.std)},
        "rows": {"train": len(data.train), "valid": len(data.valid), "test": len(data.test)},
        "split": data.split, "metric": choose_metric(recipe, target), "model": recipe.model or family_for(schema),
        "notes": [dataclasses.asdict(note) for note in data.notes],
    }  # fmt: skip


def preview_text(found: dict[str, Any]) -> str:
    """A preview as a person reads it."""
    target, rows = found["target"], found["rows"]
    parts = ", ".join(f"{count:,} {part}" for part, count in rows.items())
    lines = [f"{found['source']}: {found['kind']}, {sum(rows.values()):,} examples"]
    for entry in found["inputs"]:
        names = entry["columns"]
        more = f", … {len(names)} in all" if len(names) > COLUMNS_SHOWN else ""
        shape = "×".join(map(str, entry["shape"]))
        listed = f": {', '.join(names[:COLUMNS_SHOWN])}{more}" if names else ""
        lines += [f"  {entry['name']:<9} {entry['kind']} {shape}{listed}"] if entry["shape"] != [0] else []
    if target["classes"]:
        classes = [f"{name} ({count:,})" for name, count in zip(target["classes"], target["counts"], strict=True)]
        more = f", … {len(classes)} in all" if len(classes) > COLUMNS_SHOWN else ""
        said = f"{len(classes)} classes: {', '.join(classes[:COLUMNS_SHOWN])}{more} (counts in the training part)"
    else:
        said = f"numbers, mean {target['mean'][0]:.4g}, spread {target['std'][0]:.4g}"
    lines += [
        f"  target    {target['name']!r}: {said}",
        f"  split     {found['split'] or parts}",
        f"  metric    {found['metric']}",
        f"  model     {found['model']}",
        *(f"  {note['level']:<9} {note['text']}" for note in found["notes"]),
    ]
    return "\n".join(lines)
