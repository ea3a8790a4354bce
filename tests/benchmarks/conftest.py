import sys
from pathlib import Path

# The benchmarks are scripts beside one another; behind all else, so that none hides a package.
sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))
