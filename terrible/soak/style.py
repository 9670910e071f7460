"""How the picture of a soak looks, by class. [pure]"""

from __future__ import annotations

COLOURS = {
    "g": ("fill", "#ffffff", "#0d1117"),
    "c": ("fill", "#f1f3f5", "#1b222b"),
    "w": ("fill", "#1f2328", "#e6edf3"),
    "d": ("fill", "#656d76", "#9198a1"),
    "r": ("fill", "#c81e2c", "#ff7b72"),
    "t": ("stroke", "#2f6fb3", "#6cb0f5"),
    "a": ("stroke", "#d1242f", "#ff6b62"),
    "f": ("stroke", "#d1242f", "#ff6b62"),
    "m": ("stroke", "#1f2328", "#e6edf3"),
}
"""By class what is coloured, in the light and in the dark: the ground, cells, words, dots, failures, medians.
No custom properties: librsvg, which turns SVG into images on most Linux machines, does not know them."""
SHAPES = """text{font:12px system-ui,sans-serif}.d{font-size:11px}.h{font-size:16px;font-weight:600}
.n,.r{font-weight:600}.r{font-size:11px}.e{text-anchor:end}path{fill:none;stroke-linecap:round}
.t{stroke-width:2.2;stroke-opacity:.55}.a{stroke-width:1.5}.f{stroke-width:3}
.m{stroke-width:1;stroke-dasharray:3 3;stroke-opacity:.55}
"""


def style() -> str:
    """The style sheet, light unless the reader's machine prefers dark."""
    light = "".join(f".{kind}{{{what}:{colour}}}" for kind, (what, colour, _) in COLOURS.items())
    dark = "".join(f".{kind}{{{what}:{colour}}}" for kind, (what, _, colour) in COLOURS.items())
    return f"{SHAPES}{light}\n@media(prefers-color-scheme:dark){{{dark}}}"
