"""A self-contained HTML page of texts, tables and figures.

Figures stand inside as PNG; there are no scripts, nothing is loaded from elsewhere and no time is
written, so that the same content gives the same bytes.
"""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from jaxomics.data.atomic import whole_file
from jaxomics.errors import InputError
from jaxomics.figures.style import png

MAX_ROWS = 200
"""The most rows of a table that a page shows; the files hold them all."""

_STYLE = """
:root { color-scheme: light dark; --ink: #1f2430; --soft: #5b6372; --paper: #ffffff;
  --line: #d8dce3; --shade: #f4f6f9; --accent: #0072b2; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e8ec; --soft: #a3abb9; --paper: #16191f;
  --line: #353b47; --shade: #1f242d; --accent: #6cb8ea; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2rem 1.25rem 4rem; max-width: 68rem; background: var(--paper);
  color: var(--ink); font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
h1 { font-size: 1.8rem; line-height: 1.2; margin: 0 0 1rem; }
h2 { font-size: 1.3rem; margin: 2.75rem 0 .75rem; padding-top: .75rem;
  border-top: 1px solid var(--line); }
p { margin: .6rem 0; max-width: 46rem; }
nav { display: flex; flex-wrap: wrap; gap: .35rem 1.1rem; font-size: .95rem; }
a { color: var(--accent); }
.scroll { overflow-x: auto; margin: 1rem 0 1.4rem; }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; }
caption { caption-side: top; text-align: left; color: var(--soft); padding-bottom: .4rem; }
th, td { padding: .3rem .8rem; border-bottom: 1px solid var(--line); text-align: left;
  vertical-align: top; }
th { background: var(--shade); font-weight: 600; }
td.text { overflow-wrap: anywhere; min-width: 6rem; }
.number { text-align: right; white-space: nowrap; }
figure { margin: 1.2rem 0 1.8rem; }
figure img { display: block; max-width: 100%; height: auto; background: #ffffff;
  border: 1px solid var(--line); border-radius: 6px; padding: .6rem; }
figcaption { color: var(--soft); font-size: .9rem; margin-top: .4rem; max-width: 46rem; }
pre { background: var(--shade); border: 1px solid var(--line); border-radius: 6px;
  padding: .8rem 1rem; overflow-x: auto; font-size: .88rem; }
"""
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


@dataclass(frozen=True)
class Table:
    """A table on a page; `bold` marks cells, [rows, columns], by truth."""

    caption: str
    frame: pd.DataFrame
    bold: np.ndarray | None = None


@dataclass(frozen=True)
class Picture:
    """A figure on a page; `name` is its file name without ending."""

    name: str
    caption: str
    figure: Figure


@dataclass(frozen=True)
class Section:
    """A part of a page: text (paragraphs parted by empty lines), tables, pictures, commands."""

    title: str
    text: str = ""
    tables: tuple[Table, ...] = ()
    pictures: tuple[Picture, ...] = ()
    commands: tuple[str, ...] = ()


def write_report(
    path: str | Path,
    *,
    title: str,
    sections: Sequence[Section],
    figures: str | Path | None = None,
    overwrite: bool = False,
) -> Path:
    """Write sections as one HTML file that needs no other file.

    Args:
      path: the file to write.
      title: heading of the page.
      sections: shown in this order.
      figures: a folder in which every picture is saved as `NAME.png` as well.
      overwrite: replace what exists.

    Returns:
      The path.

    Raises:
      InputError: a file exists and `overwrite` is False.
    """
    path = Path(path)
    pictures = [picture for section in sections for picture in section.pictures]
    files = {} if figures is None else {p.name: Path(figures) / f"{p.name}.png" for p in pictures}
    for target in (path, *files.values()):
        if target.exists() and not overwrite:
            raise InputError(f"{target} exists; choose another place, or pass --overwrite")
    images = {id(picture): png(picture.figure) for picture in pictures}
    for picture in pictures:
        if picture.name in files:
            with whole_file(files[picture.name]) as temporary:
                temporary.write_bytes(images[id(picture)])
    with whole_file(path) as temporary:
        temporary.write_text(_page(title, sections, images), encoding="utf-8")
    return path


def _page(title: str, sections: Sequence[Section], images: Mapping[int, bytes]) -> str:
    """Return the whole page."""
    links = "\n".join(
        f'<a href="#part{i}">{escape(section.title)}</a>' for i, section in enumerate(sections)
    )
    parts = "\n".join(_section(i, section, images) for i, section in enumerate(sections))
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        f"<h1>{escape(title)}</h1>\n<nav>\n{links}\n</nav>\n{parts}\n</body>\n</html>\n"
    )


def _section(place: int, section: Section, images: Mapping[int, bytes]) -> str:
    """Return one section as HTML."""
    parts = [f'<section id="part{place}">\n<h2>{escape(section.title)}</h2>']
    parts += [f"<p>{escape(part)}</p>" for part in section.text.split("\n\n") if part.strip()]
    if section.commands:
        parts.append(f"<pre>{escape(chr(10).join(section.commands))}</pre>")
    parts += [_html_table(table) for table in section.tables]
    for picture in section.pictures:
        data = base64.b64encode(images[id(picture)]).decode("ascii")
        caption = escape(picture.caption)
        parts.append(
            f'<figure><img alt="{caption}" src="data:image/png;base64,{data}">'
            f"<figcaption>{caption}</figcaption></figure>"
        )
    return "\n".join([*parts, "</section>"])


def _html_table(table: Table) -> str:
    """Return one table as HTML; rows beyond `MAX_ROWS` are counted, not shown."""
    frame = table.frame.iloc[:MAX_ROWS]
    bold = np.zeros(frame.shape, dtype=bool) if table.bold is None else table.bold
    numeric = [pd.api.types.is_numeric_dtype(kind) for kind in frame.dtypes]
    left = [' class="number"' if number else "" for number in numeric]
    head = "".join(
        f"<th{style}>{escape(str(name))}</th>"
        for name, style in zip(frame.columns, left, strict=True)
    )
    lines = []
    for i, row in enumerate(frame.itertuples(index=False)):
        cells = []
        for j, value in enumerate(row):
            text = escape(_text(value))
            text = f"<strong>{text}</strong>" if bold[i, j] else text
            cells.append(f'<td class="{"number" if numeric[j] else "text"}">{text}</td>')
        lines.append(f"<tr>{''.join(cells)}</tr>")
    more = len(table.frame) - len(frame)
    caption = escape(table.caption) + (f" (first {MAX_ROWS}; {more:,} more)" if more > 0 else "")
    return (
        f'<div class="scroll"><table><caption>{caption}</caption>\n<thead><tr>{head}</tr></thead>\n'
        f"<tbody>\n{chr(10).join(lines)}\n</tbody></table></div>"
    )


def _text(value: Any) -> str:
    """Return a value for the reader: four digits, thousands parted, a dash for nothing."""
    if isinstance(value, (bool, np.bool_)):
        return "yes" if value else "no"
    if isinstance(value, (int, np.integer)):
        return f"{value:,}"
    if isinstance(value, (float, np.floating)):
        return f"{value:,.4g}" if np.isfinite(value) else "–"
    return "–" if value is None or value is pd.NA else str(value)
