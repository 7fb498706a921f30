"""Everything of notebooks 11 to 16 on real data in one command, and its report."""

from kit.sweep.notebooks import measured
from kit.sweep.reading import read_report
from kit.sweep.runner import Sweep, sweep
from kit.sweep.settings import Settings
