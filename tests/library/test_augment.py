"""Augmentation by hand: what comes out, that nothing is written to, and what is refused."""

import numpy as np
import pytest

import fastnn as fnn
from fastnn import augment as A
from fastnn import text
from fastnn.functional import augmentation as F
from fastnn.random import AUGMENTATION, stream_number

ALL = [
    A.RandomHorizontalFlip(), A.RandomVerticalFlip(), A.RandomCrop(2), A.RandomAffine(20, (0.1, 0.1), (0.8, 1.2)), A.Cutout(3),
    A.RandomErasing(), A.Brightness(0.3), A.Contrast(0.3), A.Saturation(0.3), A.GaussianNoise(0.1), A.GaussianBlur(1.0),
    A.Mixup(), A.CutMix(),
]  # fmt: skip
each = pytest.mark.parametrize("augment", ALL, ids=repr)


def images(dtype=np.float64):
    return np.random.default_rng(0).random((9, 3, 8, 6)).astype(dtype)


def call(augment, x, **options):
    if augment.mixes:
        return augment(x, np.arange(len(x)) % 3, **options)[0]
    return augment(x, **options)


@each
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_new_array_of_the_same_shape(augment, dtype):
    x = images(dtype)
    x.flags.writeable = False
    y = call(augment, x, seed=4)
    assert y.shape == x.shape
    assert y.dtype == dtype
    assert not np.may_share_memory(x, y)
    assert not np.array_equal(x, y)


@each
def test_a_function_of_seed_and_step(augment):
    x = images()
    first = call(augment, x, seed=1, step=2)
    np.testing.assert_array_equal(first, call(augment, x, seed=1, step=2))
    if repr(augment) != "GaussianBlur((1.0, 1.0))":  # nothing is random about it
        assert any(not np.array_equal(first, call(augment, x, seed=seed, step=2)) for seed in range(2, 6))
        assert any(not np.array_equal(first, call(augment, x, seed=1, step=step)) for step in range(3, 7))


@each
def test_rows_are_images_of_the_shape_that_is_given(augment):
    x = images()
    expected = call(augment, x, seed=1)
    rows = call(augment, x.reshape(9, -1), seed=1, image_shape=(3, 8, 6))
    np.testing.assert_array_equal(rows.reshape(x.shape), expected)
    if not augment.channels or 1 in augment.channels:
        np.testing.assert_array_equal(call(augment, x[:, 0], seed=1), call(augment, x[:, :1], seed=1)[:, 0])


@each
def test_repr_rebuilds_it(augment):
    assert repr(eval(repr(augment), vars(A))) == repr(augment)


def test_compose_gives_each_draws_of_its_own():
    x = images()
    twice = A.Compose([A.GaussianNoise(1.0), A.GaussianNoise(1.0)])(x) - x
    once = A.GaussianNoise(1.0)(x) - x
    assert 1.2 < (twice.std() / once.std()) < 1.6
    assert np.array_equal(A.Compose([])(x), x)
    assert not np.may_share_memory(A.Compose([])(x), x)


def test_mixed_labels_weigh_the_losses_of_both():
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((8, 5)), rng.integers(0, 4, 8)
    mixed, targets = A.Mixup(1.0, by_row=True)(x, y, num_classes=4, seed=3)
    expected, (partners, shares) = F.mixup_rows(x, F.Key(3, 0, stream_number(AUGMENTATION)), 1.0, True)
    np.testing.assert_array_equal(mixed, expected)
    for i, (j, share) in enumerate(zip(partners, shares, strict=True)):
        logits = rng.standard_normal((1, 4))
        loss = [fnn.CrossEntropyLoss().forward(logits, t) for t in (targets[i : i + 1], y[i : i + 1], y[j : j + 1])]
        assert loss[0] == pytest.approx(share * loss[1] + (1 - share) * loss[2])


def test_targets_keep_their_shape():
    x = images()
    for y in (np.linspace(0, 1, 9), np.ones((9, 2))):
        assert A.Mixup()(x, y)[1].shape == y.shape
    y = np.arange(9)
    kept = A.Compose([A.RandomCrop(1)])(x, y)[1]
    np.testing.assert_array_equal(kept, y)
    assert not np.may_share_memory(kept, y)
    assert A.CutMix()(x, y, num_classes=12)[1].shape == (9, 12)


@pytest.mark.parametrize(("make", "message"), [
    (lambda: A.Mixup(0.0), r"^alpha: expected a finite number in \(0"),
    (lambda: A.CutMix(by_row=1), "^by_row: expected True or False"),
    (lambda: A.RandomHorizontalFlip(1.5), "^p: "),
    (lambda: A.RandomCrop(-1), "^padding: "),
    (lambda: A.RandomCrop(1.5), "^padding: "),
    (lambda: A.RandomAffine(-3), "^degrees: "),
    (lambda: A.RandomAffine((3, 1)), r"^degrees: expected a pair \(from, to\) in that order"),
    (lambda: A.RandomAffine(3, 0.1), "^translate: expected a pair"),
    (lambda: A.RandomAffine(3, (0.1, 2.0)), "^translate: "),
    (lambda: A.RandomAffine(3, scale=(0.0, 1.0)), "^scale: "),
    (lambda: A.Cutout(0), "^size: "),
    (lambda: A.Cutout((1, 2, 3)), "^size: "),
    (lambda: A.RandomErasing(scale=(0.1, 1.1)), "^scale: "),
    (lambda: A.Brightness(-0.1), "^amount: "),
    (lambda: A.Contrast(0.1, limits=(1, 0)), "^limits: "),
    (lambda: A.GaussianNoise(np.nan), "^std: "),
    (lambda: A.GaussianBlur(0.0), "^sigma: "),
    (lambda: A.Compose([np.fliplr]), r"^augmentations\[0\]: expected an augmentation"),
    (lambda: A.RandomCrop(1)(np.ones((2, 9))), r"^image_shape: expected \(H, W\) or \(C, H, W\), which RandomCrop"),
    (lambda: A.RandomCrop(1)(np.ones((2, 9)), image_shape=(2, 4)), "^image_shape: expected as many pixels"),
    (lambda: A.RandomCrop(1)(np.ones((2, 9)), image_shape=9), "^image_shape: "),
    (lambda: A.RandomCrop(1)(np.ones((2, 1, 1, 1, 9))), "^image_shape: "),
    (lambda: A.RandomCrop(1)(np.ones((0, 3, 3))), "^x: expected at least one element"),
    (lambda: A.GaussianNoise(1.0)(np.ones(3)), "^x: expected rows or images"),
    (lambda: A.GaussianNoise(1.0)(np.ones((3, 2)), seed=-1), "^seed: "),
    (lambda: A.GaussianNoise(1.0)(np.ones((3, 2)), step=2**32), "^step: "),
    (lambda: A.GaussianNoise(1.0)(np.array([["a"]])), "^x: expected an array of real numbers"),
    (lambda: A.Saturation(0.1)(np.ones((2, 3, 3))), "^image_shape: expected 3 channels for Saturation"),
    (lambda: A.Contrast(0.1)(np.ones((2, 2, 3, 3))), "^image_shape: expected 1 or 3 channels"),
    (lambda: A.Compose([A.Mixup()])(np.ones((2, 3))), "^y: expected the targets"),
    (lambda: A.Mixup()(np.ones((2, 3)), [0, 1, 2]), "^y: expected labels"),
    (lambda: A.Mixup()(np.ones((2, 3)), [0, 5], num_classes=3), "^y: expected labels from 0 to 2"),
    (lambda: fnn.Trainer(fnn.Sequential(fnn.Linear(9, 2)), fnn.MSELoss(), fnn.SGD(), augmentation=[1]), r"^augmentation\[0\]: "),
    (lambda: fnn.Trainer(fnn.Sequential(fnn.Linear(9, 2)), fnn.MSELoss(), fnn.SGD(), augmentation=1), "^augmentation: "),
])  # fmt: skip
def test_bad_input_is_refused_by_name(make, message):
    with pytest.raises((ValueError, TypeError), match=message):
        make()


def test_training_refuses_what_does_not_fit_before_anything_has_changed():
    x, y = np.ones((6, 9), np.float32), np.arange(6) % 2

    class OnlyLabels(fnn.CrossEntropyLoss):
        def check_targets(self, name, targets, rows, outputs):
            if np.ndim(targets) != 1:
                raise ValueError(f"{name}: expected labels, got others")
            return super().check_targets(name, targets, rows, outputs)

    for augmentation, shape, loss, message in (
        ([A.RandomCrop(1)], None, fnn.CrossEntropyLoss(), "^image_shape: expected .*, which RandomCrop"),
        ([A.RandomCrop(1)], (2, 5), fnn.CrossEntropyLoss(), "^image_shape: expected as many pixels as x has features, 9"),
        ([A.Saturation(0.1)], (3, 3), fnn.CrossEntropyLoss(), "^image_shape: expected 3 channels"),
        ([A.Mixup()], None, OnlyLabels(), "^augmentation: expected a loss that takes probabilities"),
    ):
        model = fnn.Sequential(fnn.Linear(9, 2), seed=0)
        before = model.flat_parameters.copy()
        trainer = fnn.Trainer(model, loss, fnn.SGD(), augmentation=augmentation, image_shape=shape)
        with pytest.raises(ValueError, match=message):
            trainer.fit(x, y)
        np.testing.assert_array_equal(model.flat_parameters, before)
        assert trainer.augmenter.step == 0


# texts

TOKENS = ["the", "quick", "brown", "fox", "jumps", "over", "the", "lazy", "dog"]
SYNONYMS = {"quick": ["fast", "rapid"], "lazy": ["idle"], "dog": []}


def test_swaps_keep_the_tokens():
    seen = set()
    for seed in range(20):
        swapped = text.random_swap(TOKENS, 1, seed=seed)
        assert sorted(swapped) == sorted(TOKENS)
        assert sum(a != b for a, b in zip(swapped, TOKENS, strict=True)) in (0, 2)  # 0: the two "the"
        assert swapped == text.random_swap(TOKENS, 1, seed=seed)
        seen.add(tuple(swapped))
    assert len(seen) > 10
    assert text.random_swap(["a"], 3) == ["a"]
    assert text.random_swap([], 3) == []


def test_deletion_leaves_one_at_least_and_the_share_that_it_should():
    assert text.random_deletion(TOKENS, 0.0) == TOKENS
    assert [len(text.random_deletion(TOKENS, 1.0, seed=seed)) for seed in range(5)] == [1] * 5
    assert text.random_deletion([], 0.5) == []
    assert abs(len(text.random_deletion(["a"] * 10_000, 0.3)) - 7000) < 4.5 * np.sqrt(2100)


def test_insertions_are_synonyms():
    result = text.random_insertion(TOKENS, SYNONYMS, 3, seed=1)
    assert len(result) == len(TOKENS) + 3
    for token in TOKENS:
        result.remove(token)
    assert set(result) <= {"fast", "rapid", "idle"}
    assert text.random_insertion(TOKENS, {}, 3) == TOKENS


def test_replacement_is_by_synonyms_each_place_once():
    result = text.synonym_replacement(TOKENS, SYNONYMS, 9, seed=1)
    assert result[1] in SYNONYMS["quick"]
    assert result[7] == "idle"
    assert [token for i, token in enumerate(result) if i not in (1, 7)] == [t for i, t in enumerate(TOKENS) if i not in (1, 7)]
    assert {text.synonym_replacement(TOKENS, SYNONYMS, 1, seed=seed)[7] for seed in range(20)} == {"lazy", "idle"}


def test_back_translation_calls_the_users_function_with_a_list_of_its_own():
    given = list(TOKENS)
    result = text.back_translation(given, lambda tokens: [tokens.pop(), "!"])
    assert result == ["dog", "!"]
    assert given == TOKENS
    assert text.back_translation(given, lambda tokens: [], 0.0) == TOKENS


@pytest.mark.parametrize(("make", "message"), [
    (lambda: text.random_swap("a text"), "^tokens: expected a list of strings"),
    (lambda: text.random_swap([1, 2]), "^tokens: expected a list of strings"),
    (lambda: text.random_swap(TOKENS, -1), "^n: "),
    (lambda: text.random_swap(TOKENS, seed=-1), "^seed: "),
    (lambda: text.random_deletion(TOKENS, 1.5), "^p: "),
    (lambda: text.synonym_replacement(TOKENS, {"quick": "fast"}), "^synonyms: expected a mapping of tokens to lists"),
    (lambda: text.random_insertion(TOKENS, ["fast"]), "^synonyms: "),
    (lambda: text.back_translation(TOKENS, "de"), "^translate: expected a function"),
    (lambda: text.back_translation(TOKENS, " ".join), "^what translate returns: expected a list of strings"),
])  # fmt: skip
def test_bad_texts_are_refused_by_name(make, message):
    with pytest.raises((ValueError, TypeError), match=message):
        make()
