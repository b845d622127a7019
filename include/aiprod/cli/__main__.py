"""`python -m aiprod.cli`."""

import sys

from aiprod.cli import main

if __name__ == "__main__":
    sys.exit(main())
