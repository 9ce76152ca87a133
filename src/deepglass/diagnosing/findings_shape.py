"""Findings of the module as it is written: what no gradient reaches, norms in the wrong mode, mistaken losses."""

from __future__ import annotations

import math

from deepglass.diagnosing.evidence import Evidence, finite, number
from deepglass.diagnosing.finding import Finding

FEW_FOR_NORM = 4
SQUASHING = {"softmax": "a softmax", "log_softmax": "a log-softmax", "sigmoid": "a sigmoid"}


def unreached_layer(e: Evidence) -> Finding | None:
    """Weights that never got a gradient: left out of the forward pass, or cut off from the loss."""
    if e.failure or not e.paths:
        return None
    unused = list(dict.fromkeys(path for line in e.inside for path in line.get("unused", ())))
    unused = [path for path in unused if all(path in line.get("unused", ()) for line in e.inside)]
    cut = _cut_off(e)
    if cut:
        # A module that holds others ends after them all: the place is the last one that holds none.
        inner = [path for path in cut if not any(_inside(other, path) for other in cut)]
        cut = [path for path in cut if path not in inner] + inner
        after = next((path for path in e.paths[e.paths.index(cut[-1]) + 1 :] if _reached(e, path)), "")
        return Finding(
            "unreached_layer", "No gradient reaches a layer", layer=cut[-1],
            evidence=f"In all {len(e.inside) or 1} looks no gradient came back to {_listed(cut)}"
            + (f", while {after!r} after it gets one." if after else "."),
            cause="Something between them cuts the graph: .detach(), .data, .item(), torch.no_grad(), a rounding or an "
                  "index. What lies below keeps the weights it began with.",
            remedy=f"In forward, let what comes out of {cut[-1]!r} go on as it is, or freeze these layers on purpose "
                   "with requires_grad_(False).",
        )  # fmt: skip
    if unused:
        return Finding(
            "unreached_layer", "A layer is never used", layer=unused[0],
            evidence=f"{_listed(unused)} did not run in any of {len(e.inside) or 1} looks, and got no gradient.",
            cause="The layer is made in __init__ and not called in forward, or only where a condition never holds.",
            remedy=f"Call {unused[0]!r} in forward, or remove it.",
        )  # fmt: skip
    return None


def _inside(path: str, outer: str) -> bool:
    return path != outer and (not outer or path.startswith(f"{outer}."))


def _cut_off(e: Evidence) -> list[str]:
    """Layers that ran, whose weights may move, and that never got a gradient; only if others did."""
    weighty = [path for path in e.paths if _weighty(e, path)]
    if not any(_reached(e, path) for path in weighty):
        return []
    frozen = {path for line in e.inside[:1] for path, layer in line["layers"].items() if layer.get("frozen")}
    return [path for path in weighty if path not in frozen and not _reached(e, path)]


def _weighty(e: Evidence, path: str) -> bool:
    return bool(e.inside) and "weight" in e.inside[0]["layers"].get(path, {})


def _reached(e: Evidence, path: str) -> bool:
    return any(math.isfinite(value) for value in e.course(path, "weight_gradient"))


def batch_norm_evaluation_mode(e: Evidence) -> Finding | None:
    """Batch norms whose statistics never moved while the rest was trained."""
    norms = [layer for layer in e.layers if layer.batch_norm and layer.ran]
    asleep = [layer for layer in norms if not layer.training and (layer.untouched or not e.trained)]
    if not asleep or (not e.trained and all(not layer.training for layer in e.layers)):
        return None
    return Finding(
        "batch_norm_evaluation_mode", "A batch norm stays in evaluation mode", layer=asleep[0].path,
        evidence=f"{len(asleep)} of {len(norms)} batch norms are in evaluation mode while the module trains"
        + (", and their statistics have not seen one batch." if e.trained else "."),
        cause="eval() was called on them, or train() is overridden. They then divide by the spread 1 they were made "
              "with, and normalize nothing.",
        remedy="Let model.train() reach them; to freeze norms on purpose, freeze those of a network trained before.",
    )  # fmt: skip


def batch_norm_tiny_batches(e: Evidence) -> Finding | None:
    """Statistics of so few examples that they are mostly noise (Wu & He 2018, figure 1: errors rise below 8)."""
    size = number(e.recipe.get("batch_size")) if e.trained else number(e.anatomy.examples if e.anatomy else None)
    size = min(size, e.survey.rows[0]) if e.trained and e.survey is not None else size
    accumulate = int(e.recipe.get("accumulate") or 1)
    norm = next((layer for layer in e.layers if layer.batch_norm and layer.ran and layer.training), None)
    if norm is None or not size / accumulate <= FEW_FOR_NORM:
        return None
    pieces = f" in {accumulate} pieces" if accumulate > 1 else ""
    cure = e.offers(batch_size=32, accumulate=1)
    if not e.foreign:
        cure = cure | e.offers(normalization="group") if "normalization" in e.options and size > 16 else cure
    return Finding(
        "batch_norm_tiny_batches", "Batch norm on tiny batches", layer=norm.path,
        evidence=f"Batches of {size:g}{pieces} give batch norm {size / accumulate:g} examples to take a mean and a "
                 f"spread of; estimates of that few are off by {1 / math.sqrt(max(1.0, size / accumulate)):.0%}.",
        cause="Each example is normalized by its neighbors, and the running statistics of evaluation are not those of "
              "training.",
        remedy="Take batches of 16 or more, or group or layer norm, which look at one example at a time.", cure=cure,
    )  # fmt: skip


def double_softmax(e: Evidence) -> Finding | None:
    """Outputs that are probabilities already, judged by a loss that takes them for logits."""
    ending = e.anatomy.ending if e.anatomy is not None else ""
    if ending not in SQUASHING or e.emits != "logits" or e.task != "classes":
        return None
    many = max(2, len(e.classes))
    floor = math.log(math.e + many - 1) - 1 if ending == "softmax" else math.log(1 + 1 / math.e)
    reached = min(finite(e.losses), default=math.nan)
    lowest = f"; no loss below {floor:.2f} can be reached that way" + (
        f", and the lowest was {reached:.2f}" if math.isfinite(reached) else ""
    )
    return Finding(
        "double_softmax", "The softmax is taken twice", layer=_last_path(e),
        evidence=f"The outputs go through {SQUASHING[ending]}, and the loss ({e.loss or 'cross-entropy'}) takes them "
                 f"for logits{lowest}.",
        cause="Cross-entropy in PyTorch has its own softmax. Squashed twice, probabilities hardly differ and gradients "
              "are small.",
        remedy="Take the last softmax or sigmoid off the module, or use a loss of probabilities: NLLLoss after "
               "log_softmax, BCELoss after a sigmoid.",
    )  # fmt: skip


def _last_path(e: Evidence) -> str:
    last = next((layer for layer in reversed(e.layers) if layer.ran), None)
    return last.path if last is not None and last.type in ("Softmax", "Sigmoid", "LogSoftmax") else ""


def wrong_loss(e: Evidence) -> Finding | None:
    """A loss made for numbers on classes, or one made for classes on numbers."""
    if e.task == "classes" and e.emits == "shares":
        return Finding(
            "wrong_loss", "The loss does not fit the outputs",
            evidence=f"{len(e.classes)} classes are learned by {e.loss or 'a loss for numbers'}, which takes the "
                     "outputs for numbers to be close to.",
            cause="A squared or absolute error on classes punishes an output for being too right, and gives nearly no "
                  "gradient where it is quite wrong. Cross-entropy is the likelihood of a class (Bishop 2006, 4.3).",
            remedy="Leave `loss` out, or give nn.CrossEntropyLoss(); for one output of two classes "
                   "nn.BCEWithLogitsLoss().",
        )  # fmt: skip
    lowest = min(finite(e.losses), default=0.0)
    if e.task == "numbers" and (e.emits == "classes" or lowest < 0):
        told = f"outputs equal to the target are not what {e.loss} is lowest for" if e.emits == "classes" else (
            f"the training loss fell to {lowest:.3g}, and no distance from a number is below 0")  # fmt: skip
        return Finding(
            "wrong_loss", "The loss does not fit the target", certainty="likely",
            evidence=f"The target holds numbers, and {told}.",
            cause="A loss of classes reads the target as a class or a probability, and pulls the outputs past it. "
            "(A loss that takes the outputs for logarithms looks the same, and may be right.)",
            remedy="Leave `loss` out, or give nn.MSELoss().",
        )  # fmt: skip
    return None


def nan_source(e: Evidence) -> Finding | None:
    """A layer that makes NaN or infinity out of finite numbers of ordinary size."""
    if not e.failure and e.trained:
        return None
    place, asked = _failing_layer(e)
    if "input" in place or "target" in place:
        return Finding(
            "nan_source", "The data hold NaN or infinity", evidence=_sentence(e.failure),
            cause="A missing or infinite value in the batch makes every sum with it a NaN.",
            remedy="Fill or drop such rows before training, or give a table, whose missing values are understood.",
        )  # fmt: skip
    if not place or (e.trained and grown(e)):
        return None
    return Finding(
        "nan_source", "A layer makes NaN", layer=place,
        evidence=(_sentence(e.failure) + " " if e.failure else "") + asked,
        cause="A function was asked outside its domain: the logarithm or root of a negative number, a division by "
              "zero, an exponential that overflows.",
        remedy="Keep its argument inside: log(x.clamp_min(1e-6)), x / (spread + 1e-5), log_softmax in place of "
               "log(softmax).",
    )  # fmt: skip


def grown(e: Evidence) -> bool:
    """Whether weights or activations had run away before the failure."""
    figures = [value for line in e.inside for value in _sizes(line)]
    first, last = (max(_sizes(line), default=math.nan) for line in (e.inside[0], e.inside[-1])) if e.inside else (
        math.nan, math.nan)  # fmt: skip
    updates = finite(value for path in e.paths for value in e.course(path, "update"))
    return max(finite(figures), default=0.0) > 1e4 or last > 30 * first or max(updates, default=0.0) > 3.0


def _sizes(line: dict) -> list[float]:
    return finite(number(layer.get("spread")) for layer in line["layers"].values())


def _failing_layer(e: Evidence) -> tuple[str, str]:
    """The layer named by the failure or found again on the batch, and what is seen there."""
    bad = next((layer for layer in e.layers if layer.bad and not layer.given_bad), None)
    if bad is not None:
        return bad.path, f"Run again, {bad.path!r} ({bad.type}) gives NaN or infinity, and is given finite numbers."
    after = e.failure.partition("begins in ")[2]
    if after.startswith(("input", "the target")):
        return after.split()[0] if after.startswith("input") else "target", ""
    words = after.split("'")
    named = words[1] if len(words) > 2 else ""
    return named, f"What {named!r} was given before was of ordinary size." if named else ""


def _sentence(failure: str) -> str:
    return failure.partition(" The batch holds")[0].strip()


def _listed(paths: list[str]) -> str:
    shown = ", ".join(repr(path) for path in paths[:4])
    return shown + (f" and {len(paths) - 4} more" if len(paths) > 4 else "")
