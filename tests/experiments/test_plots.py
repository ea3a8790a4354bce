"""Checks the figures and the comparison on run directories written here, with real 8x8 digits in them."""

import csv
import importlib.util
import json
import os
import pathlib
import subprocess
import sys

import matplotlib.image
import matplotlib.text
import numpy as np
import pytest
from sklearn.datasets import load_digits

from ocm_tf.errors import UserError
from ocm_tf.experiments import (
    classification_plots,
    compared_runs,
    comparison_plots,
    domain_plots,
    figures,
    ocm_plots,
    plots,
    tfdsvit_plots,
)

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
DIGITS = load_digits()
# A figure that needs the file.
READERS = {"config.json": "samples", "results.json": "class_nll", "metrics.csv": "training"}
READERS["observations.npz"] = "samples"
ENERGY = {"energy": 30.0, "threshold": 42.0}
# What a run on a single domain has.
FIGURES = [*ocm_plots.FIGURES, *classification_plots.FIGURES, *tfdsvit_plots.FIGURES]


def images_of(labels, random, size=8, channels=1):
    """Draws one real digit per label, enlarged to `size` and tinted if there are three channels."""
    chosen = [random.choice(np.flatnonzero(DIGITS.target == label % 10)) for label in labels]
    images = DIGITS.images[chosen] * (255 / 16)
    places = np.arange(size) * 8 // size
    tints = np.stack([np.ones(len(chosen)), *random.uniform(0.3, 1, (2, len(chosen)))], axis=-1)[:, :channels]
    return (images[:, places][:, :, places, None] * tints[:, None, None]).astype(np.uint8)


def simulate(num_rounds, num_classes, random, batches_per_round=9, moved=15, limit=1000):
    """Simulates the memories of a class-sorted stream: rows of metrics, and what the last round saw."""
    num_batches = num_rounds * batches_per_round + 5
    starts = np.arange(num_classes) * num_batches // num_classes
    phase_of = np.searchsorted(starts, np.arange(num_batches), side="right") - 1
    rows, long_term, components, contents, scores = [], [0] * 64, 1, [], []
    for step in range(1, num_batches + 1):
        since = step - 1 - starts[phase_of[step - 1]]
        short = (step % batches_per_round) * 64
        loss = 110 + 90 * np.exp(-since / 15) + 300 * np.exp(-step / 4) + random.normal(0, 4)
        if step % batches_per_round == 0:
            newest = phase_of[step - batches_per_round : step].repeat(64)
            score = random.beta(9, 4 + 3 * np.sin(step / 40) ** 2, len(newest))
            picked = np.isin(np.arange(len(newest)), np.argsort(-score)[:moved]) & (len(long_term) < limit)
            bound = -loss - 10 * since / 90
            expanded = since < batches_per_round and step > 4 * batches_per_round and components < 5
            long_term = long_term[:0] if expanded else long_term
            components += expanded
            long_term = long_term + list(newest[picked])
            values = {
                "bound": bound, "expanded": int(expanded), "num_components": components,
                "num_transferred": picked.sum(), "long_term_size": len(long_term), "score_mean": score.mean(),
                "memory_bound": bound + 5, "test_bound": bound - 300 / step,
            }  # fmt: skip
            counts = np.bincount(np.array(long_term, int), minlength=num_classes)
            values |= {f"long_term_class_{c}": counts[c] for c in range(num_classes)}
            rows += [(step, "round", "", name, value) for name, value in values.items()]
            contents.append((step, list(long_term)))
            scores.append((step, score, picked))
        values = {
            "loss": loss, "short_term_size": short or 64, "long_term_size": len(long_term),
            "num_components": components,
        }  # fmt: skip
        rows += [(step, "train", "", name, value) for name, value in values.items()]
    return rows, starts, contents, scores


def write_run(path, num_rounds=6, num_classes=10, size=8, channels=1, seed=0, names=None, dataset="digits"):
    """Writes a whole run directory as a finished run leaves it."""
    random = np.random.default_rng(seed)
    path.mkdir(parents=True)
    rows, starts, contents, scores = simulate(num_rounds, num_classes, random)
    settings = {"transfer_threshold": 0.6, "select": "similar"}
    config = {"script": "ocm_split_mnist", "preset": "tiny", "seed": seed, "dataset": dataset}
    (path / "config.json").write_text(json.dumps({**config, "settings": settings, "changes": {"alpha": 5.0}}))
    class_nll = random.normal(115, 12, num_classes)
    metrics = {"nll": class_nll.mean(), "log_likelihood": -class_nll.mean()}
    metrics |= {f"nll_class_{c}": value for c, value in enumerate(class_nll)}
    # No run measures all of this; here every figure finds what it shows.
    accuracies = random.uniform(20, 100, num_classes)
    metrics["average_accuracy"] = accuracies.mean()
    for c, accuracy in enumerate(accuracies):
        first = random.uniform(0, 100)
        metrics |= {f"accuracy_task_{c + 1}": accuracy, f"accuracy_class_{c}": accuracy}
        metrics |= {f"routing_component_0_class_{c}": first, f"routing_component_1_class_{c}": 100 - first}
    results = {
        "experiment": "ocm_split_mnist", "preset": "tiny", "seed": seed, "dataset": dataset,
        "metrics": metrics, "paper": {"nll": 132.07}, "memory_samples": len(contents[-1][1]),
        "memory_bytes": 1, "num_components": 5, "wall_seconds": 12.5, "finished": True,
    }  # fmt: skip
    (path / "results.json").write_text(json.dumps(results))
    last = contents[-1][0]
    rows += [(step, "train", "", "num_experts", 1 + step // 40) for step in range(1, last + 1)]
    rows += [(step, "round", "", name, value) for step, _ in contents for name, value in ENERGY.items()]
    rows += [(last, "evaluate", "", name, value) for name, value in metrics.items()]
    with (path / "metrics.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("step", "stage", "experience", "metric", "value"), *rows])
    test = images_of(random.integers(0, num_classes, 64), random, size, channels)
    noise = random.normal(0, 0.08, test.shape)
    shown = [random.permutation(held)[:64] for _, held in contents]
    grids = np.zeros((len(shown), *test.shape), np.uint8)
    for grid, labels in zip(grids, shown, strict=True):
        grid[: len(labels)] = images_of(labels, random, size, channels)
    np.savez_compressed(
        path / "observations.npz",
        class_names=names or [str(c) for c in range(num_classes)], phase_starts=starts, test_images=test,
        test_inputs=np.where(random.random(test.shape) < test / 255, 255, 0).astype(np.uint8),
        reconstructions=np.clip(test / 255 + noise, 0, 1), generated=np.clip(test[::-1] / 255 + noise, 0, 1),
        long_term_steps=[step for step, _ in contents], long_term_grids=grids,
        long_term_counts=[len(labels) for labels in shown], score_steps=[step for step, _, _ in scores],
        scores=np.stack([score for _, score, _ in scores]).astype(np.float32), batch_size=64,
        stream_labels=np.sort(np.arange(64 * last) % num_classes),
        score_picked=np.stack([picked for _, _, picked in scores]),
    )  # fmt: skip
    return path


def edit_observations(run, **changes):
    """Replaces arrays of a run's observations; None removes one."""
    with np.load(run / "observations.npz") as stored:
        arrays = {**stored, **changes}
    np.savez(run / "observations.npz", **{name: array for name, array in arrays.items() if array is not None})


def pixels(path):
    """Reads a drawn figure as floats in [0, 1]."""
    return matplotlib.image.imread(path)[..., :3]


@pytest.fixture(scope="module")
def digits_run(tmp_path_factory):
    """A run on 8x8 digits; tests only read it."""
    return write_run(tmp_path_factory.mktemp("runs") / "digits")


@pytest.fixture
def own_run(tmp_path):
    """A run a test may damage."""
    return write_run(tmp_path / "run", num_rounds=2, num_classes=2)


class TestFigures:
    def check(self, run, paths, names=FIGURES):
        assert paths == [run / "figures" / f"{name}.png" for name in names]
        assert set((run / "figures").iterdir()) == set(paths)
        for path in paths:
            assert pixels(path).std() > 0.05, f"{path.name} is nearly blank"
            assert path.stat().st_size < 500_000

    def test_draws_all_for_small_grey_digits(self, digits_run):
        self.check(digits_run, figures.draw_all(digits_run))

    def test_draws_all_for_colour_images_of_two_classes(self, tmp_path):
        names = ["airplane", "automobile"]
        run = write_run(tmp_path / "run", 3, 2, size=32, channels=3, names=names, dataset="cifar10")
        self.check(run, figures.draw_all(run))

    def test_draws_long_runs_of_many_classes(self, tmp_path):
        run = write_run(tmp_path / "run", num_rounds=150, num_classes=100)
        names = ["memory_classes", "scores", "class_nll"]
        self.check(run, figures.draw_all(run, names), names)

    def test_draws_a_score_that_never_varies(self, own_run):
        edit_observations(own_run, scores=np.ones((2, 576), np.float32))
        assert ocm_plots.plot_scores(plots.RunFiles(own_run)) is not None

    def test_leaves_out_what_was_not_recorded(self, own_run):
        table = (own_run / "metrics.csv").read_text().splitlines()
        kept = [line for line in table if ",round," not in line and ",train," not in line]
        (own_run / "metrics.csv").write_text("\n".join(kept) + "\n")
        nothing = dict.fromkeys(("reconstructions", "generated", "long_term_steps", "scores", "phase_starts"))
        edit_observations(own_run, **nothing)
        self.check(own_run, figures.draw_all(own_run), ["class_nll", "task_accuracy", "routing"])
        results = json.loads((own_run / "results.json").read_text())
        (own_run / "results.json").write_text(json.dumps({**results, "metrics": {"nll": 1.0}}))
        assert figures.draw_all(own_run) == []
        edit_observations(own_run, scores=np.full((2, 576), np.nan, np.float32))
        assert ocm_plots.plot_scores(plots.RunFiles(own_run)) is None

    def test_names_the_run_and_its_units(self, digits_run):
        figure = ocm_plots.plot_bound(plots.RunFiles(digits_run))
        texts = [artist.get_text() for artist in figure.findobj(matplotlib.text.Text)]
        assert "ocm_split_mnist · digits · preset tiny · seed 0 · alpha=5.0" in texts
        assert "mean bound (nats per image)" in texts

    def test_marks_phases_between_their_batches_and_growth_at_its_round(self, own_run):
        (own_run / "metrics.csv").write_text(
            "step,stage,experience,metric,value\n"
            "9,round,,bound,-100\n9,round,,expanded,0\n18,round,,bound,-120\n18,round,,expanded,1\n"
        )
        edit_observations(own_run, phase_starts=np.array([0, 11]))
        axis = ocm_plots.plot_bound(plots.RunFiles(own_run)).axes[0]
        bound, growth, phase = axis.lines
        assert list(bound.get_xdata()) == [9, 18] and list(bound.get_ydata()) == [-100, -120]
        assert list(growth.get_xdata()) == [18]
        assert list(phase.get_xdata()) == [11.5, 11.5]

    def test_shows_the_memory_at_four_moments(self, own_run):
        grids = np.zeros((10, 64, 8, 8, 1), np.uint8)
        steps = np.arange(10, 110, 10)
        counts = np.arange(10)
        edit_observations(own_run, long_term_steps=steps, long_term_grids=grids, long_term_counts=counts)
        figure = ocm_plots.plot_memory_grid(plots.RunFiles(own_run))
        titles = [axis.get_title(loc="left") for axis in figure.axes]
        assert titles == ["after batch 10", "after batch 40", "after batch 70", "after batch 100"]

    def test_shows_the_paper_value_only_if_there_is_one(self, own_run):
        def legend():
            axis = ocm_plots.plot_class_nll(plots.RunFiles(own_run)).axes[0]
            return [text.get_text() for text in axis.get_legend().get_texts()]

        assert "paper, full scale: 132.07" in legend()
        results = json.loads((own_run / "results.json").read_text())
        (own_run / "results.json").write_text(json.dumps({**results, "paper": {"nll": None}}))
        assert len(legend()) == 1


def give_domains(run, names=("digits", "letters"), num_components=3):
    """Adds to a run what one on a stream of several domains records besides."""
    edit_observations(run, domain_names=np.array(names), domain_starts=np.array([0, 9][: len(names)]))
    results = json.loads((run / "results.json").read_text())
    with (run / "metrics.csv").open("a", newline="") as file:
        for number, name in enumerate(names):
            shares = np.eye(num_components)[number % num_components] * 0.9 + 0.1 / num_components
            results["metrics"] |= {f"nll_{name}": 100.0 + number, f"num_test_{name}": 50}
            results["metrics"] |= {f"routed_{name}_component_{k}": share for k, share in enumerate(shares)}
            rows = [(9, 20 - number), (18, 10 + number)]
            file.writelines(f"{step},round,,stored_{name},{count}\n" for step, count in rows)
            file.writelines(f"{step},round,,stored_classes_{name},{count // 5}\n" for step, count in rows)
    (run / "results.json").write_text(json.dumps(results))


class TestDomainFigures:
    def test_draws_all_of_a_stream_of_several_domains(self, own_run):
        give_domains(own_run)
        TestFigures().check(
            own_run,
            figures.draw_all(own_run),
            [name for name in figures.FIGURES if name in {*FIGURES, *domain_plots.FIGURES}],
        )

    def test_shows_shares_and_counts_as_recorded(self, own_run):
        give_domains(own_run)
        run = plots.RunFiles(own_run)
        routing = domain_plots.plot_domain_routing(run).axes[0]
        shown = routing.images[0].get_array()
        np.testing.assert_allclose(shown[0], [0.9 + 0.1 / 3, 0.1 / 3, 0.1 / 3])
        assert [text.get_text() for text in routing.texts] == ["93%", "3%", "3%", "3%", "93%", "3%"]
        assert [label.get_text() for label in routing.get_yticklabels()] == ["digits", "letters"]
        memory = domain_plots.plot_domain_memory(run).axes[0]
        # What is stored stays so until the end of the stream.
        assert memory.lines[0].get_ydata().tolist() == [20, 10, 10]
        legend = [text.get_text() for text in memory.get_legend().get_texts()]
        assert legend == ["digits: 10 at the end", "letters: 11 at the end"]
        nll = domain_plots.plot_domain_nll(run).axes[0]
        assert [bar.get_width() for bar in nll.patches] == [100.0, 101.0]

    def test_marks_the_start_of_a_domain_apart_from_that_of_a_phase(self, own_run):
        give_domains(own_run)
        edit_observations(own_run, phase_starts=np.array([0, 4, 9]))
        axis = domain_plots.plot_domain_memory(plots.RunFiles(own_run)).axes[0]
        phase, domain = (line for line in axis.lines if len(set(line.get_xdata())) == 1)
        assert (phase.get_xdata()[0], domain.get_xdata()[0]) == (4.5, 9.5)
        assert phase.get_color() == plots.GREY and domain.get_color() == plots.INK

    def test_leaves_out_what_a_single_domain_or_component_has_not(self, own_run):
        give_domains(own_run, num_components=1)
        assert domain_plots.plot_domain_routing(plots.RunFiles(own_run)) is None
        give_domains(own_run, names=("digits",))
        assert all(plot(plots.RunFiles(own_run)) is None for plot in domain_plots.FIGURES.values())


class TestTile:
    def test_places_images_row_by_row_and_pads_with_grey(self):
        images = np.stack([np.full((28, 28, 1), value, np.uint8) for value in (0, 51, 255)])
        picture = plots.tile(images, num_tiles=4, columns=2)
        assert picture.shape == (58, 58, 3)  # two images of 28 and a gap of 2
        assert np.allclose(picture[:28, :28], 0) and np.allclose(picture[:28, 30:], 0.2)
        assert np.allclose(picture[30:, :28], 1) and np.allclose(picture[30:, 30:], 0.92)
        assert np.allclose(picture[28:30], 1) and np.allclose(picture[:, 28:30], 1)

    def test_enlarges_small_images_and_clips_floats(self):
        picture = plots.tile(np.array([-1, 0.5, 7]).reshape(3, 1, 1, 1).repeat(8, 1).repeat(8, 2), 3, 3)
        assert picture.shape == (32, 100, 3)  # eight pixels are shown as 32
        assert np.allclose(picture[5, [5, 40, 80], 0], [0, 0.5, 1])


class TestBadFiles:
    @pytest.mark.parametrize(("name", "figure"), READERS.items())
    @pytest.mark.parametrize("content", [None, b"", b"\x80\xff not text", b"PK\x03\x04 cut off", b"[1, 2]"])
    def test_damage_is_a_user_error_that_names_the_file(self, own_run, name, figure, content):
        if content is None:
            (own_run / name).unlink()
        else:
            (own_run / name).write_bytes(content)
        with pytest.raises(UserError, match=name) as caught:
            figures.draw_all(own_run, [figure])
        assert "\n" not in str(caught.value)

    def test_truncated_archive_bare_array_and_pickled_objects(self, own_run):
        path = own_run / "observations.npz"
        edit_observations(own_run, generated=np.array([{"a": 1}], dtype=object))
        pickled = path.read_bytes()
        np.save(own_run / "array.npy", np.zeros(3))
        for content in (pickled, pickled[:-2000], (own_run / "array.npy").read_bytes()):
            path.write_bytes(content)
            with pytest.raises(UserError, match=r"observations\.npz is damaged"):
                figures.draw_all(own_run, ["samples"])

    def test_unknown_figure(self, own_run):
        with pytest.raises(UserError, match="no figure named histogram; choose from reconstructions"):
            figures.draw_all(own_run, ["histogram"])

    def test_failed_drawing_keeps_the_old_figure(self, tmp_path):
        (tmp_path / "a.png").write_text("old")
        figure = plots.new_figure("title", "subtitle", 3, 2)
        figure.text(0, 0, "$\\no such command$")
        with pytest.raises(ValueError, match="no"):
            plots.save_figure(figure, tmp_path / "a.png")
        assert [path.read_text() for path in tmp_path.iterdir()] == ["old"]


def write_result(root, name, nll, memory=1000, components=1, classes=(), **more):
    """Writes the results of one run of a comparison."""
    (root / name).mkdir(parents=True)
    metrics = {"nll": nll, **{f"nll_class_{c}": value for c, value in enumerate(classes)}}
    counts = {"memory_samples": memory, "num_components": components, "wall_seconds": 60}
    paper = {"nll": 132.07 if name.startswith("similar") else None}
    results = {"dataset": "mnist", "preset": "small", "metrics": metrics, "paper": paper, "finished": True}
    results |= {**counts, **more}
    (root / name / "results.json").write_text(json.dumps(results))


def write_accuracy(root, name, accuracies, paper=None):
    """Writes the results of one run of a comparison of classifiers."""
    metrics = {f"accuracy_task_{task}": accuracy for task, accuracy in enumerate(accuracies, 1)}
    metrics["average_accuracy"] = float(np.mean(accuracies))
    write_result(root, name, 0.0, metrics=metrics, paper={"average_accuracy": paper})


@pytest.fixture
def comparison(tmp_path):
    """Three settings, one of them with an unfinished seed and one without results at all."""
    root = tmp_path / "comparison"
    write_result(root, "similar-seed0", 118.0, 1600, wall_seconds=100, classes=(100.0, 136.0))
    write_result(root, "similar-seed1", 120.0, 1610, wall_seconds=110, classes=(104.0, 136.0))
    write_result(root, "similar-seed10", 125.0, 1610, wall_seconds=120, classes=(108.0, 142.0))
    write_result(root, "random-seed0", 109.0, 1804, classes=(100.0, 118.0))
    write_result(root, "dynamic-similar-seed0", 105.0, 1100, 4, classes=(90.0, 120.0))
    write_result(root, "dynamic-similar-seed1", 106.0, 1200, 5, classes=(90.0, 122.0))
    write_result(root, "dynamic-similar-seed2", 999.0, finished=False)
    (root / "none-seed0").mkdir()
    (root / "figures").mkdir()
    return root


class TestComparison:
    def test_collects_runs_and_tells_the_unfinished(self, comparison):
        rows = compared_runs.collect(comparison)
        assert [(row.label, row.seed) for row in rows] == [
            ("dynamic-similar", 0), ("dynamic-similar", 1), ("dynamic-similar", 2), ("none", 0),
            ("random", 0), ("similar", 0), ("similar", 1), ("similar", 10),
        ]  # fmt: skip
        assert [row.finished for row in rows] == [True, True, False, False, True, True, True, True]
        assert rows[2].value is None and np.isnan(rows[2].num_components)

    def test_averages_finished_seeds(self, comparison):
        dynamic, similar, random = compared_runs.summarise(
            compared_runs.collect(comparison), ["dynamic-similar", "similar"]
        )
        # Deviations of 118, 120, 125 from their mean 121 are -3, -1, 4: variance 26 / 2.
        assert similar.values.mean() == 121 and similar.std == pytest.approx(13**0.5)
        assert similar.part_values == {0: 104.0, 1: 138.0}
        assert random.std is None
        assert (dynamic.memory_samples, dynamic.num_components) == (1150, 4.5)

    def test_writes_the_table_in_the_order_given_or_by_nll(self, comparison):
        rows = compared_runs.collect(comparison)
        similar = "| similar | 1,607 | 1 | 121.00 ± 3.61 | 132.07 | 110 | 3 |"
        random = "| random | 1,804 | 1 | 109.00 | – | 60 | 1 |"
        dynamic = "| dynamic-similar | 1,150 | 4.5 | 105.50 ± 0.71 | – | 60 | 2 |"
        head = "| label | memory (samples) | components | NLL (nats per image) | paper, full scale | seconds | n |"
        table = comparison_plots.comparison_table(rows).splitlines()
        assert [table[0], *table[2:]] == [head, random, similar, dynamic]
        table = comparison_plots.comparison_table(rows, ["similar", "absent", "dynamic-similar"]).splitlines()
        assert table[2:] == [similar, dynamic, random]

    def test_draws_seeds_and_means(self, comparison):
        figure = comparison_plots.plot_comparison(compared_runs.collect(comparison), ["similar"])
        points, class_map = figure.axes[:2]
        labels = [label.get_text() for label in points.get_yticklabels()]
        assert labels == ["similar", "random", "dynamic-similar"]
        assert list(points.lines[0].get_xdata()) == [118, 120, 125]
        colours = {line.get_color() for line in points.lines if line.get_marker() == "D"}
        assert len(colours) == 2
        behind_best = class_map.images[0].get_array()
        assert behind_best.tolist() == [[14, 20], [10, 0], [0, 3]]

    def test_draws_the_values_of_the_paper_where_it_has_them(self, comparison):
        axis = comparison_plots.plot_comparison(compared_runs.collect(comparison), ["similar"]).axes[0]
        # One of each label, not a number where the paper has none; the caps of deviations are shorter.
        marks = [line.get_xdata()[0] for line in axis.lines if line.get_markersize() == 14]
        np.testing.assert_array_equal(marks, [132.07, np.nan, np.nan])
        assert "paper, full scale" in [text.get_text() for text in axis.get_legend().get_texts()]

    def test_accuracy_is_compared_where_it_was_measured_and_the_highest_is_best(self, tmp_path):
        write_accuracy(tmp_path, "finetune-seed0", (0, 40))
        write_accuracy(tmp_path, "reservoir-seed0", (80, 90), paper=92.16)
        write_accuracy(tmp_path, "reservoir-seed1", (84, 90), paper=92.16)
        rows = compared_runs.collect(tmp_path)
        table = comparison_plots.comparison_table(rows).splitlines()
        assert "| average accuracy (%) |" in table[0]
        # Deviations of 85 and 87 from their mean: variance 1 + 1.
        assert table[2] == "| reservoir | 1,000 | 1 | 86.00 ± 1.41 | 92.16 | 60 | 2 |"
        assert table[3] == "| finetune | 1,000 | 1 | 20.00 | – | 60 | 1 |"
        points, task_map = comparison_plots.plot_comparison(rows).axes[:2]
        assert points.get_xlabel() == "average accuracy (%, higher is better)"
        assert task_map.images[0].get_array().tolist() == [[0, 0], [82, 50]]
        assert [label.get_text() for label in task_map.get_xticklabels()] == ["1", "2"]

    def test_dominant_tasks_are_averaged_within_a_seed(self, tmp_path):
        for seed, accuracies in enumerate(((50, 70), (60, 72))):
            for dominant, accuracy in zip((1, 10), accuracies, strict=True):
                write_accuracy(tmp_path, f"dynamic-ocm-dominant{dominant}-seed{seed}", (accuracy,))
        (tmp_path / "ocm-dominant2-seed0").mkdir()
        rows = compared_runs.collect(tmp_path)
        assert [row.name for row in rows if row.label == "dynamic-ocm"] == [
            "dynamic-ocm-dominant1-seed0", "dynamic-ocm-dominant10-seed0",
            "dynamic-ocm-dominant1-seed1", "dynamic-ocm-dominant10-seed1",
        ]  # fmt: skip
        (summary,) = compared_runs.summarise(rows)
        assert summary.values.tolist() == [60, 66] and summary.part_values == {1: 63}
        _, missing = comparison_plots.draw_comparison(tmp_path)
        assert [row.name for row in missing] == ["ocm-dominant2-seed0"]

    def test_runs_that_measure_different_things_are_not_compared(self, tmp_path):
        write_accuracy(tmp_path, "finetune-seed0", (0, 40))
        write_result(tmp_path, "similar-seed0", 118.0)
        with pytest.raises(UserError, match="they measure NLL, average accuracy"):
            compared_runs.collect(tmp_path)

    def test_tells_of_each_domain(self, tmp_path):
        for seed, first in ((0, 80.0), (1, 82.0)):
            write_result(tmp_path, f"similar-seed{seed}", 100.0)
            path = tmp_path / f"similar-seed{seed}" / "results.json"
            results = json.loads(path.read_text())
            results["metrics"] |= {"nll_a": first, "num_test_a": 3, "stored_a": 7}
            results["metrics"] |= {"nll_b": 120.0, "num_test_b": 3, "stored_b": 0}
            path.write_text(json.dumps(results))
        rows = compared_runs.collect(tmp_path)
        lines = comparison_plots.comparison_table(rows).splitlines()
        assert "| paper, full scale | a: NLL (stored) | b: NLL (stored) | seconds |" in lines[0]
        assert "| 81.00 (7) | 120.00 (0) |" in lines[2]
        assert lines[0].count("|") == lines[1].count("|") == lines[2].count("|")
        columns = comparison_plots.plot_comparison(rows).axes[1]
        assert [label.get_text() for label in columns.get_xticklabels()] == ["a", "b"]
        assert "NLL per domain" in columns.get_title(loc="left")

    def test_tells_the_bytes_of_what_is_remembered_where_runs_do(self, tmp_path):
        write_result(tmp_path, "packed-seed0", 100.0, 14432, memory_bytes=1_414_336)
        write_result(tmp_path, "similar-seed0", 118.0, 1804)
        table = comparison_plots.comparison_table(compared_runs.collect(tmp_path))
        assert "| memory (samples) | memory (kB) | components |" in table
        assert "| packed | 14,432 | 1,414 | 1 | 100.00 |" in table
        assert "| similar | 1,804 | – | 1 | 118.00 |" in table

    def test_measures_of_images_have_their_deviation_and_counts_their_mean_alone(self, tmp_path):
        for seed, distance in ((0, 140.0), (1, 144.0)):
            write_result(tmp_path, f"similar-seed{seed}", 1990.0)
            path = tmp_path / f"similar-seed{seed}" / "results.json"
            results = json.loads(path.read_text())
            results["metrics"]["classifier_frechet_distance"] = distance
            path.write_text(json.dumps(results))
        write_result(tmp_path, "random-seed0", 1980.0)
        table = comparison_plots.comparison_table(compared_runs.collect(tmp_path)).splitlines()
        assert "| paper, full scale | Frechet, samples | seconds |" in table[0]
        assert "| 1980.00 | – | – | 60 | 1 |" in table[2]
        # Deviations of 140 and 144 from their mean: variance 4 + 4.
        assert "| 132.07 | 142.00 ± 2.83 | 60 | 2 |" in table[3]
        for seed, experts in ((0, 3), (1, 4)):
            write_accuracy(tmp_path / "accuracy", f"tfdsvit-seed{seed}", (80,))
            path = tmp_path / "accuracy" / f"tfdsvit-seed{seed}" / "results.json"
            results = json.loads(path.read_text())
            results["metrics"]["num_experts"] = experts
            path.write_text(json.dumps(results))
        table = comparison_plots.comparison_table(compared_runs.collect(tmp_path / "accuracy")).splitlines()
        assert "| experts |" in table[0] and "| 3.5 |" in table[2]

    def test_does_without_classes_and_counts(self, tmp_path):
        write_result(tmp_path, "similar-seed0", 118.0, memory=None, components=None)
        rows = compared_runs.collect(tmp_path)
        assert len(comparison_plots.plot_comparison(rows).axes) == 1
        assert "| similar | – | – | 118.00 | 132.07 | 60 | 1 |" in comparison_plots.comparison_table(rows)

    def test_errors(self, tmp_path):
        with pytest.raises(UserError, match="no run directory named"):
            compared_runs.collect(tmp_path)
        write_result(tmp_path, "a-seed0", 1.0, finished=False)
        with pytest.raises(UserError, match="no run of this comparison has finished"):
            comparison_plots.draw_comparison(tmp_path)
        write_result(tmp_path, "a-seed1", 1.0, dataset="digits")
        write_result(tmp_path, "a-seed2", 1.0, dataset="mnist")
        with pytest.raises(UserError, match="they measure digits, mnist"):
            compared_runs.collect(tmp_path)
        (tmp_path / "a-seed2" / "results.json").write_text('{"finished": true, "metrics": {}}')
        with pytest.raises(UserError, match=r"a-seed2.results\.json lacks a value to compare"):
            compared_runs.collect(tmp_path)


@pytest.fixture(scope="module")
def script():
    """The script `figures.py`, as a module."""
    path = REPOSITORY / "scripts" / "figures.py"
    specification = importlib.util.spec_from_file_location("figures_script", path)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


class TestScript:
    def test_draws_the_figures_asked_for(self, script, own_run, capsys):
        edit_observations(own_run, scores=None)
        script.main([str(own_run), "--only", "samples", "scores"])
        lines = capsys.readouterr().out.splitlines()
        assert lines[0] == str(own_run / "figures" / "samples.png")
        assert lines[1].endswith("scores (not recorded by this run)")

    def test_draws_a_comparison(self, script, comparison, capsys):
        script.main([str(comparison)])
        output = capsys.readouterr().out
        assert "none-seed0 (not finished)" in output
        assert pixels(comparison / "figures" / "comparison.png").std() > 0.05
        table = (comparison / "comparison.md").read_text()
        assert table.endswith("\n\nNot finished: dynamic-similar-seed2, none-seed0.\n")

    def test_reports_errors_in_one_line(self, own_run):
        (own_run / "metrics.csv").unlink()
        for directory, text in ((own_run, "metrics.csv is missing"), (own_run / "no", "is not a directory")):
            result = run_python(REPOSITORY / "scripts" / "figures.py", directory)
            assert result.returncode == 2
            assert result.stderr.startswith("error: ") and text in result.stderr
            assert result.stderr.count("\n") == 1

    def test_help_tells_the_figures(self):
        result = run_python(REPOSITORY / "scripts" / "figures.py", "--help")
        assert result.returncode == 0 and "memory_classes" in result.stdout

    def test_needs_neither_tensorflow_nor_a_window(self, own_run):
        code = (
            "import sys; from ocm_tf.experiments import comparison_plots, figures, script; "
            "figures.draw_all(sys.argv[1], ['samples']); "
            "print(sorted({'tensorflow', 'keras', 'matplotlib.pyplot'} & set(sys.modules)))"
        )
        result = run_python("-c", code, own_run)
        assert (result.stdout.strip(), result.stderr) == ("[]", "")


def run_python(*arguments):
    """Runs Python in its own process, with the package of this repository."""
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    command = [sys.executable, *map(str, arguments)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
