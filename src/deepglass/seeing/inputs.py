"""One example as a person reads it: numbers back in their unit, category names, dates; a picture as a PNG.

Encoded numbers are float32 and squeezed (see `data.encoding`), so they come back with as many digits as survived.
"""

from __future__ import annotations

import base64
import io
import math
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from deepglass.data.encoding import CLIP, CodeFeature, Encoding, NumberFeature
from deepglass.data.schema import Input, Part, Schema

MOST_COLUMNS = 16
MOST_LETTERS = 60
SIDE = 96
LARGEST_SIDE = 160
MISSING = "missing"
FLOAT32_STEP = 2.4e-7


def shown_inputs(schema: Schema, part: Part, position: int) -> dict[str, Any]:
    """{"inputs": {column: text}} of one example, its first 16 columns; or {"picture": PNG in base64}."""
    picture = next((place for place, one in enumerate(schema.inputs) if one.kind == "pixels" and _drawable(one)), None)
    if picture is not None:
        return {"picture": as_png(part.inputs[picture][position])}
    if schema.kind == "table" and "encoding" in schema.reader:
        columns = _decoded(schema, part, position)
    else:
        columns = _listed(schema, part, position)
    if len(columns) > MOST_COLUMNS:
        columns = dict(list(columns.items())[: MOST_COLUMNS - 1]) | {"…": "and more"}
    return {"inputs": {name: text[:MOST_LETTERS] for name, text in columns.items()}}


def as_png(pixels: Tensor) -> str:
    """Pixels [channels, height, width] as a PNG in base64; a small one enlarged by a whole factor, to stay crisp.

    Bytes are taken as they are; floats as 0 … 1, or from their least to their largest where they go beyond.
    """
    array = pixels.detach().cpu()
    if array.dtype != torch.uint8:
        array = torch.nan_to_num(array.float())
        low, high = (0.0, 1.0) if float(array.min()) >= 0 and float(array.max()) <= 1 else (array.min(), array.max())
        array = ((array - low) / max(float(high - low), 1e-12) * 255).round().to(torch.uint8)
    channels = array.shape[0]
    plain = array[:3].permute(1, 2, 0).numpy() if channels in (3, 4) else array[0].numpy()
    image = Image.fromarray(np.ascontiguousarray(plain))
    factor = max(1, SIDE // max(image.size))
    if factor > 1:
        image = image.resize((image.width * factor, image.height * factor), Image.Resampling.NEAREST)
    image.thumbnail((LARGEST_SIDE, LARGEST_SIDE), Image.Resampling.BOX)
    written = io.BytesIO()
    image.save(written, format="PNG", optimize=True)
    return base64.b64encode(written.getvalue()).decode("ascii")


def _drawable(entry: Input) -> bool:
    return len(entry.shape) == 3 and entry.shape[0] >= 1 and min(entry.shape[1:]) >= 2


def _decoded(schema: Schema, part: Part, position: int) -> dict[str, str]:
    """A table's row: each source column once, in the order of the table."""
    encoding = Encoding.from_json(schema.reader["encoding"])
    numbers, codes = _row(schema, encoding, part, position)
    absent = {
        feature.column
        for feature, value in zip(encoding.numbers, numbers, strict=True)
        if feature.part == "missing" and value == 1
    }
    found: dict[str, str] = dict.fromkeys(absent, MISSING)
    for feature, value in zip(encoding.numbers, numbers, strict=True):
        if feature.column not in absent and feature.part in ("value", "seconds"):
            found[feature.column] = _number(feature, value)
    for feature, code in zip(encoding.codes, codes, strict=True):
        found[feature.column] = _word(feature, code)
    order = [name for name in schema.reader.get("names", ()) if name in found]
    return {name: found[name] for name in dict.fromkeys([*order, *found])}


def _row(schema: Schema, encoding: Encoding, part: Part, position: int) -> tuple[list[float], list[int]]:
    """The encoded numbers and codes of a row; out of one-hot columns where the table was read plain."""
    first = part.inputs[0][position].tolist()
    if len(schema.inputs) > 1:
        return first, [int(code) for code in part.inputs[1][position].tolist()]
    numbers, rest, codes = first[: len(encoding.numbers)], first[len(encoding.numbers) :], []
    for feature in encoding.codes:
        hot, rest = rest[: feature.size - 1], rest[feature.size - 1 :]
        codes.append(hot.index(max(hot)) + 1 if any(hot) else 0)
    return numbers, codes


def _number(feature: NumberFeature, squeezed: float) -> str:
    """The inverse of z / sqrt(1 + (z / 3)²), scaled back, rounded to what float32 can tell."""
    room = 1 - (squeezed / CLIP) ** 2
    if room < 1e-6:
        return "far above the usual" if squeezed > 0 else "far below the usual"
    value = feature.center + feature.scale * squeezed / math.sqrt(room)
    error = feature.scale * FLOAT32_STEP * room**-1.5
    if feature.part == "seconds":
        return _moment(value + feature.origin, error)
    digits = -math.ceil(math.log10(error)) if error > 0 else 6
    return f"{round(value, digits) + 0.0:.10g}"


def _moment(seconds: float, error: float) -> str:
    """A date, with the time of day where it can be told and is not midnight."""
    step = 60 if error < 30 else 3600 if error < 1800 else 86_400
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=round(seconds / step) * step)
    return moment.date().isoformat() + (f" {moment:%H:%M}" if moment.hour or moment.minute else "")


def _word(feature: CodeFeature, code: int) -> str:
    if code == 0:
        return f"{MISSING} or new"
    return feature.words[code - 1] if code <= len(feature.words) else "a rare one"


def _listed(schema: Schema, part: Part, position: int) -> dict[str, str]:
    """Tensors as they stand, element by element, no more than are shown."""
    found: dict[str, str] = {}
    for entry, tensor in zip(schema.inputs, part.inputs, strict=True):
        values = tensor[position].reshape(-1)[: MOST_COLUMNS + 1].tolist()
        for place, value in enumerate(values):
            name = entry.columns[place] if place < len(entry.columns) else f"{entry.name}[{place}]"
            found[name] = f"{value:.5g}"
    return found
