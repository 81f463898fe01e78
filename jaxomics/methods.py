"""Models and comparators under one roof: which names there are, and what each can do."""

from jaxomics.comparators.base import Capabilities, Method
from jaxomics.comparators.registry import COMPARATORS
from jaxomics.errors import InputError, unknown
from jaxomics.models.registry import MODELS, Entry


def find(name: str) -> Entry | Method:
    """Return the entry of a model or of a comparator.

    Raises:
      InputError: there is none of this name; the message lists those there are.

    >>> find("mofa").verbs
    ('embed', 'impute', 'translate')
    """
    known = {**MODELS, **COMPARATORS}
    if name not in known:
        raise unknown("model", name, known)
    return known[name]


def is_comparator(name: str) -> bool:
    """Tell whether a name is that of a comparator.

    >>> is_comparator("mofa"), is_comparator("mosa")
    (True, False)
    """
    return name in COMPARATORS


def capabilities(name: str) -> Capabilities:
    """Return what a model or comparator can do, and what its samples may lack.

    >>> capabilities("jamie").missing_views, capabilities("omitrans").reconstruct
    (True, False)
    """
    found = find(name)
    if isinstance(found, Method):
        return found.capabilities
    return Capabilities(
        latent="embed" in found.verbs,
        reconstruct="impute" in found.verbs,
        transform="embed" in found.verbs,
        missing_cells="cells" in found.missing,
        missing_views="views" in found.missing,
        predict="predict" in found.verbs,
    )


def writes_views(name: str) -> bool:
    """Tell whether a model or comparator estimates values of views, from any or from some."""
    return bool({"impute", "translate"} & set(find(name).verbs))


def check_verb(name: str, verb: str) -> None:
    """Raise unless a model or comparator has a verb.

    Raises:
      InputError: it has not; the message names those that have.

    >>> check_verb("mosa", "impute")
    """
    own = find(name).verbs
    if verb not in own:
        able = [known for known in (*MODELS, *COMPARATORS) if verb in find(known).verbs]
        raise InputError(
            f"{name} cannot {verb}: it can {', '.join(own)}; models that can {verb}: "
            f"{', '.join(able) or 'none'}"
        )
