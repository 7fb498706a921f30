"""`python -m tests.mutants`: run every mutant and write tests/mutants/table.md."""

import sys

from tests.mutants.run import main

sys.exit(main())
