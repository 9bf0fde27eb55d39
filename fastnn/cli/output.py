"""How results are printed."""

from __future__ import annotations

import json
import math
from typing import Any

__all__ = ["print_json", "printable"]


def print_json(value: dict[str, Any]) -> None:
    """One JSON object on stdout; NaN and infinity, which JSON has not, become null."""
    print(json.dumps(_finite(value), indent=1, ensure_ascii=False))


def printable(scores: dict[str, float]) -> str:
    """Scores in a line."""
    return "  ".join(f"{name} {value:.4f}" if name == "accuracy" else f"{name} {value:.5g}" for name, value in scores.items())


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _finite(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
