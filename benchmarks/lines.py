"""What is measured: a line for each kernel, with what it is held against and what it was meant to reach."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Line:
    """One line of the table. Kernels are `"module.name"`, a key of that module's `KERNELS`.

    Attributes:
        name: what `--only` calls it.
        label: what is measured, with its unit of work.
        kernel: the library's.
        yardstick: the direct implementation's, or None.
        peers: `{package: kernel}`.
        gflop: work of one unit in matrix products; None where these do not dominate.
        matmul: the matrix product whose speed is the peak.
        min_ratio: target for the yardstick's CPU time over ours, or None.
        min_share: target for the share of the peak, or None.
        min_peer: target for the peer's CPU time over ours, or None.
    """

    name: str
    label: str
    kernel: str
    yardstick: str | None = None
    peers: dict = field(default_factory=dict)
    gflop: float | None = None
    matmul: str = "vae.matmul_float32"
    min_ratio: float | None = None
    min_share: float | None = None
    min_peer: float | None = None


PEERS = {"pythae": "torch", "avalanche": "torch", "sklearn": "tensorflow"}
"""Packages that a line may be held against, and the framework of the process that runs them."""

# A minibatch of 64 images; a bound of one image; a minibatch of a perceptron for each of its images: forward pass,
# gradients of weights, and of the hidden layer.
_STEP_50, _STEP_1, _BOUND = 4.03, 0.163, 0.414
_PERCEPTRON = 2e-9 * (2 * 784 * 512 + 3 * 512 * 10)
_BF16 = "vae.matmul_bfloat16"


def _scores(num_long_term, target=None):
    name = f"scores_{num_long_term}"
    return Line(name, f"scores, STM 576 x LTM {num_long_term:,} (a)", f"vae.{name}", f"direct_vae.{name}",
                min_ratio=target)  # fmt: skip


LINES = (
    Line("step_50", "VAE step, K=50", "vae.step_50", "direct_vae.step_50", {"pythae": "peer_pythae.iwae_50"},
         _STEP_50, min_ratio=1.5, min_share=0.65, min_peer=2.0),
    Line("step_50_bf16", "VAE step, K=50, bf16 products", "vae.step_50_bf16", "direct_vae.step_50",
         {"pythae": "peer_pythae.iwae_50"}, _STEP_50, _BF16, 2.0, 0.45, 2.9),
    Line("step_1", "VAE step, K=1", "vae.step_1", "direct_vae.step_1", {"pythae": "peer_pythae.vae_1"}, _STEP_1),
    Line("step_1_fused", "VAE step, K=1, fused Adam", "vae.step_1_fused", "direct_vae.step_1",
         {"pythae": "peer_pythae.vae_1"}, _STEP_1),
    Line("step_1_bf16", "VAE step, K=1, bf16 products", "vae.step_1_bf16", "direct_vae.step_1",
         {"pythae": "peer_pythae.vae_1"}, _STEP_1, _BF16),
    Line("evaluation_1", "IWAE-1000, an image", "vae.evaluation_1", "direct_vae.evaluation_1", gflop=_BOUND,
         min_ratio=3.8, min_share=0.55),
    Line("evaluation_1_bf16", "IWAE-1000, an image, bf16 products", "vae.evaluation_1_bf16",
         "direct_vae.evaluation_1", {}, _BOUND, _BF16, 5.0, 0.38),
    # All bounds to choose a component, one of the chosen drawn anew.
    Line("evaluation_5", "IWAE-1000, 5 components", "vae.evaluation_5", "direct_vae.evaluation_5", gflop=6 * _BOUND,
         min_ratio=2.5),
    Line("evaluation_5_bf16", "IWAE-1000, 5 components, bf16 products", "vae.evaluation_5_bf16",
         "direct_vae.evaluation_5", {}, 6 * _BOUND, _BF16, 3.4),
    Line("evaluation_30", "IWAE-1000, 30 components", "vae.evaluation_30", "direct_vae.evaluation_30",
         gflop=31 * _BOUND),
    _scores(64, 45), _scores(500, 100), _scores(1500, 150), _scores(10000),
    Line("round_1000", "selection round, test of 1000 draws (b)", "vae.round_1000", "direct_vae.round_1000",
         gflop=640 * _BOUND),
    Line("round_100", "selection round, test of 100 draws (b)", "vae.round_100", "direct_vae.round_100",
         gflop=64 * _BOUND),
    Line("memory", "memory: append 64, gather 512 + 2,048", "memories.append_and_gather", "memories.one_by_one"),
    Line("two_path", "two-path step, reduced networks", "two_path.step", "two_path.step_op_by_op"),
    Line("two_path_paper", "two-path step, the paper's networks", "two_path.paper_step"),
    Line("mixture_fit", "GMM fit, 20 rounds of 6,000 x 400", "latents.fit", "latents.fit_one_by_one",
         {"sklearn": "latents.fit_sklearn"}),
    Line("mixture_sample", "GMM, 10,000 draws of 400", "latents.sample", "latents.sample_one_by_one"),
    Line("head", "head on cached latents, an image", "latents.head", "latents.head_in_pipeline", min_ratio=2.5),
    Line("naive", "perceptron, naive, an image", "classifiers.naive", "classifiers.keras_fit",
         {"avalanche": "peer_avalanche.naive"}, _PERCEPTRON, min_peer=2.5),
    Line("replay", "perceptron, replay, an image", "classifiers.replay", "classifiers.replay_by_hand",
         {"avalanche": "peer_avalanche.replay"}, 2 * _PERCEPTRON, min_peer=2.5),
    Line("generative", "perceptron, generative replay, an image (c)", "classifiers.generative", None,
         {"avalanche": "peer_avalanche.generative"}),
    Line("model_step", "incremental classifier, a step", "exemplars.model", "exemplars.model_op_by_op"),
    Line("exemplars_all", "exemplar step, all weights, 5 inner steps", "exemplars.all_5", "exemplars.all_5_op_by_op"),
    Line("exemplars_head", "exemplar step, head, 20 inner steps", "exemplars.head_20", "exemplars.head_20_op_by_op"),
    Line("stream", "stream with OCM, an image, end to end", "streams.fit", "streams.by_hand"),
)  # fmt: skip

NOTES = (
    "(a) features and kernel. Yardstick: features of 500 images, a few of 576 rows of pairs, scaled up.",
    "(b) scores at LTM 64, then the bound of all 640 samples. Yardstick: on 64 (1000 draws) or 160 images, scaled up.",
    "(c) ours replays latents from mixtures, Avalanche images from a VAE that it trains: different methods.",
    "The yardstick computes in fp32 throughout. Share: of a large matrix product, measured between the same rounds.",
)
