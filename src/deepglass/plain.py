"""Plain values: what JSON can say of the figures that a run leaves."""

from __future__ import annotations

from typing import Any


def finite(plain: Any) -> Any:
    """Plain values as JSON can say them: NaN and infinity become None, keys become text.

    >>> finite({1: (0.5, float("nan"))})
    {'1': [0.5, None]}
    """
    if isinstance(plain, float):
        return plain if plain - plain == 0 else None
    if isinstance(plain, dict):
        return {str(key): finite(value) for key, value in plain.items()}
    if isinstance(plain, list | tuple):
        return [finite(value) for value in plain]
    return plain
