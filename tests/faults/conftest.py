"""What the tests of faults share: runs that were never stopped, small disks, directories that nobody may write to."""

import os
import subprocess

import pytest

from tests.killed_runs import finish


@pytest.fixture(scope="session")
def straight(tmp_path_factory):
    """Gives the directory of a finished run that was never stopped and saved nothing on the way; each is made once."""
    made = {}

    def make(run):
        if run not in made:
            output = tmp_path_factory.mktemp("straight") / run.script
            status, errors = finish(run.command(output, "--checkpoint-seconds", "100000"))
            assert status == 0, errors
            made[run] = output
        return made[run]

    return make


@pytest.fixture
def small_disk(tmp_path):
    """Gives a file system of its own with little room, and a function that gives it more."""
    if os.geteuid() != 0:
        pytest.skip("only the superuser may mount a small file system")
    disk = tmp_path / "disk"
    disk.mkdir()

    def mount(size, *options):
        command = ["mount", "-t", "tmpfs", "-o", ",".join([f"size={size}", *options]), "tmpfs", str(disk)]
        return subprocess.run(command, capture_output=True, text=True)

    mounted = mount("256k")
    if mounted.returncode != 0:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.strip()}")

    def resize(size):
        assert mount(size, "remount").returncode == 0

    yield disk, resize
    subprocess.run(["umount", str(disk)], check=True)


@pytest.fixture
def as_user():
    """Gives a function that makes a command heed permissions, which the superuser's processes do not."""
    rights = "-dac_override,-dac_read_search"
    if os.geteuid() != 0:
        return list
    prefix = ["setpriv", f"--bounding-set={rights}", f"--inh-caps={rights}"]
    try:
        subprocess.run([*prefix, "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"the superuser's rights cannot be taken away here: {error}")
    return lambda command: [*prefix, *command]
