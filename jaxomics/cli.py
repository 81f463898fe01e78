"""The command line: which commands there are, how errors look, and exit codes.

Results go to stdout, everything else to stderr. Exit codes: 0 done; 2 the user can mend it, told
in one line that begins `error:`; 130 interrupted; 1 a bug, with its traceback.
"""

import logging
import os
import shlex
import sys
import traceback
import warnings
from collections.abc import Sequence
from importlib import import_module
from typing import Any, NamedTuple

from jaxomics.errors import InputError, unknown
from jaxomics.memory import use_huge_pages
from jaxomics.version import __version__


class Command(NamedTuple):
    """One command.

    Attributes:
      home: module and function.
      summary: one line for the overview.
      computes: it works on large arrays, for which huge pages pay.
      model: its options depend on the model that its words name: the function at `home` takes
        the words, and returns the function to call and what help calls it.
    """

    home: str
    summary: str
    computes: bool = False
    model: bool = False


COMMANDS: dict[str, Command] = {
    "demo": Command(
        "demo:demo", "the main job on a simulated cohort: train, complete, score, report", True
    ),
    "inspect": Command("inspect:inspect", "show what would be read from a path, and problems"),
    "train": Command(
        "train:command", "train a model on a cohort; writes a run folder", True, model=True
    ),
    "cv": Command(
        "cv:command", "cross-validate a model: all folds as one program", True, model=True
    ),
    "sweep": Command(
        "sweep:command", "search a model's settings, in groups of trials", True, model=True
    ),
    "embed": Command("apply:embed", "latent means of samples", True),
    "impute": Command("apply:impute", "fill what is missing, in original units", True),
    "translate": Command("apply:translate", "predict one view from others", True),
    "predict": Command("apply:predict", "class and probabilities of samples", True),
    "explain": Command("explain:explain", "what outputs owe to each feature, with errors", True),
    "slides": Command("slides:slides", "predict bulk RNA from the tile embeddings of slides", True),
    "evaluate imputation": Command(
        "evaluate:evaluate_imputation", "score completed tables of any tool against the truth"
    ),
    "evaluate embedding": Command(
        "evaluate:evaluate_embedding", "score the embedding of any tool against labels"
    ),
    "evaluate translation": Command(
        "evaluate:evaluate_translation", "score a predicted table of any tool against the truth"
    ),
    "evaluate outcomes": Command(
        "evaluate:evaluate_outcomes", "score predicted classes, survival and values of any tool"
    ),
    "simulate depmap": Command(
        "simulate:depmap", "write a simulated cell line cohort and its truth"
    ),
    "simulate intersim": Command(
        "simulate:intersim", "write simulated classes in three linked omics and their truth"
    ),
    "simulate translation": Command(
        "simulate:translation", "write simulated methylation, expression and their truth"
    ),
    "simulate bulk": Command(
        "simulate:bulk", "write simulated RNA and ATAC of tumours with survival, and their truth"
    ),
    "export": Command("bridge:export", "write a cohort as outside software reads it"),
    "import-latent": Command(
        "bridge:import_latent", "read the latent space of any tool, to score it"
    ),
    "import-recon": Command("bridge:import_recon", "read the estimates of any tool, to score them"),
    "models": Command("models:models", "list the models"),
}
"""All commands, in the order of the overview; families have two words."""

HELP = ("-h", "--help")

RESUMABLE = ("train", "cv", "sweep", "explain")
"""Commands with an option `--resume`."""

DONE, BUG, MENDABLE, INTERRUPTED = 0, 1, 2, 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code.

    Args:
      argv: the words behind `jaxomics`; None takes those of this process, which may then start
        itself again for the sake of memory (see `jaxomics.memory`).
    """
    words = sys.argv[1:] if argv is None else list(argv)
    if argv is None:
        _prepare_process(words)
    debug = "--debug" in words
    words = [word for word in words if word != "--debug"]
    try:
        with warnings.catch_warnings():
            if not debug:
                warnings.simplefilter("ignore")
            _run(words)
        sys.stdout.flush()
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else DONE
    except KeyboardInterrupt as stop:
        print(_how_to_resume(str(stop), words), file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return DONE
    except Exception as error:
        return _report(error, debug)
    return DONE


def _run(words: list[str]) -> None:
    """Find the command, call it, and print what it returns."""
    families = {name.split()[0] for name in COMMANDS if " " in name}
    asked = len(words) > 1 and words[0] in families and words[1] in HELP
    if not words or words[0] in (*HELP, "help") or asked:
        print(overview())
        return
    if words[0] == "--version":
        print(f"jaxomics {__version__}")
        return
    name, rest = find_command(words)
    module, _, function = COMMANDS[name].home.partition(":")
    target = getattr(import_module(f"jaxomics.commands.{module}"), function)
    prog = f"jaxomics {name}"
    if COMMANDS[name].model:
        target, prog = target(rest)
    from jaxomics.commands.options import parse

    result = parse(target, rest, prog)()
    if result is not None:
        print(_text(result))


def find_command(words: Sequence[str]) -> tuple[str, list[str]]:
    """Return a command's name and the words behind it.

    Raises:
      InputError: there is no such command.

    >>> find_command(["simulate", "depmap", "--seed", "1"])
    ('simulate depmap', ['--seed', '1'])
    """
    first = words[0]
    if first in COMMANDS:
        return first, list(words[1:])
    kinds = [name.split()[1] for name in COMMANDS if name.split()[0] == first and " " in name]
    if not kinds:
        raise unknown("command", first, {name.split()[0] for name in COMMANDS})
    if len(words) < 2:
        raise InputError(f"expected `jaxomics {first}` and one of: {', '.join(kinds)}; name one")
    if words[1] not in kinds:
        raise unknown(f"kind of {first}", words[1], kinds)
    return f"{first} {words[1]}", list(words[2:])


def overview() -> str:
    """Return the help of `jaxomics` itself."""
    width = max(map(len, COMMANDS)) + 2
    lines = [f"  {name.ljust(width)}{command.summary}" for name, command in COMMANDS.items()]
    return "\n".join(
        [
            "usage: jaxomics COMMAND [OPTIONS]",
            "",
            "Deep models for bulk multi-omics tables: complete, embed, translate and explain.",
            "",
            "commands",
            *lines,
            "",
            "  --help       help of a command: jaxomics COMMAND --help",
            "  --version    show the version",
            "  --debug      with any command: show the traceback of an error",
            "",
            "start with",
            "  jaxomics demo --quick --out demo",
            "  jaxomics inspect FOLDER",
            "  jaxomics train mosa --data FOLDER --out run",
        ]
    )


def _prepare_process(words: list[str]) -> None:
    """Set what has to stand before libraries are imported."""
    name = words[0] if words else ""
    if name in COMMANDS and COMMANDS[name].computes and not set(HELP) & set(words):
        use_huge_pages()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    logging.getLogger("jax").setLevel(logging.ERROR)


def _report(error: Exception, debug: bool) -> int:
    """Print an error and return its exit code."""
    mendable = isinstance(error, InputError) or (isinstance(error, OSError) and error.filename)
    if debug or not mendable:
        traceback.print_exception(error)
    if not mendable:
        return BUG
    text = str(error)
    if isinstance(error, OSError):
        text = f"{error.filename}: {error.strerror}; check the path and its permissions"
    print(f"error: {' '.join(text.split())}", file=sys.stderr)
    return MENDABLE


def _how_to_resume(message: str, words: list[str]) -> str:
    """Return the line that an interrupted command ends with."""
    message = message or "stopped"
    if not words or words[0] not in RESUMABLE:
        return f"{message}; start the command again"
    again = [word for word in words if word not in ("--resume", "--overwrite")]
    return f"{message}; continue with: jaxomics {shlex.join([*again, '--resume'])}"


def _text(result: Any) -> str:
    """Return a result as the text for stdout: tables aligned, everything else as it is."""
    to_string = getattr(result, "to_string", None)
    return to_string(index=False) if to_string else str(result)
