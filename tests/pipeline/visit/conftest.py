"""Where the tests of visits find what they share."""

import sys
from pathlib import Path

# the stages are shared by the test files of this folder, which are no package
sys.path.insert(0, str(Path(__file__).parent))
