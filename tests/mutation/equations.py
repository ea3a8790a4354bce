"""The key equations, and how each can be made wrong."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Mutation:
    """One equation made wrong.

    Attributes:
        name: word for it.
        meaning: what is wrong then.
        path: the file, below `ocm_tf/`.
        right: its text, there exactly once.
        wrong: the text in its place.
        tests: the test files expected to notice, below `tests/`.
    """

    name: str
    meaning: str
    path: str
    right: str
    wrong: str
    tests: tuple[str, ...]


def _mutation(name, meaning, path, right, wrong, *tests):
    return Mutation(name, meaning, path, right, wrong, tests)


MUTATIONS = (
    _mutation(
        "kl_sign",
        "log-variance term of the KL divergence added",
        "metrics/bounds.py",
        "- 1.0 - 2.0 * ops.log(z_std), axis=-1)",
        "- 1.0 + 2.0 * ops.log(z_std), axis=-1)",
        "metrics/test_bounds.py",
    ),
    _mutation(
        "sampled_kl_noise",
        "density of the draw left out of the sampled KL",
        "metrics/bounds.py",
        "ops.square(latents) - ops.square(noise)",
        "ops.square(latents)",
        "metrics/test_bounds.py",
    ),
    _mutation(
        "bound_mean_of_exp",
        "importance-weighted bound without the log of K",
        "metrics/bounds.py",
        "ops.logsumexp(log_weights, axis=axis) - ops.log(num_samples)",
        "ops.logsumexp(log_weights, axis=axis)",
        "metrics/test_bounds.py",
    ),
    _mutation(
        "chunked_bound",
        "evaluation's bound without the log of K",
        "models/vae.py",
        "return total - tf.math.log(tf.cast(num_samples, tf.float32))",
        "return total",
        "models/test_vae.py",
    ),
    _mutation(
        "bernoulli_gradient",
        "gradient of the Bernoulli likelihood with the wrong sign",
        "metrics/bounds.py",
        "(images[:, None] - tf.sigmoid(logits)) * upstream",
        "(tf.sigmoid(logits) - images[:, None]) * upstream",
        "metrics/test_bounds.py",
    ),
    _mutation(
        "loss_sign",
        "the VAE descends its bound",
        "models/vae.py",
        "return -ops.mean(bound(log_likelihoods",
        "return ops.mean(bound(log_likelihoods",
        "models/test_vae.py",
    ),
    _mutation(
        "kernel_form",
        "RBF kernel with alpha in place of its square",
        "memory/kernels.py",
        "exponents *= -distance_scale / (2.0 * alpha**2)",
        "exponents *= -distance_scale / (2.0 * alpha)",
        "memory/test_kernels.py",
    ),
    _mutation(
        "laplace_root",
        "kernel of the released code without its root",
        "memory/kernels.py",
        "    np.sqrt(exponents, out=exponents)\n",
        "",
        "memory/test_kernels.py",
    ),
    _mutation(
        "threshold_direction",
        "samples below the threshold move to long-term memory",
        "memory/selection.py",
        "order[scores[order] > threshold]",
        "order[scores[order] <= threshold]",
        "memory/test_selection.py",
    ),
    _mutation(
        "preference_order",
        "the least similar samples come first",
        "memory/selection.py",
        'np.argsort(-scores, kind="stable")',
        'np.argsort(scores, kind="stable")',
        "memory/test_selection.py",
    ),
    _mutation(
        "reservoir",
        "every newcomer enters the reservoir",
        "memory/selection.py",
        "(rng.random(num_new) * (order + 1))",
        "(rng.random(num_new) * capacity)",
        "memory/test_selection.py",
    ),
    _mutation(
        "expansion_direction",
        "a mixture grows only when the bound rises",
        "callbacks/expansion.py",
        "due = abs(bound - last_bound) > threshold",
        "due = bound - last_bound > threshold",
        "callbacks/test_expansion.py",
    ),
    _mutation(
        "expansion_reference",
        "R_last follows every round",
        "callbacks/expansion.py",
        'return due, bound if due or reference == "every_round" else last_bound',
        "return due, bound",
        "callbacks/test_expansion.py",
    ),
    _mutation(
        "shared_freeze",
        "shared layers go on training after an expansion",
        "models/vae_mixture.py",
        "lambda: self.update(self.loss_of, samples, component),",
        "lambda: self.update(self.loss_of, samples, self.optimized_variables),",
        "models/test_vae_mixture.py",
    ),
    _mutation(
        "bank_order",
        "the decoder of a frozen component gets the encoder's weights",
        "models/growth.py",
        "offset = sum(len(variables_of(other)) for other in before)",
        "offset = 0 * sum(1 for other in before)",
        "models/test_vae_mixture.py",
    ),
    _mutation(
        "routing",
        "images are routed to the component with the lowest bound",
        "models/vae.py",
        "num_samples, batch_size, seed).argmax(axis=1)",
        "num_samples, batch_size, seed).argmin(axis=1)",
        "models/test_vae_mixture.py",
    ),
    _mutation(
        "fresh_optimizer",
        "a new component inherits the optimizer's state",
        "models/vae_mixture.py",
        "        start_afresh(self.optimizer, self.optimized_variables)\n",
        "",
        "models/test_vae_mixture.py",
    ),
    _mutation(
        "critic_sign",
        "the critic prefers samples",
        "models/two_path_losses.py",
        "ops.mean(generated_scores) - ops.mean(image_scores) +",
        "ops.mean(image_scores) - ops.mean(generated_scores) +",
        "models/test_two_path_losses.py",
    ),
    _mutation(
        "generator_sign",
        "the generator lowers the critic's score",
        "models/two_path_losses.py",
        "return vae_loss - adversarial_weight",
        "return vae_loss + adversarial_weight",
        "models/test_two_path_losses.py",
    ),
    _mutation(
        "gradient_penalty",
        "slopes are held to 0",
        "models/two_path_losses.py",
        "ops.square(norms - 1.0)",
        "ops.square(norms)",
        "models/test_two_path_losses.py",
    ),
    _mutation(
        "penalty_place",
        "the slope is taken at the images",
        "models/two_path_losses.py",
        "mix * images + (1.0 - mix) * generated",
        "1.0 * images + 0.0 * generated",
        "models/test_two_path_losses.py",
    ),
    _mutation(
        "strict_path",
        "path 1 trains the encoder where it must not",
        "models/two_path_vae.py",
        'if self.paths == "strict":',
        'if self.paths == "never":',
        "models/test_two_path_vae.py",
    ),
    _mutation(
        "cluster_distance",
        "symmetric distance of one direction",
        "memory/cluster_rules.py",
        "_gaussian_kl(mean_b, std_b, mean_a, std_a)) / 2",
        "_gaussian_kl(mean_a, std_a, mean_b, std_b)) / 2",
        "memory/test_cluster_rules.py",
    ),
    _mutation(
        "cluster_selection",
        "clusters take the worst reconstructions",
        "memory/cluster_rules.py",
        'order = errors if selection == "lowest_error" else -errors',
        'order = -errors if selection == "lowest_error" else errors',
        "memory/test_cluster_rules.py",
    ),
    _mutation(
        "dropped_cluster",
        "of the closest pair the one farther from all others is dropped",
        "memory/cluster_rules.py",
        "return int(min(pair,",
        "return int(max(pair,",
        "memory/test_cluster_rules.py",
    ),
    _mutation(
        "quota_rounding",
        "remainders of a quota are dropped",
        "memory/replay_rules.py",
        "return largest_remainder(buffer_size, shares)",
        "return (buffer_size * shares / shares.sum()).astype(int)",
        "memory/test_replay_rules.py",
    ),
    _mutation(
        "quota_age",
        "older experiences get more of the buffer",
        "memory/replay_rules.py",
        '"inverse_age": 1 / ages,',
        '"inverse_age": ages,',
        "memory/test_replay_rules.py",
    ),
    _mutation(
        "exemplar_quota",
        "the quota of exemplars rounds down",
        "memory/exemplar_rules.py",
        "return -(-total // num_seen)",
        "return total // num_seen",
        "memory/test_exemplar_rules.py",
    ),
    _mutation(
        "herding_order",
        "herding does not move its target",
        "memory/exemplar_rules.py",
        "        wanted += mean - features[pick]\n",
        "",
        "memory/test_exemplar_rules.py",
    ),
    _mutation(
        "forgetting_index",
        "forgetting is measured from the first experience on",
        "metrics/continual_metrics.py",
        "references = np.diag(accuracies)[:-1]",
        "references = accuracies[0, :-1]",
        "metrics/test_continual_metrics.py",
    ),
    _mutation(
        "zero_shot_index",
        "forward transfer is read below the diagonal",
        "metrics/continual_metrics.py",
        "zero_shot = np.diag(accuracies, 1)",
        "zero_shot = np.diag(accuracies, -1)",
        "metrics/test_continual_metrics.py",
    ),
    _mutation(
        "ewc_square",
        "the EWC penalty is of first order",
        "models/ewc.py",
        "fishers * tf.square(variable[None] - anchors)",
        "fishers * tf.abs(variable[None] - anchors)",
        "models/test_ewc.py",
    ),
    _mutation(
        "ewc_online",
        "the online Fisher information forgets nothing by its decay",
        "models/ewc.py",
        "self.decay * fishers.numpy()",
        "fishers.numpy()",
        "models/test_ewc.py",
    ),
    _mutation(
        "distillation_direction",
        "distillation weighs by the student",
        "models/incremental_losses.py",
        "tf.exp(theirs) * (theirs - ours)",
        "tf.exp(ours) * (ours - theirs)",
        "models/test_incremental_losses.py",
    ),
    _mutation(
        "margin_sign",
        "the margin is taken from the wrong side",
        "models/incremental_losses.py",
        "tf.nn.relu(margin - own + rivals)",
        "tf.nn.relu(margin + own - rivals)",
        "models/test_incremental_losses.py",
    ),
    _mutation(
        "seen_classes",
        "classes not seen have a share in the softmax",
        "models/incremental_losses.py",
        "tf.range(tf.shape(logits)[1]) < num_seen, logits,",
        "tf.range(tf.shape(logits)[1]) >= 0, logits,",
        "models/test_incremental_losses.py",
    ),
    _mutation(
        "exemplar_gradient",
        "exemplars are moved up the loss",
        "models/mnemonics.py",
        "exemplars - rates[step] * direction",
        "exemplars + rates[step] * direction",
        "models/test_mnemonics.py",
    ),
    _mutation(
        "exemplar_stop_gradient",
        "no gradient passes through the inner features",
        "models/mnemonics.py",
        "own, theirs = features[:num], features[num:]",
        "own, theirs = tf.stop_gradient(features[:num]), features[num:]",
        "models/test_mnemonics.py",
    ),
    _mutation(
        "exemplar_halves",
        "a half of the old exemplars is trained against itself",
        "models/mnemonics.py",
        "self.train_exemplars(second, *first[:2], rng)",
        "self.train_exemplars(second, *second[:2], rng)",
        "models/test_mnemonics.py",
    ),
)
