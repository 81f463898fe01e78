"""Which antibodies of an RPPA bind the same protein? Pairs for `eval/downstream.py --pairs`.

    python eval/same_protein.py $JAXOMICS_DATA/cell_lines/rppa.parquet --out same_protein.tsv

Where no list of complexes is at hand, antibodies against one protein, or its phosphorylated forms,
are pairs that should vary together. Proteins are read from names: what stands before `_p` and a
phosphorylated residue (`Akt_pS473`), a clone in brackets (`Bim(EP1036)`), or `_Caution`.
Expected: 48 pairs of 214 antibodies; docs/results/downstream.md has what they are good for.
"""

import re
from collections.abc import Iterable
from itertools import combinations
from pathlib import Path

import tyro
from tyro.conf import Positional

from jaxomics.data.io import read_indexed
from jaxomics.errors import InputError

BEYOND = re.compile(r"_Caution|_p[STY]\d|\(")
"""Where the name of the protein is over."""


def main(table: Positional[Path], *, out: Path) -> None:
    """Write the pairs of antibodies that a table has as columns, with tabs between the names.

    Raises:
      InputError: no two columns name the same protein.
    """
    pairs = same_protein(map(str, read_indexed(table).columns))
    if not pairs:
        raise InputError(f"{table}: expected antibodies against the same protein, found none")
    out.write_text("".join(f"{a}\t{b}\n" for a, b in pairs), encoding="utf-8")
    print(f"{len(pairs)} pairs")


def same_protein(antibodies: Iterable[str]) -> list[tuple[str, str]]:
    """Return the pairs of antibodies whose names begin with the same protein.

    >>> same_protein(["Akt", "Akt_pS473", "AR", "Bim(CST2933)", "Bim(EP1036)", "p27_Caution"])
    [('Akt', 'Akt_pS473'), ('Bim(CST2933)', 'Bim(EP1036)')]
    """
    protein = {name: BEYOND.split(name)[0].strip() for name in antibodies}
    return [(a, b) for a, b in combinations(protein, 2) if protein[a] == protein[b]]


if __name__ == "__main__":
    try:
        tyro.cli(main)
    except InputError as error:
        raise SystemExit(f"error: {error}") from None
