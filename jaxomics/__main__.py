"""`python -m jaxomics` is the command `jaxomics`."""

import sys

from jaxomics.cli import main

if __name__ == "__main__":
    sys.exit(main())
