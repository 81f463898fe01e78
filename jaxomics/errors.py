"""The one error that tells users what they can mend themselves."""

from collections.abc import Iterable
from difflib import get_close_matches


class InputError(ValueError):
    """Input that the user can mend: says what was expected, what was found, what to do.

    The command line prints it as one line and exits with code 2; every other exception is a
    bug and exits with code 1.
    """


def unknown(what: str, found: str, known: Iterable[str]) -> InputError:
    """Return the error for an unknown name, with the nearest names that exist.

    >>> str(unknown("view", "rnaa", ["rna", "protein"]))
    "unknown view 'rnaa'; did you mean 'rna'? Known: protein, rna"
    """
    names = sorted({str(name) for name in known})
    near = get_close_matches(str(found), names, n=3)
    hint = f"; did you mean {' or '.join(repr(name) for name in near)}?" if near else "."
    shown = ", ".join(names[:20]) + (f", ... ({len(names)} in all)" if len(names) > 20 else "")
    return InputError(f"unknown {what} {found!r}{hint} Known: {shown or 'none'}")


class NonFiniteError(InputError):
    """Training left the finite numbers; names the metric, the replica and the epoch."""
