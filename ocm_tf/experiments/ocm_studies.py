"""The ablation studies of the OCM supplement: what each varies, what was published, and how it is scaled down."""

import dataclasses
from typing import NamedTuple

from ocm_tf.experiments.ocm_config import PAPER
from ocm_tf.experiments.ocm_schedule import scheduled_long_term_size
from ocm_tf.experiments.settings import format_value

_COUNTS = ("short_term_capacity", "batch_size")
SCALED = (*_COUNTS, "expansion_threshold")
"""Settings that keep their ratio to the default when a study is scaled down."""

SCHEDULE_BASE = {"trigger": "gt", "seed_duplicate": True}
"""The authors' way of seeding and triggering, from which the published sizes of the long-term memory follow."""

# Departs from the paper: its kernel is the RBF. With that of the authors' code, scores end between 0.7 and 0.8, where
# the published sizes of the long-term memory break off; the figures were most likely made with it.
_SINGLE = {
    "memory": "cooperative",
    "selection": "similar",
    "kernel": "laplace_code",
    "transfer_threshold": 0.6,
    "objective": "elbo",
    "dynamic": False,
    **SCHEDULE_BASE,
}
_DYNAMIC = {**_SINGLE, "dynamic": True}


class PublishedPoint(NamedTuple):
    """One point of a published figure, as measured from it.

    Attributes:
        x: value of the setting that is varied.
        upper: the upper panel, stored samples or components.
        nll: the lower panel, in nats per image.
        doubtful: whether another figure contradicts the NLL.
    """

    x: float
    upper: float
    nll: float
    doubtful: bool = False


@dataclasses.dataclass(frozen=True)
class Study:
    """An ablation study: one setting varied, all else equal.

    Attributes:
        name: its name on the command line and in file names.
        title: what it varies, in words.
        symbol: the varied setting as the paper writes it.
        setting: the varied field of `OCMConfig`.
        points: the published points, `PublishedPoint`, in the order of the figure.
        base: `{setting: value}` of all its runs, at full scale.
        cautions: sentences on what is doubtful in the published figure, and on what a smaller scale alters.
    """

    name: str
    title: str
    symbol: str
    setting: str
    points: tuple[PublishedPoint, ...]
    base: dict
    cautions: tuple[str, ...] = ()

    @property
    def measure(self):
        """What the upper panel shows: the result `memory_samples`, or `num_components` of a model that grows."""
        return "num_components" if self.base["dynamic"] else "memory_samples"

    def label(self, x):
        """Returns the name of the runs at the published value `x`, but for their seed."""
        return f"{self.name}={x:g}"

    def changes(self, x, config, named=()):
        """Returns the settings of the runs at the published value `x`, a dict.

        Args:
            x: the published value.
            config: `OCMConfig` that sets the scale.
            named: settings that the user has named, which win over those of the study.
        """
        base = {name: scaled(name, value, config) for name, value in self.base.items() if name not in named}
        return {**base, self.setting: scaled(self.setting, x, config)}


def scaled(setting, value, config):
    """Translates the value of a setting from full scale to the scale of a preset.

    Numbers of samples and the expansion threshold keep their ratio to the default, so 300 of M = 512 becomes 75 of
    M = 128. A threshold on the kernel score and the kernel's width act through the kernel and stay.

    Args:
        setting: name of a field of `OCMConfig`.
        value: its value at full scale.
        config: `OCMConfig` that sets the scale.
    """
    if setting in _COUNTS:
        return round(value * getattr(config, setting) / getattr(PAPER, setting))
    if setting == "expansion_threshold":
        return value * config.expansion_threshold / PAPER.expansion_threshold
    return value


def _points(xs, uppers, nlls, doubtful=()):
    return tuple(PublishedPoint(*point, point[0] in doubtful) for point in zip(xs, uppers, nlls, strict=True))


_SAME_PAIR = (
    "NLL 142.9 and 129.5 stand at the same two positions of the stm_size and the lambda_1 figure, though the settings "
    "differ: not to be relied on in either."
)
_BATCH_SIZES = (10, 30, 64, 80, 100, 120)

_ALL = (
    Study(
        name="stm_size",
        title="size of the short-term memory, single VAE",
        symbol="short-term memory M (samples)",
        setting="short_term_capacity",
        points=_points(
            (300, 400, 512, 600, 700), (1204, 1609, 1605, 1444, 1324), (142.9, 129.5, 132.1, 133.1, 135.1), (300, 400)
        ),
        base=_SINGLE,
        cautions=(
            _SAME_PAIR,
            "The published size bends where the limit of 4 M is reached, at M = 300 and 400. The shorter stream of "
            "preset small never reaches it.",
            "At a smaller scale M is a few batches only: values that fill within the same number of batches make the "
            "same run.",
        ),
    ),
    Study(
        name="lambda_1",
        title="threshold on the kernel score, single VAE",
        symbol="threshold lambda_1",
        setting="transfer_threshold",
        points=_points(
            (0.4, 0.5, 0.6, 0.7, 0.8), (1609, 1609, 1605, 1567, 64), (142.9, 129.5, 132.1, 135.1, 180.0), (0.4, 0.5)
        ),
        base=_SINGLE,
        cautions=(
            _SAME_PAIR,
            "lambda_1 = 0.8 leaves just the first batch of 64 samples; that fits the kernel of the authors' code.",
        ),
    ),
    Study(
        name="lambda_2",
        title="threshold of the expansion test, dynamic model",
        symbol="threshold lambda_2 (nats)",
        setting="expansion_threshold",
        points=_points((5, 10, 15, 20, 25, 30), (30, 5, 5, 3, 3, 2), (96.5, 127.0, 115.0, 124.0, 121.0, 125.0)),
        base={**_DYNAMIC, "short_term_capacity": 500},
        cautions=("NLL 96.5 at lambda_2 = 5 comes of 30 components and is far below any entry of the paper's tables.",),
    ),
    Study(
        name="batch_size",
        title="batch size, single VAE",
        symbol="batch size (samples)",
        setting="batch_size",
        points=_points(
            _BATCH_SIZES, (1610, 1604, 1680, 1670, 1606, 1605), (128.0, 129.0, 125.0, 132.3, 122.3, 121.2), (64,)
        ),
        base=_SINGLE,
        cautions=(
            "At batch size 64 the settings are those of stm_size = 512 and lambda_1 = 0.6, whose figures show 1605 "
            "samples and NLL 132.1, not 1680 and 125.",
        ),
    ),
    Study(
        name="batch_size_dynamic",
        title="batch size, dynamic model",
        symbol="batch size (samples)",
        setting="batch_size",
        points=_points(_BATCH_SIZES, (5, 4, 5, 4, 8, 7), (124.2, 121.3, 115.0, 117.0, 114.0, 115.5)),
        base=_DYNAMIC,
    ),
    Study(
        name="alpha",
        title="width of the kernel, single VAE",
        symbol="kernel width alpha",
        setting="alpha",
        points=_points(
            (5, 10, 20, 30, 50, 70, 160),
            (161, 1605, 1622, 1609, 1598, 1603, 1605),
            (167.0, 115.9, 132.3, 137.0, 132.0, 136.0, 135.0),
            (10,),
        ),
        base=_SINGLE,
        cautions=(
            "NLL 115.9 at alpha = 10 is that of the dynamic model in the paper's Table 1; a single VAE has 132.07.",
            "alpha = 5 leaves 161 samples; that fits the kernel of the authors' code.",
            "The last value is 160 on the axis and 100 in the text.",
            "The axis of the upper panel is labelled as components; its values are sizes of the long-term memory.",
        ),
    ),
)
STUDIES = {study.name: study for study in _ALL}
"""The studies by name; all are of Split MNIST."""


def full_scale_size(setting, value, num_images=60_000):
    """Computes the size of the long-term memory at full scale, of a single VAE, if every score passes the threshold.

    Args:
        setting: `"short_term_capacity"` or `"batch_size"`.
        value: its value.
        num_images: length of the stream.

    Returns:
        int.
    """
    config = dataclasses.replace(PAPER, **SCHEDULE_BASE, **{setting: value})
    return scheduled_long_term_size(config, num_images // config.batch_size)


def describe_studies(presets):
    """Writes for `--help` what each study varies, in the paper and at the scale of each preset.

    Args:
        presets: `{name: OCMConfig}`.
    """
    lines = ["studies and the values they take, in the paper and in the presets of another scale:"]
    for study in STUDIES.values():
        published = [point.x for point in study.points]
        lines += [f"  {study.name}: {study.title} ({study.setting})", f"      paper: {_listed(published)}"]
        for name, preset in presets.items():
            own = [scaled(study.setting, x, preset) for x in published]
            if own != published:
                lines.append(f"      {name}: {_listed(own)}")
    lines.append(
        "  schedule: sizes of the long-term memory by arithmetic alone, beside the published ones; no training"
    )
    return "\n".join(lines)


def _listed(values):
    return ", ".join(format_value(value).removesuffix(".0") for value in values)
