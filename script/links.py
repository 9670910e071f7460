"""Check that every relative link in the Markdown files leads to a file of this repository."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

LINK = re.compile(r"\]\(([^)#]+?)(?:#[^)]*)?\)|(?:src|href)=\"([^\"#]+)\"")
FENCED = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)

listed = subprocess.run(
    ["git", "ls-files", "-co", "--exclude-standard", "*.md"], check=True, capture_output=True, text=True
)
broken = [
    f"{page}: {target}"
    for page in listed.stdout.splitlines()
    for match in LINK.finditer(FENCED.sub("", Path(page).read_text()))
    if not (target := match[1] or match[2]).startswith(("http:", "https:", "mailto:"))
    and not (Path(page).parent / target).exists()
]
print("\n".join(f"broken link: {link}" for link in broken) or "links: all lead somewhere")
sys.exit(bool(broken))
