"""Checks that what does not fit into memory is refused with the arithmetic, before it is taken."""

import numpy as np
import pytest

from ocm_tf import data, free_memory
from ocm_tf.data import image_tree
from ocm_tf.errors import UserError
from ocm_tf.free_memory import free_bytes, require_memory
from ocm_tf.memory import EvolvingMemory, ExemplarMemory, SampleBuffer, ShortTermMemory, TemporaryMemory
from ocm_tf.streams import ExperienceSplit
from tests.data.data_files import image_bytes, write_folder

GB = 10**9


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """Gives a function that pretends a machine, with or without a limit on the process."""

    def pretend(available=8_000_000, **group):
        memory, groups = tmp_path / "meminfo", tmp_path / "self"
        memory.write_text(f"MemTotal:       16000000 kB\nMemAvailable:   {available} kB\nHugePages_Total:       0\n")
        groups.write_text("0::/job\n")
        (tmp_path / "job").mkdir(exist_ok=True)
        for name, content in group.items():
            (tmp_path / "job" / f"memory.{name}").write_text(f"{content}\n")
        for name, path in (("_MEMORY_FILE", memory), ("_GROUP_FILE", groups), ("_GROUPS", tmp_path)):
            monkeypatch.setattr(free_memory, name, path)

    return pretend


def test_knows_the_limits_of_machine_and_group(machine):
    assert free_bytes() is None or free_bytes() > 0
    machine()
    assert free_bytes() == 8_192_000_000
    machine(max="max", current=7, stat="inactive_file 5")
    assert free_bytes() == 8_192_000_000
    machine(max=5 * GB, current=3 * GB, stat=f"anon 9\ninactive_file {GB}")
    assert free_bytes() == 3 * GB
    machine(available=2_000_000)
    assert free_bytes() == 2_048_000_000


def test_a_system_that_does_not_say_refuses_nothing(monkeypatch, tmp_path):
    monkeypatch.setattr(free_memory, "_MEMORY_FILE", tmp_path / "missing")
    assert free_bytes() is None
    require_memory(10**18, "everything")


def test_both_numbers_are_stated(machine):
    machine(available=1_000_000)
    require_memory(1_024_000_000, "just enough")
    with pytest.raises(UserError) as caught:
        require_memory(1_024_000_001, "a memory of 1 sample x 1,024,000,001 bytes")
    assert str(caught.value) == (
        "a memory of 1 sample x 1,024,000,001 bytes needs 1,024,000,001 bytes (1.0 GB) of memory, but only "
        "1,024,000,000 (1.0 GB) are free: make it smaller, or free some"
    )


FAR_TOO_MANY = 10**12
MEMORIES = {
    "buffer": lambda: SampleBuffer(FAR_TOO_MANY, (8, 8, 1)),
    "short-term": lambda: ShortTermMemory(FAR_TOO_MANY, (8, 8, 1), 4),
    "temporary": lambda: TemporaryMemory(FAR_TOO_MANY, (8, 8, 1), 4),
    "clusters": lambda: EvolvingMemory(FAR_TOO_MANY // 5, 5, (8, 8, 1)),
    "exemplars": lambda: ExemplarMemory(FAR_TOO_MANY, (4, 4, 1), "float32"),
}


@pytest.mark.fault("memory too small", "a memory of 10^12 samples")
@pytest.mark.skipif(free_bytes() is None, reason="this system does not say how much memory is free")
@pytest.mark.parametrize("make", MEMORIES.values(), ids=MEMORIES)
def test_a_memory_that_does_not_fit_is_refused(make):
    # 64 bytes of pixels, label and place in the stream.
    with pytest.raises(UserError, match=r"memory of 1,000,000,\d{3},\d{3} samples x 80 bytes needs 80,000,\d"):
        make()


@pytest.mark.fault("memory too small", "a data set larger than the memory said to be free", times=3)
def test_a_data_set_that_does_not_fit_is_refused(machine, tmp_path, monkeypatch):
    images, labels = np.zeros((40, 8, 8), np.uint8), np.arange(40) % 2
    arrays = {"train_images": images, "train_labels": labels, "test_images": images, "test_labels": labels}
    np.savez(tmp_path / "small.npz", **arrays)
    contents = {f"{split}/a/{i}.png": image_bytes(images[0]) for split in ("train", "test") for i in range(3)}
    write_folder(tmp_path / "folder", contents)
    machine(available=3)
    monkeypatch.setattr(free_memory, "_LEAST_ASKED", 1)
    with pytest.raises(UserError, match=r"loading .*small\.npz needs 6,272 bytes .* only 3,072 "):
        data.load(f"npz:{tmp_path / 'small.npz'}")
    machine(available=0)
    with pytest.raises(UserError, match=r"loading .*folder, 6 images x 64 bytes, needs 384 bytes .* only 0 "):
        data.load(f"folder:{tmp_path / 'folder'}")
    experience = ExperienceSplit(images[..., None], labels, rows=np.arange(5))
    with pytest.raises(UserError, match=r"an experience of 5 images x 64 bytes needs 320 bytes .* only 0 "):
        experience.images  # noqa: B018
    machine()
    assert len(experience.images) == 5
    assert len(data.load(f"npz:{tmp_path / 'small.npz'}").train) == 40
    assert image_tree.read_image_tree(tmp_path / "folder", "mine").train.images.shape == (3, 8, 8, 1)
