"""Print a constraints file that pins every dependency of pyproject.toml to its lowest allowed version."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

project = tomllib.loads(Path("pyproject.toml").read_text())["project"]
for requirement in project["dependencies"] + project["optional-dependencies"]["prometheus"]:
    if match := re.match(r"([a-z0-9-]+)>=([0-9.]+)", requirement):
        print(f"{match[1]}=={match[2]}")
