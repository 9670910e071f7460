"""Print a constraints file that pins every dependency of pyproject.toml to its lowest allowed version.

All but typer: the oldest amqtt pins it to an exact version of its own, a patch above the lowest.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

project = tomllib.loads(Path("pyproject.toml").read_text())["project"]
for requirement in project["dependencies"] + project["optional-dependencies"]["demo"]:
    match = re.match(r"([a-z0-9-]+)>=([0-9.]+)", requirement)
    if match and match[1] != "typer":
        print(f"{match[1]}=={match[2]}")
