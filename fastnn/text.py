"""Augmentation of texts, as lists of tokens, outside the training loop.

Each function returns a new list, a function of its arguments and the seed. Swap, insertion, deletion and replacement are those of
J. Wei and K. Zou, "EDA: easy data augmentation techniques for boosting performance on text classification tasks", EMNLP 2019, who
change a tenth of the tokens; back-translation is that of R. Sennrich et al., "Improving neural machine translation models with
monolingual data", ACL 2016.

>>> tokens = "a small dog ran home".split()
>>> random_swap(tokens, seed=1)
['ran', 'small', 'dog', 'a', 'home']
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ._check import integer, number, quote
from .random import AUGMENTATION, Stream

__all__ = ["back_translation", "random_deletion", "random_insertion", "random_swap", "synonym_replacement"]

_LAST = 2**24 - 1  # streams from here down: augmentations of arrays count theirs from 0
_SWAP, _INSERTION, _DELETION, _REPLACEMENT, _TRANSLATION = range(_LAST, _LAST - 5, -1)


class _Draws:
    """Numbers in [0, 1), one after the other."""

    def __init__(self, seed: int, use: int) -> None:
        self._seed, self._use, self._step = integer("seed", seed, low=0, high=2**64 - 1), use, 0
        self._left: list[float] = []

    def uniform(self) -> float:
        if not self._left:
            self._left = Stream(self._seed, AUGMENTATION, self._use, self._step).uniform((64,)).tolist()
            self._step += 1
        return float(self._left.pop())

    def below(self, n: int) -> int:
        """An integer from 0 to n - 1."""
        return int(self.uniform() * n)


def random_swap(tokens: Sequence[str], n: int = 1, *, seed: int = 0) -> list[str]:
    """n times, two tokens at different random places change places. A text of one token stays."""
    result, draws = _tokens(tokens), _Draws(seed, _SWAP)
    for _ in range(_times(n) if len(result) > 1 else 0):
        i, j = draws.below(len(result)), draws.below(len(result) - 1)
        j += j >= i
        result[i], result[j] = result[j], result[i]
    return result


def random_deletion(tokens: Sequence[str], p: float = 0.1, *, seed: int = 0) -> list[str]:
    """Each token is left out with probability p; if all would be, a random one stays."""
    result, draws = _tokens(tokens), _Draws(seed, _DELETION)
    p = number("p", p, low=0.0, high=1.0)
    kept = [token for token in result if draws.uniform() >= p]
    return kept or [result[draws.below(len(result))]] if result else []


def random_insertion(tokens: Sequence[str], synonyms: Mapping[str, Sequence[str]], n: int = 1, *, seed: int = 0) -> list[str]:
    """n times, a random synonym of a random one of the tokens that have synonyms, put in at a random place.

    synonyms: token to those that can stand for it. A text without any stays.
    """
    result, draws = _tokens(tokens), _Draws(seed, _INSERTION)
    known = _replaceable(result, synonyms)
    for _ in range(_times(n) if known else 0):
        choices = synonyms[result[known[draws.below(len(known))]]]
        new, place = choices[draws.below(len(choices))], draws.below(len(result) + 1)
        result.insert(place, new)
        known = _replaceable(result, synonyms)
    return result


def synonym_replacement(tokens: Sequence[str], synonyms: Mapping[str, Sequence[str]], n: int = 1, *, seed: int = 0) -> list[str]:
    """n tokens at random places, or all that have synonyms if there are fewer, each become a random one of its synonyms.

    synonyms: token to those that can stand for it; leave stop words out of it, as the paper does.

    >>> synonym_replacement(["a", "small", "dog"], {"small": ["little"]})
    ['a', 'little', 'dog']
    """
    result, draws = _tokens(tokens), _Draws(seed, _REPLACEMENT)
    places = _replaceable(result, synonyms)
    for _ in range(min(_times(n), len(places))):
        place = places.pop(draws.below(len(places)))
        choices = synonyms[result[place]]
        result[place] = choices[draws.below(len(choices))]
    return result


def back_translation(
    tokens: Sequence[str], translate: Callable[[list[str]], Sequence[str]], p: float = 1.0, *, seed: int = 0
) -> list[str]:
    """With probability p, what `translate` makes of the tokens: your function, into another language and back.

    seed: of a text; with one seed for all, either all are translated or none.

    >>> back_translation(["hello", "world"], lambda tokens: ["hi", *tokens[1:]])
    ['hi', 'world']
    """
    result = _tokens(tokens)
    if not callable(translate):
        raise TypeError(f"translate: expected a function from a list of tokens to another one, got {quote(translate)}")
    p = number("p", p, low=0.0, high=1.0)
    if _Draws(seed, _TRANSLATION).uniform() >= p:
        return result
    return _tokens(translate(result), "what translate returns")


def _tokens(tokens: Any, name: str = "tokens") -> list[str]:
    """A list of its own."""
    if isinstance(tokens, str) or not isinstance(tokens, Sequence) or not all(isinstance(token, str) for token in tokens):
        raise TypeError(f"{name}: expected a list of strings, got {quote(tokens)}")
    return list(tokens)


def _times(n: int) -> int:
    return integer("n", n, low=0)


def _replaceable(tokens: list[str], synonyms: Mapping[str, Sequence[str]]) -> list[int]:
    """Places of the tokens that have synonyms."""
    if not isinstance(synonyms, Mapping) or any(isinstance(value, str) for value in synonyms.values()):
        raise TypeError(f"synonyms: expected a mapping of tokens to lists of tokens, got {quote(synonyms)}")
    return [place for place, token in enumerate(tokens) if len(synonyms.get(token, ())) > 0]
