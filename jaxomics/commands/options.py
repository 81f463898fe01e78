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
    lines = [line.strip(" │╭╮╰╯\t") for line in _COLOUR.sub("", box).splitlines()]
    lines = [line for line in lines if line and not line.startswith("─ ")]
    end = next((i for i, line in enumerate(lines) if set(line) == {"─"}), len(lines))
    options = [line for line in lines if re.match(r"--?\w", line)]
    text = " ".join(" ".join(lines[:end]).split()).rstrip(".")
    if text.startswith("Missing from"):
        return f"expected {' and '.join(options)}, found none"
    bad = re.match(r"Error parsing (--\S+?):.*?('.*')?$", text)
    if bad and options:
        kind = options[-1].removeprefix(bad[1]).strip()
        return f"expected {bad[1]} {kind}, found {bad[2] or 'something else'}"
    if _SUGGESTIONS in lines and options:
        text += f"; did you mean '{options[0].split()[0].rstrip(',')}'?"
    return text[:1].lower() + text[1:]
