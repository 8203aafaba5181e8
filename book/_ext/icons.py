"""Font Awesome's icons as masks inside the stylesheet.

The theme draws its icons with a script of 1.5 MB, or with fonts. A page shows
about ten of them: here each becomes a mask of one element, in the colour of
the text around it, and needs neither script nor font. The outlines come from
the theme's own copy of Font Awesome.
"""

from __future__ import annotations

import re
from urllib.parse import quote

CREDIT = (
    "/*! Icons: Font Awesome Free by @fontawesome, fontawesome.com,"
    " CC BY 4.0 */"
)
ICON = re.compile(
    r'[\[{,]"?[\w-]+"?:\[(\d+),(\d+),\[[^\]]*\],"([0-9a-f]+)","([^"]+)"\]'
)
CHARACTER = '"([\ue000-\uf8ff])"'  # where the fonts have their icons
RULE = re.compile(rf"([^{{}}]+)\{{content:{CHARACTER}\}}")
INSIDE = re.compile(rf"content:{CHARACTER}")
NAMED = re.compile(rf"(--[\w-]+):{CHARACTER}")
SHOWN = re.compile(r"content:var\((--pst-(?:icon|breadcrumb)[\w-]*)\)")
FONT = re.compile(r"font:var\(--fa-font-\w+\)")
FACE = re.compile(r"@font-face\{[^}]*Font Awesome[^}]*\}")
STYLES = ":is(.fa-solid,.fa-regular,.fa-brands,.fas,.far,.fab)"
MASK = (
    "-webkit-mask:var(--icon) center/contain no-repeat;"
    "mask:var(--icon) center/contain no-repeat;background:currentColor"
)
BOX = f"display:inline-block;width:1em;height:1em;{MASK}"
BASE = (
    f"{STYLES}{{display:inline-block;width:1.1em;height:1em;"
    f"vertical-align:-.125em;{MASK}}}"
    f"@media (forced-colors:active){{{STYLES}"
    "{forced-color-adjust:none;background:CanvasText}}"
)


def outlines(script: str) -> dict[str, str]:
    """SVG of each icon in Font Awesome's script, by its character."""
    return {
        chr(int(code, 16)): (
            "<svg xmlns='http://www.w3.org/2000/svg'"
            f" viewBox='0 0 {width} {height}'><path d='{path}'/></svg>"
        )
        for width, height, code, path in ICON.findall(script)
    }


def masked(css: str, script: str) -> str:
    """Replace characters of Font Awesome's fonts in a stylesheet by masks."""
    if not re.search(CHARACTER, css):
        return css
    pictures = outlines(script)

    def address(character: str) -> str:
        picture = quote(pictures[character], safe=" ='/:,")
        return f'url("data:image/svg+xml,{picture}")'

    def icon(rule: re.Match[str]) -> str:
        selectors = re.sub("::?before", "", rule[1])
        return f"{selectors}{{--icon:{address(rule[2])}}}"

    css = RULE.sub(icon, FACE.sub("", css))
    css = INSIDE.sub(
        lambda found: f'content:"";--icon:{address(found[1])};{BOX}', css
    )
    css = NAMED.sub(lambda found: f"{found[1]}:{address(found[2])}", css)
    css = SHOWN.sub(r'content:"";--icon:var(\1)', css)
    css = FONT.sub(BOX, css)
    return f"{CREDIT}{BASE}{css}"
