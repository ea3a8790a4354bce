"""What `import ocm_tf` and `--help` may load: the heavy libraries take seconds, and neither has any use for them."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
HEAVY = ("tensorflow", "keras", "tensorflow_datasets", "sklearn", "matplotlib", "scipy.stats")

# In one process, as each library would show up at the first script that loads it.
ASKING_ALL_FOR_HELP = """
import contextlib, io, json, os, runpy, sys

heavy, seen = json.loads(sys.argv[1]), {}
import ocm_tf
seen["import ocm_tf"] = [0, "", [name for name in heavy if name in sys.modules]]
for script in json.loads(sys.argv[2]):
    sys.argv, sys.path[0] = [script, "--help"], os.path.dirname(script)
    status, text = None, io.StringIO()
    try:
        with contextlib.redirect_stdout(text):
            runpy.run_path(script, run_name="__main__")
    except SystemExit as exit:
        status = exit.code
    seen[script] = [status, text.getvalue(), [name for name in heavy if name in sys.modules]]
print(json.dumps(seen))
"""


@pytest.fixture(scope="module")
def started():
    scripts = sorted(str(path) for folder in ("scripts", "benchmarks") for path in (ROOT / folder).glob("*.py"))
    scripts = [path for path in scripts if "__main__" in Path(path).read_text(encoding="utf-8")]
    command = [sys.executable, "-c", ASKING_ALL_FOR_HELP, json.dumps(HEAVY), json.dumps(scripts)]
    return json.loads(subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout)


def test_importing_the_package_loads_no_heavy_library(started):
    assert started["import ocm_tf"][2] == []


def test_every_script_explains_itself_without_loading_a_heavy_library(started):
    scripts = [name for name in started if name != "import ocm_tf"]
    assert len(scripts) > 20
    for name in scripts:
        status, text, loaded = started[name]
        assert (name, status, loaded) == (name, 0, [])
        assert "usage:" in text
