"""`python -m tests.mutants`: run every mutant and write tests/mutants/table.md."""

import sys

from tests.mutants.run import main

if __name__ == "__main__":  # each test runs in a process that reads this file again
    sys.exit(main())
