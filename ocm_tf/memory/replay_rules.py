"""Rules of replay between experiences: pure functions of counts, random ones of a generator handed in.

Experiences are counted from 0. `experience_index` is the number of the experience at hand, hence that of earlier ones.
"""

import numpy as np

from ocm_tf.memory.class_counts import largest_remainder

QUOTAS = ("even", "inverse_age", "unlimited", "last_g")


def experience_quotas(
    strategy: str, buffer_size: int, experience_index: int, num_train: int | None = None, window: int | None = None
) -> np.ndarray:
    """Says how many samples each earlier experience contributes to a replay  [GLR, Fig. 3].

    `"even"` gives equal shares of the buffer, `"inverse_age"` shares in proportion to 1 / (experience_index - j),
    `"last_g"` equal shares to the `window` latest experiences and nothing to older ones; all add up to the buffer's
    size. `"unlimited"` gives each as many as one experience has, whatever the buffer's size.

    Args:
        strategy: one of `QUOTAS`.
        buffer_size: number of samples of the replay.
        experience_index: number of the experience that is about to be learned.
        num_train: training samples of an experience, for `"unlimited"`.
        window: number of experiences kept, for `"last_g"`.

    Returns:
        int array of shape `(experience_index,)`.

    Raises:
        ValueError: if the strategy is unknown, or lacks its number.

    Example:
        >>> experience_quotas("even", buffer_size=10, experience_index=3)
        array([4, 3, 3])
        >>> experience_quotas("inverse_age", buffer_size=11, experience_index=3)
        array([2, 3, 6])
    """
    if strategy not in QUOTAS:
        raise ValueError(f"strategy must be one of {QUOTAS}, got {strategy!r}.")
    if strategy == "unlimited" and (num_train is None or num_train < 1):
        raise ValueError(f"num_train must be at least 1 for the strategy 'unlimited', got {num_train}.")
    if strategy == "last_g" and (window is None or window < 1):
        raise ValueError(f"window must be at least 1 for the strategy 'last_g', got {window}.")
    if experience_index == 0:
        return np.zeros(0, np.int64)
    if strategy == "unlimited":
        return np.full(experience_index, num_train, np.int64)
    ages = experience_index - np.arange(experience_index)
    shares = {"even": np.ones(len(ages)), "inverse_age": 1 / ages, "last_g": ages <= (window or 0)}[strategy]
    return largest_remainder(buffer_size, shares)


def balanced_rows(
    experiences: np.ndarray, num_new: int, capacity: int, experience_index: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Chooses what an experience-balanced buffer keeps and takes in  [Avalanche, ExperienceBalancedBuffer].

    After e experiences each holds capacity // e samples, the first ones one more where that leaves a remainder.

    Args:
        experiences: int array, the experience of each sample in the buffer.
        num_new: samples of the experience just learned.
        capacity: size of the buffer.
        experience_index: number of that experience.
        rng: `numpy.random.Generator`.

    Returns:
        kept: int array of rows of the buffer, in their order.
        taken: int array of rows of the experience, without repetition.
    """
    quotas = experience_quotas("even", capacity, experience_index + 1)
    rows = [np.flatnonzero(experiences == index) for index in range(experience_index)]
    kept = [rng.permutation(group)[:quota] for group, quota in zip(rows, quotas, strict=False)]
    taken = rng.permutation(num_new)[: quotas[-1]]
    return np.sort(np.concatenate([np.zeros(0, np.int64), *kept])), taken


def overwritten_slots(
    num_filled: int, num_new: int, capacity: int, experience_index: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Chooses which slots of a latent replay buffer an experience takes over  [Pellegrini et al., 2020; GLR code].

    min(capacity // (experience_index + 1), num_new) of its samples overwrite as many random slots; those of the first
    experience fill the empty buffer.

    Args:
        num_filled: slots in use.
        num_new: samples of the experience just learned.
        capacity: size of the buffer.
        experience_index: number of that experience.
        rng: `numpy.random.Generator`.

    Returns:
        slots: int array of distinct slots.
        taken: int array of as many distinct rows of the experience.
    """
    num_taken = min(capacity // (experience_index + 1), num_new)
    if experience_index == 0:
        # In their order, so that samples which a generator sorted by class stay so, as in the code.
        return np.arange(num_taken), np.sort(rng.permutation(num_new)[:num_taken])
    num_taken = min(num_taken, num_filled)
    return rng.permutation(num_filled)[:num_taken], rng.permutation(num_new)[:num_taken]


def released_batch_split(num_train: int, buffer_size: int, batch_size: int) -> tuple[int, int]:
    """Computes the shares of a batch as the authors' code does, where a larger buffer means more replay in it.

    num_current = max(1, num_train // ((num_train + buffer_size) // batch_size))

    Args:
        num_train: training samples of the experience.
        buffer_size: samples of the replay.
        batch_size: samples of a batch, at most those of both.

    Returns:
        num_current, num_replayed: ints that add up to `batch_size`, unless the former is larger.

    Raises:
        ValueError: if there are fewer samples than a batch holds.

    Example:
        >>> released_batch_split(num_train=60000, buffer_size=1500, batch_size=64)
        (62, 2)
    """
    if num_train + buffer_size < batch_size:
        raise ValueError(
            f"batch_size must be at most the number of samples, {num_train} + {buffer_size}, got {batch_size}."
        )
    num_current = max(1, num_train // ((num_train + buffer_size) // batch_size))
    return num_current, max(0, batch_size - num_current)


def replayed_rows(num_held: int, num_wanted: int, rng: np.random.Generator | None = None) -> np.ndarray:
    """Goes round and round a buffer.

    Args:
        num_held: rows of the buffer, at least 1 unless none are wanted.
        num_wanted: rows of the result.
        rng: `numpy.random.Generator` that shuffles each round; None leaves all in order.

    Returns:
        int array of shape `(num_wanted,)`, in which the counts of any two rows differ by one at most.

    Raises:
        ValueError: if rows are wanted from an empty buffer.

    Example:
        >>> replayed_rows(num_held=3, num_wanted=7)
        array([0, 1, 2, 0, 1, 2, 0])
    """
    if num_wanted == 0:
        return np.zeros(0, np.int64)
    if num_held == 0:
        raise ValueError(f"num_held must be at least 1 where {num_wanted} rows are wanted, got 0.")
    if rng is None:
        # Departs from the paper: in its code a slice that wraps around is empty, so one step an epoch has no replay.
        return np.arange(num_wanted) % num_held
    rounds = [rng.permutation(num_held) for _ in range(-(-num_wanted // num_held))]
    return np.concatenate(rounds)[:num_wanted]
