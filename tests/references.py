"""Every family a second time, in NumPy and loops over examples, from the formulas and not from the code."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.signal import correlate2d
from scipy.special import expit, softmax

from members import EDGES, Member

NONLINEAR: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "relu": lambda z: np.maximum(z, 0),
    "tanh": np.tanh,
    "silu": lambda z: z * expit(z),
    "gelu": lambda z: z * 0.5 * (1 + np.vectorize(math.erf)(z / math.sqrt(2))),
}


def one_hot(code: int, size: int) -> np.ndarray:
    return np.eye(size)[code][1:]


def bent(x: float, edges: tuple[float, ...], weight: np.ndarray) -> np.ndarray:
    """Σ_t W_t e_t(x), bin by bin; the outermost bins go on for one more beyond their edges."""
    total = np.zeros(weight.shape[1])
    for t, (low, high) in enumerate(itertools.pairwise(edges)):
        place = (x - low) / (high - low)
        place = max(place, -1.0 if t == 0 else 0.0)
        place = min(place, 2.0 if t == len(edges) - 2 else 1.0)
        total += place * weight[t]
    return total


def row_features(member: Member, w: dict[str, np.ndarray], row: list[np.ndarray]) -> np.ndarray:
    parts: list[np.ndarray] = []
    embedding = member.options.get("embedding", "piecewise")
    for place, (entry, value) in enumerate(zip(member.schema.inputs, row, strict=True)):
        own = {
            key.removeprefix(f"features.readings.{place}."): v for key, v in w.items() if f"readings.{place}." in key
        }
        if entry.kind == "codes" and member.family == "neuron":
            parts += [one_hot(code, size) for code, size in zip(value, entry.sizes, strict=True)]
        elif entry.kind == "codes":
            parts += [one_hot(value[0], 4), own["tables.0.weight"][value[1]]]
        elif member.schema.kind != "table" or member.family == "neuron":
            parts.append(value.reshape(-1))
        elif embedding == "piecewise":
            for column, x in enumerate(value):
                curve = bent(x, EDGES[column], own["weight"][column])
                parts.append(own["linear"][column] * x + own["bias"][column] + curve)
        else:
            for column, x in enumerate(value):
                angle = 2 * np.pi * own["frequencies"][column] * x
                waves = np.concatenate([np.cos(angle), np.sin(angle)])
                parts.append(np.maximum(own["mix.weight"] @ waves + own["mix.bias"], 0))
    return np.concatenate(parts)


def neuron_reference(member: Member, w: dict[str, np.ndarray], row: list[np.ndarray]) -> np.ndarray:
    return w["synapses.weight"] @ row_features(member, w, row) + w["synapses.bias"]


def normalized(x: np.ndarray, w: dict[str, np.ndarray], name: str) -> np.ndarray:
    wide = (-1,) + (1,) * (x.ndim - 1)
    mean, var, gain, bias = (w[f"{name}.{k}"].reshape(wide) for k in ("running_mean", "running_var", "weight", "bias"))
    return (x - mean) / np.sqrt(var + 1e-5) * gain + bias


def mlp_reference(member: Member, w: dict[str, np.ndarray], row: list[np.ndarray]) -> np.ndarray:
    act = NONLINEAR[member.options.get("activation", "relu")]
    x0 = row_features(member, w, row)
    layers = sorted({int(key.split(".")[1]) for key in w if key.startswith("body.")})
    members = member.options.get("members", 1)
    answers = []
    for k in range(members):
        x = x0 * w["body.0.gain"][k] if members > 1 else x0
        for layer in layers[1:] if members > 1 else layers:
            name = f"body.{layer}"
            if f"{name}.running_mean" in w:
                x = act(normalized(x, w, name))
            elif layer == layers[-1]:
                x = x @ w[f"{name}.weight"][k] + w[f"{name}.bias"][k] if members > 1 else (
                    w[f"{name}.weight"] @ x + w[f"{name}.bias"])  # fmt: skip
            elif members > 1:
                x = w[f"{name}.linear.weight"] @ (x * w.get(f"{name}.gain_in", np.ones((members, 1)))[k])
                x = act(x * w[f"{name}.gain_out"][k] + w[f"{name}.bias"][k])
            else:
                x = w[f"{name}.weight"] @ x + w.get(f"{name}.bias", 0.0)
                x = x if f"body.{layer + 1}.running_mean" in w else act(x)
        answers.append(x)
    if members == 1 or member.schema.target.task == "regression":
        return np.mean(answers, axis=0)
    if member.schema.target.task == "binary":
        chance = np.mean([expit(z) for z in answers], axis=0)
        return np.log(chance / (1 - chance))
    return np.log(np.mean([softmax(z) for z in answers], axis=0))


def convolution_reference(member: Member, w: dict[str, np.ndarray], row: list[np.ndarray]) -> np.ndarray:
    act = NONLINEAR[member.options.get("activation", "relu")]
    maps = row[0]
    stages = sorted({int(key.split(".")[1]) for key in w if key.startswith("stages.")})
    for stage in stages:
        layers = sorted({int(key.split(".")[2]) for key in w if key.startswith(f"stages.{stage}.")})
        for layer in layers:
            name = f"stages.{stage}.{layer}"
            if w[f"{name}.weight"].ndim != 4:
                continue
            bias = w.get(f"{name}.bias", np.zeros(len(w[f"{name}.weight"])))
            maps = np.stack([sum(correlate2d(m, f, mode="same") for m, f in zip(maps, filters, strict=True)) + b
                             for filters, b in zip(w[f"{name}.weight"], bias, strict=True)])  # fmt: skip
            if f"stages.{stage}.{layer + 1}.running_mean" in w:
                maps = normalized(maps, w, f"stages.{stage}.{layer + 1}")
            maps = act(maps)
        _, height, width = maps.shape
        if min(height, width) >= 2:
            cut = maps[:, : height // 2 * 2, : width // 2 * 2]
            maps = cut.reshape(len(maps), height // 2, 2, width // 2, 2).max(axis=(2, 4))
    x = maps.reshape(-1)
    heads = sorted({int(key.split(".")[1]) for key in w if key.startswith("head.")})
    for layer in heads:
        x = w[f"head.{layer}.weight"] @ x + w[f"head.{layer}.bias"]
        x = x if layer == heads[-1] else act(x)
    return x


def slid(maps: np.ndarray, w: dict[str, np.ndarray], name: str, stride: int = 1) -> np.ndarray:
    """Filters over padded maps, every stride-th place; one filter a map where the filters have a single layer."""
    filters, side = w[f"{name}.weight"], w[f"{name}.weight"].shape[-1] // 2
    padded = np.pad(maps, ((0, 0), (side, side), (side, side)))
    groups = len(maps) // filters.shape[1]
    each, given = len(filters) // groups, filters.shape[1]
    bias = w.get(f"{name}.bias", np.zeros(len(filters)))
    return np.stack([
        sum(correlate2d(padded[c // each * given + d], f[d], mode="valid") for d in range(given)) + bias[c]
        for c, f in enumerate(filters)
    ])[:, ::stride, ::stride]  # fmt: skip


def branched(maps: np.ndarray, w: dict[str, np.ndarray], name: str, act: Any, stride: int, *, ends: bool) -> np.ndarray:
    """A branch layer by layer. The stride is at its first filter wider than a point; `ends` says a norm comes last."""
    name = f"{name}.layers" if any(key.startswith(f"{name}.layers.") for key in w) else name
    spots = sorted({int(key.removeprefix(f"{name}.").split(".")[0]) for key in w if key.startswith(f"{name}.")})
    for spot in spots:
        at = f"{name}.{spot}"
        if f"{at}.excite.weight" in w:
            mean = maps.mean(axis=(1, 2), keepdims=True)
            maps = maps * expit(slid(act(slid(mean, w, f"{at}.squeeze")), w, f"{at}.excite"))
        elif f"{at}.running_mean" in w:
            maps = normalized(maps, w, at)
            maps = maps if ends and spot == spots[-1] else act(maps)
        else:
            wide = w[f"{at}.weight"].shape[-1] > 1
            maps, stride = slid(maps, w, at, stride if wide else 1), 1 if wide else stride
    return maps


def residual_reference(member: Member, w: dict[str, np.ndarray], row: list[np.ndarray]) -> np.ndarray:
    form = member.options.get("form", "resnet")
    thin, before = form == "efficientnet", form == "resnet_v2"
    act = NONLINEAR[member.options.get("activation", "silu" if thin else "relu")]
    maps = slid(row[0], w, "stem.0")
    maps = maps if before else act(normalized(maps, w, "stem.1"))
    for stage, count in enumerate(member.options["blocks"]):
        for block in range(count):
            at = f"stages.{stage}.{block}"
            # EfficientNet-B0's first three stages step by 1, 2, 2; a ResNet's by 1, then 2.
            stride = 2 if block == 0 and stage else 1
            opened = act(normalized(maps, w, f"{at}.opening.0")) if before else maps
            made = branched(opened, w, f"{at}.branch", act, stride, ends=not before)
            if thin:
                maps = maps + made if made.shape == maps.shape else made
            elif before:
                maps = made + (slid(opened, w, f"{at}.shortcut", stride) if f"{at}.shortcut.weight" in w else maps)
            else:
                near = f"{at}.shortcut.0"
                kept = normalized(slid(maps, w, near, stride), w, f"{at}.shortcut.1") if f"{near}.weight" in w else maps
                maps = act(made + kept)
    if before:
        maps = act(normalized(maps, w, "head.0"))
    if thin:
        maps = act(normalized(slid(maps, w, "head.0"), w, "head.1"))
    last = max(int(key.split(".")[1]) for key in w if key.startswith("head."))
    return w[f"head.{last}.weight"] @ maps.mean(axis=(1, 2)) + w[f"head.{last}.bias"]


REFERENCES = {
    "neuron": neuron_reference,
    "mlp": mlp_reference,
    "convolution": convolution_reference,
    "residual": residual_reference,
}
