import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgba
from matplotlib.image import imread
from sketchscope.report import charts, pictures, style

SHAPES = {"2d": ((60, 80), (0.5, 0.5)), "3d": ((5, 60, 80), (1.0, 0.5, 0.5))}


@pytest.fixture(params=SHAPES)
def geometry(request):
    return SHAPES[request.param]


def drawn(figure, path, dpi=60):
    """The pixels of a figure as it is written, grey in 0..1."""
    style.save(figure, path, dpi=dpi)
    assert [file.name for file in path.parent.iterdir()] == [path.name]  # no temporary file is left
    return imread(path)[..., :3].mean(axis=-1)


def two_cells(shape):
    labels = np.zeros(shape, np.uint16)
    labels[..., 10:30, 10:30] = 1
    labels[..., 35:50, 40:70] = 2
    return labels


def noisy(labels, seed=0):
    return (labels > 0) * 1.2 - 0.9 + np.random.default_rng(seed).normal(0, 0.05, labels.shape)


def overlay(shape, reference=True):
    labels = two_cells(shape)
    return pictures.Overlay("0001", noisy(labels), labels if reference else None, labels, labels)


def test_pairs_show_the_data(geometry, tmp_path):
    shape, voxel_size = geometry
    labels = two_cells(shape)
    pair = pictures.Pair(noisy(labels), np.where(labels > 0, 0.5, -1.0), noisy(labels, 1), labels)
    full = drawn(pictures.plot_pairs([pair, pair], voxel_size), tmp_path / "pairs.png")
    blank = pair._replace(synthetic=np.full(shape, -0.9))
    without = drawn(pictures.plot_pairs([blank, blank], voxel_size), tmp_path / "pairs.png")
    assert full.shape == without.shape
    assert full.shape[1] > full.shape[0] > 200
    assert full.std() > 0.1
    right = slice(full.shape[1] // 2, None)
    assert full[:, right].mean() > without[:, right].mean() + 0.05


def test_overlays_with_and_without_reference(geometry, tmp_path):
    shape, voxel_size = geometry
    full = drawn(pictures.plot_overlays([overlay(shape)], voxel_size, "classical"), tmp_path / "overlays.png")
    bare = pictures.plot_overlays([overlay(shape, reference=False)], voxel_size, "classical")
    names = [text.get_text() for text in bare.legends[0].get_texts()]
    assert names == ["trained on synthetic", "baseline: classical"]
    assert full.std() > 0.1
    assert full.shape != (0, 0)
    assert np.abs(full.mean() - drawn(bare, tmp_path / "overlays.png").mean()) > 1e-4


def test_overlays_of_a_stack_take_two_planes():
    shape, voxel_size = SHAPES["3d"]
    figure = pictures.plot_overlays([overlay(shape)], voxel_size)
    rows = [ax.get_ylabel() for ax in figure.axes if ax.get_ylabel()]
    assert len(rows) == 2
    assert all(row.startswith("0001, plane ") for row in rows)
    assert rows[0] != rows[1]


def test_one_plane_is_enough_for_a_stack_of_one(tmp_path):
    drawn(pictures.plot_overlays([overlay((1, 60, 80))], (1.0, 0.5, 0.5)), tmp_path / "overlays.png")


@pytest.mark.parametrize("count", [0, 1, 500])
def test_loss(count, tmp_path):
    steps = np.arange(count) * 10
    figure = charts.plot_loss(steps, np.exp(-steps / 1000) + 0.01, steps * 0.5 + 1)
    pixels = drawn(figure, tmp_path / "loss.png")
    assert (pixels < 0.9).mean() > 0.005


def test_loss_without_time():
    figure = charts.plot_loss(np.arange(5), np.ones(5))
    assert not figure.axes[0].child_axes


def test_running_mean_smooths_without_bias():
    noisy_values = 3 + np.random.default_rng(0).normal(0, 0.1, 1000)
    smooth = charts.running_mean(noisy_values)
    assert smooth[0] == noisy_values[0]
    assert smooth[50:].std() < noisy_values.std() / 2
    assert smooth.mean() == pytest.approx(3, abs=0.02)


@pytest.mark.parametrize(
    "values", [np.linspace(0, 1, 200), np.array([0.7]), np.full(9, 0.5), np.array([]), np.zeros(3)]
)
def test_iou_of_any_number_of_cells(values, tmp_path):
    figure = charts.plot_iou({"synthetic": np.linspace(0.2, 0.9, 50), "baseline": values})
    assert figure.axes[0].get_ylim() == (0, 1)
    labels = [label.get_text() for label in figure.axes[0].get_xticklabels()]
    assert labels[0].startswith("synthetic\n50 cells")
    assert ("no cells" in labels[1]) == (len(values) == 0)
    assert (drawn(figure, tmp_path / "iou.png") < 0.9).mean() > 0.01


def test_iou_without_reference_says_so(tmp_path):
    figure = charts.plot_iou({"synthetic": np.array([]), "baseline": np.array([])})
    assert "no IoU" in figure.texts[0].get_text()
    assert (drawn(figure, tmp_path / "iou.png") < 0.5).any()


def verdicts(**columns):
    return pd.DataFrame(
        {
            **{"organism": ["hela", "cho", "worm"], "model_a": "synthetic", "model_b": "classical"},
            **{"difference": [0.01, -0.3, np.nan], "difference_low": [-0.01, -0.4, np.nan]},
            **{"difference_high": [0.03, -0.2, np.nan], "difference_p": [0.3, 1e-6, np.nan]},
            **{"equivalence_p": [0.01, 1.0, np.nan], "margin": 0.05, "n_images": [8, 6, 0]},
            **{"verdict": ["equivalent", "worse", "undecided"], **columns},
        }
    )


def test_verdicts_are_drawn_and_written(tmp_path):
    figure = charts.plot_verdicts(verdicts())
    ax = figure.axes[0]
    assert [label.get_text() for label in ax.get_yticklabels()] == [
        "hela (8 images)",
        "cho (6 images)",
        "worm (0 images)",
    ]
    texts = [text.get_text() for text in ax.texts]
    assert {"equivalent", "worse", "undecided", "+0.010", "-0.300", "0.3", "1e-06"} <= set(texts)
    assert {"synthetic better", "classical better"} <= set(texts)
    low, high = ax.get_xlim()
    assert low == -high < -0.4
    assert (drawn(figure, tmp_path / "verdict.png") < 0.9).mean() > 0.01
    corrected = charts.plot_verdicts(verdicts(difference_p_holm=0.123, equivalence_p_holm=0.5)).axes[0].texts
    assert [text.get_text() for text in corrected].count("0.12") == 3


@pytest.mark.parametrize("shape", [(60, 80), (5, 60, 80)])
@pytest.mark.parametrize("referenced", [True, False])
def test_audit(tmp_path, shape, referenced):
    voxel_size = (0.5,) * len(shape)
    cells = pd.DataFrame({"contrast": 1.0, "contrast_to_noise": [2.0, 20.0, 30.0], "displacement": [1.0, 0.5, -2.0]})
    cells = cells.assign(iou=[0.3, 0.9, 0.8], lost=[True, False, False])
    references = cells if referenced else cells[:0]
    image = np.random.default_rng(1).normal(100, 10, shape)
    figure = charts.plot_audit(image, two_cells(shape), [2], cells, references, voxel_size, 3.0)
    example, histogram, scatter = figure.axes
    red = [tuple(lines.get_color()[0]) for lines in example.collections if len(lines.get_segments())]
    assert to_rgba(style.VERMILION) in red
    shown = [text.get_text() for text in histogram.get_legend().get_texts()]
    assert shown[-1] == "synthetic, median -0.75", "of those that are not lost"
    assert len(shown) == 1 + referenced
    assert sum(patch.get_height() for patch in histogram.patches) == pytest.approx(1 + referenced)
    assert "synthetic, 3 cells" in [text.get_text() for text in scatter.get_legend().get_texts()]
    assert (drawn(figure, tmp_path / "audit.png") < 0.9).mean() > 0.01


@pytest.mark.parametrize("starts", [[400], list(range(100, 1000, 100))])
def test_sweep(tmp_path, geometry, starts):
    shape, voxel_size = geometry
    sigmas = [0.0, 1.0]
    scores = pd.DataFrame([{"t_start": t, "sigma": s} for s in sigmas for t in starts])
    scores = scores.assign(**{column: np.linspace(1, 2, len(scores)) for column in charts.SWEPT})
    names = ["image", *(f"sketch {s:g}" for s in sigmas), *(f"{s:g} {t}" for s in sigmas for t in starts)]
    examples = {name: np.random.default_rng(1).uniform(-1, 1, shape) for name in names}
    choice = scores.to_dict("records")[-1] | {"displacement": None}  # nothing to measure where no cell shows
    figure = charts.plot_sweep(scores, choice, examples, voxel_size)
    above, below = figure.subfigs
    assert [len(ax.lines) for ax in above.axes] == [3] * len(charts.SWEPT)
    assert [ax.get_title() for ax in above.axes] == list(charts.SWEPT.values())
    assert [len(line.get_xdata()) for line in above.axes[0].lines] == [len(starts), len(starts), 1]
    headings = [ax.get_title() for ax in below.axes if ax.get_title()]
    assert headings == ["real", "sketch", *(f"t_start {t}" for t in ([400] if len(starts) == 1 else starts[::2]))]
    framed = [ax for ax in below.axes if ax.spines["left"].get_visible()]
    assert framed == [below.axes[-1]], "the last of the second row was chosen"
    assert (drawn(figure, tmp_path / "sweep.png") < 0.9).mean() > 0.01


def test_contact(tmp_path):
    rng = np.random.default_rng(1)
    contact = {
        name: pictures.Panels(two_cells(shape), *(rng.normal(100, 10, (2, *shape))), voxel_size)
        for name, (shape, voxel_size) in SHAPES.items()
    }
    figure = pictures.plot_contact(contact)
    assert [ax.get_ylabel() for ax in figure.axes] == ["2d", "", "", "3d", "", ""]
    assert [ax.images[0].get_array().shape[:2] for ax in figure.axes] == [(60, 80)] * 6
    assert (drawn(figure, tmp_path / "contact.png") < 0.9).mean() > 0.3


def test_labels_in_colour():
    labels = np.arange(200).reshape(10, 20)
    colours = style.colour_labels(labels)
    assert (colours[0, 0] == 0).all()
    assert len(np.unique(colours.reshape(-1, 3).round(4), axis=0)) == 200
    neighbours = np.abs(np.diff(colours.reshape(-1, 3)[1:], axis=0)).max(axis=1)
    assert neighbours.min() > 0.2
    assert (colours[labels > 0].max(axis=-1) > 0.5).all()


def test_flatten_keeps_labels_and_stretches_z():
    labels = two_cells((5, 60, 80))
    flat = style.flatten(labels, (2.0, 0.5, 0.5))
    assert flat.shape == (60 + style.GAP + 20, 80)
    assert set(np.unique(flat)) == {0, 1, 2}
    assert np.isnan(style.flatten(labels.astype(float), (2.0, 0.5, 0.5))[60]).all()
    assert style.flatten(labels[0], (0.5, 0.5)) is not None


def test_outline_runs_around_the_pixels():
    ax = charts.Figure().subplots()
    labels = np.zeros((9, 9), int)
    labels[3:5, 0:4] = 4
    style.outline(ax, labels, "red")
    (line,) = ax.collections[0].get_segments()
    assert (line.min(axis=0).tolist(), line.max(axis=0).tolist()) == ([-0.5, 2.5], [3.5, 4.5])
