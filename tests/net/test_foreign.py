"""What is said where another's chain cannot be opened."""

from __future__ import annotations

import asyncio
import re

import pytest

from terrible.errors import HostError
from terrible.net.foreign import open_chains


def test_a_chain_that_is_not_there_is_named_with_the_key_that_names_it() -> None:
    said = re.escape("no rule can be put into the chain inet nowhere nothing: ")
    with pytest.raises(
        HostError, match=rf"^{said}.*; start what makes it, or .* forward_chain under \[net\]$"
    ):
        asyncio.run(open_chains("none0", "inet nowhere nothing"))
