"""Class names: as many as the sets have, in the order of the published labels."""

import re

from spikeprune.data import classes


def test_names_of_the_small_sets():
    assert classes.DIGITS == ("0", "1", "2", "3", "4", "5", "6", "7", "8", "9")
    assert len(classes.FASHION) == len(classes.CIFAR10) == 10
    assert (classes.FASHION[0], classes.FASHION[9]) == ("T-shirt/top", "Ankle boot")
    assert (classes.CIFAR10[0], classes.CIFAR10[3], classes.CIFAR10[9]) == (
        "airplane",
        "cat",
        "truck",
    )


def test_labels_of_the_large_sets_are_alphabetical():
    for names, count in ((classes.CIFAR100, 100), (classes.TINY_IMAGENET, 200)):
        assert len(set(names)) == count
        assert list(names) == sorted(names)
    assert all(re.fullmatch(r"n\d{8}", name) for name in classes.TINY_IMAGENET)
