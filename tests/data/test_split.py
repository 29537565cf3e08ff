"""The validation split."""

import numpy as np
import pytest

from convscope.data.split import stratified_split
from convscope.errors import UserError

# 100 zeros, 55 ones, 5 twos, mixed.
LABELS = np.random.RandomState(0).permutation(np.repeat([0, 1, 2], [100, 55, 5]))


def test_counts_are_exact_per_class_rounded_half_up() -> None:
    train, val = stratified_split(LABELS, 0.1)
    # 10, 5.5 -> 6, 0.5 -> 1
    assert np.bincount(LABELS[val]).tolist() == [10, 6, 1]
    assert np.bincount(LABELS[train]).tolist() == [90, 49, 4]


def test_parts_are_ascending_and_share_nothing() -> None:
    train, val = stratified_split(LABELS, 0.25)
    assert sorted([*train, *val]) == list(range(160))
    assert (np.diff(train) > 0).all()
    assert (np.diff(val) > 0).all()
    assert train.dtype == val.dtype == np.int64


def test_split_is_the_same_always() -> None:
    first = stratified_split(LABELS, 0.1)[1]
    np.random.seed(99)
    assert (first == stratified_split(LABELS, 0.1)[1]).all()
    labels = np.repeat([0, 1], 10)
    # By hand: RandomState's first two permutations of ten.
    random = np.random.RandomState(20_240_229)
    expected = sorted([*random.permutation(10)[:2], *(10 + random.permutation(10)[:2])])
    assert stratified_split(labels, 0.2)[1].tolist() == expected


def test_a_seed_draws_another_split_of_the_same_sizes() -> None:
    usual, *others = (stratified_split(LABELS, 0.1, seed=seed)[1] for seed in (None, 0, 1))
    assert len({tuple(val) for val in (usual, *others)}) == 3
    for val in others:
        assert np.bincount(LABELS[val]).tolist() == [10, 6, 1]
    labels = np.repeat([0, 1], 10)
    random = np.random.RandomState(7)
    expected = sorted([*random.permutation(10)[:2], *(10 + random.permutation(10)[:2])])
    assert stratified_split(labels, 0.2, seed=7)[1].tolist() == expected


def test_nothing_left_is_an_error() -> None:
    with pytest.raises(UserError, match="data.val_fraction must select at least one image"):
        stratified_split(np.repeat([0, 1], 4), 0.1)
    with pytest.raises(UserError, match="data.val_fraction must leave every class an image"):
        stratified_split(np.array([0, 0, 0, 0, 1]), 0.5)
