"""The made sysfs tree, fresh for each test, and the helper that works on it."""

from __future__ import annotations

from pathlib import Path

import pytest

from .process import Helper
from .tree import Tree


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path / "sys")


@pytest.fixture
def helper(tmp_path: Path, tree: Tree) -> Helper:
    return Helper(tmp_path, tree)
