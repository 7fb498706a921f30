"""The engine: one run of a tower, its representation as an exact sum of named parts."""

from kit.parts.check import Check
from kit.parts.checked import check, run
from kit.parts.collect import collect
from kit.parts.decomposition import Parts, decompose, pattern, scores
from kit.parts.examine import Examined, examine
from kit.parts.means import Means, load_means
from kit.parts.moments import Moments, load_moments
from kit.parts.roles import heads_of_role, role_shares, roles
from kit.parts.runs import Run
from kit.parts.selector import select
from kit.parts.store_files import load_store
from kit.parts.store_merge import merge_stores
from kit.parts.stores import Store
