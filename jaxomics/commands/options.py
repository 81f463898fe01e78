"""Arguments of a command: from text to a call, and mistakes as one line.

A command is a function; its signature gives the options, and its docstring the help.
"""

import functools
import io
import re
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import tyro
from tyro.conf import FlagCreatePairsOff, Positional, arg

from jaxomics.errors import InputError

Flag: TypeAlias = Annotated[bool, FlagCreatePairsOff]
"""An option without a value."""

Run: TypeAlias = Positional[Annotated[Path, arg(metavar="RUN")]]
"""A run folder."""

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_SUGGESTIONS = "Perhaps you meant:"


def parse(function: Callable[..., Any], words: Sequence[str], prog: str) -> Callable[[], Any]:
    """Return the call that the words ask for.

    Args:
      function: whose parameters are the options.
      words: what stands behind the command.
      prog: the command, for the help.

    Raises:
      InputError: an unknown option, a value that does not fit, or one that is missing.
      SystemExit: the help was asked for, and printed.
    """

    @functools.wraps(function)
    def hold(*args: Any, **kwargs: Any) -> Callable[[], Any]:
        return functools.partial(function, *args, **kwargs)

    box = io.StringIO()
    try:
        with redirect_stderr(box):
            return tyro.cli(hold, args=list(words), prog=prog)
    except SystemExit as stop:
        if not stop.code:
            raise
        raise InputError(f"{one_line(box.getvalue())} (all options: {prog} --help)") from None


def option(words: Sequence[str], name: str, default: str) -> str:
    """Return the value of `--name VALUE` or `--name=VALUE` before the parser has run.

    >>> option(["mosa", "--preset", "paper"], "preset", "recommended")
    'paper'
    """
    for word, following in zip(words, [*words[1:], ""], strict=True):
        if word == f"--{name}":
            return following
        if word.startswith(f"--{name}="):
            return word.split("=", 1)[1]
    return default


def one_line(box: str) -> str:
    """Return the message in the parser's box as one line, with what it suggests.

    >>> one_line('''╭─ Unrecognized options ───╮
    ... │ Unrecognized options: --latnt │
    ... │ ───────────────────────────── │
    ... │ Perhaps you meant:            │
    ... │     --latent INT              │
    ... ╰───────────────────────────────╯''')
    "unrecognized options: --latnt; did you mean '--latent'?"
    """
    blocks = _blocks(box)
    message = next((b for b in blocks if b[0].startswith("Unrecognized")), blocks[0])
    text = " ".join(" ".join(message).split()).rstrip(".")
    if text.startswith("Missing from"):
        missing = [line for line in message if re.match(r"--?\w|[A-Z]+$", line)]
        return f"expected {' and '.join(missing)}, found none"
    options = [line for block in blocks if block != message for line in block if line[0] == "-"]
    bad = re.match(r"Error parsing (--\S+?):.*?('.*')?$", text)
    if bad and options:
        kind = options[0].removeprefix(bad[1]).strip()
        return f"expected {bad[1]} {kind}, found {bad[2] or 'something else'}"
    near = next((b[1].split()[0].rstrip(",") for b in blocks if b[0] == _SUGGESTIONS), None)
    text += f"; did you mean {near!r}?" if near else ""
    return text[:1].lower() + text[1:]


def _blocks(box: str) -> list[list[str]]:
    """Return the parts of a parser's box between its rules, without its title and frame.

    The frame is drawn by lines or, where the terminal knows no others, by hyphens and spaces.
    """
    blocks: list[list[str]] = [[]]
    for line in _COLOUR.sub("", box).splitlines()[1:]:
        line = line.strip(" │╰╯\t")
        if line and set(line) <= {"─", "-"}:
            blocks.append([])
        elif line:
            blocks[-1].append(line)
    return [block for block in blocks if block] or [["the words cannot be understood"]]
