"""What OCM's settings and the length of a stream decide before any training: what is stored, how often is updated."""


def scheduled_long_term_size(config, num_batches):
    """Computes how many samples transfer stores over a stream if every score passes the threshold.

    With the authors' way of seeding and triggering this gives the sizes that the paper's supplement plots, such as
    1609 for M = 512. It is also the size of a reservoir with an equal budget.

    Args:
        config: `OCMConfig`.
        num_batches: length of the stream.

    Returns:
        int, for a model that does not grow.
    """
    sizes = [stored for _, stored in _schedule(config, num_batches)]
    return sizes[-1] if sizes else config.batch_size


def scheduled_updates(config, num_batches):
    """Computes how many updates a single model makes over a stream if every score passes the threshold.

    Joint training gets as many, so that it is an upper bound for the memory and not for the computation.

    Args:
        config: `OCMConfig`.
        num_batches: length of the stream.

    Returns:
        int.
    """
    if config.steps_per_batch is not None:
        return config.steps_per_batch * num_batches
    held, updates = config.batch_size, 0
    for num_short, num_long in _schedule(config, num_batches):
        # Transfer follows training and takes samples of the round just ended.
        updates += config.epochs_per_batch * ((num_short + held) // config.batch_size)
        held = num_long
    return updates


def _schedule(config, num_batches):
    # The sizes of the short-term memory after each batch, and of the long-term memory after the round it may end.
    held, full, num_rounds = config.batch_size * config.seed_duplicate, False, 0
    stored = config.batch_size
    for _ in range(num_batches):
        held = config.batch_size + (0 if full else held)
        full = held > config.short_term_capacity or (held == config.short_term_capacity and config.trigger == "ge")
        if full:
            skipped = config.skip_first_round and num_rounds == 0
            if not skipped and stored < config.limit:
                stored += config.max_transferred
            num_rounds += 1
        yield held, stored
