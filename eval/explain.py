"""Are explanations right? Planted biomarkers of a simulated cohort, and known facts of real lines.

    python eval/explain.py planted --out runs/planted --size small
    python eval/explain.py facts --run run --out runs/facts

`planted` trains `recommended` on the simulated cohort, explains all drugs with four methods and
ranks the biomarkers that the simulation planted among all features, beside correlation and
permutation of features (eval/planted.py). Of one drug it measures convergence and quality
(eval/trust.py).

`facts` explains drugs and dependencies of a run trained on the cell-line tables, or reads the
folder that `jaxomics explain run --target view:drug --top 2000` has written, and ranks the genes
that are known to drive them (eval/facts.py).

On 2 cores `planted --members 1 --draws 32 --samples 100 --studied 1` takes ten minutes, half of
them to compile the convergence study; the defaults take several times as long. `facts` computes
about 40 minutes for all lines, or 2 with `--draws 32 --samples 500`.

Expected: docs/results/attribution.md.
"""

import tyro
from facts import Facts, facts
from planted import Planted, planted


def main(options: Planted | Facts) -> None:
    """Do one of the two studies."""
    if isinstance(options, Planted):
        planted(options)
    else:
        facts(options)


if __name__ == "__main__":
    main(tyro.cli(Planted | Facts))
