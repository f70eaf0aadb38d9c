import itertools

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
    predictions = {"sketchscope": labels, "classical": labels}
    return pictures.Overlay("0001", noisy(labels), labels if reference else None, predictions)


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
    full = drawn(pictures.plot_overlays([overlay(shape)], voxel_size), tmp_path / "overlays.png")
    bare = pictures.plot_overlays([overlay(shape, reference=False)], voxel_size)
    names = [text.get_text() for text in bare.legends[0].get_texts()]
    assert names == ["trained on synthetic images", "classical"]
    assert full.std() > 0.1
    assert np.abs(full.mean() - drawn(bare, tmp_path / "overlays.png").mean()) > 1e-4


def test_overlays_of_a_stack_take_two_planes():
    shape, voxel_size = SHAPES["3d"]
    figure = pictures.plot_overlays([overlay(shape)], voxel_size)
    rows = [ax.get_ylabel() for ax in figure.axes if ax.get_ylabel()]
    assert len(rows) == 2
    assert all(row.startswith("0001, plane ") for row in rows)
    assert rows[0] != rows[1]


def test_a_stack_of_one_plane_takes_one_row():
    figure = pictures.plot_overlays([overlay((1, 60, 80))], (1.0, 0.5, 0.5))
    assert [ax.get_ylabel() for ax in figure.axes if ax.get_ylabel()] == ["0001, plane 1 of 1"]


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
    figure = charts.plot_iou({"sketchscope": np.linspace(0.2, 0.9, 50), "classical": values})
    assert figure.axes[0].get_ylim() == (0, 1)
    labels = [label.get_text() for label in figure.axes[0].get_xticklabels()]
    assert labels[0].startswith("trained on synthetic images\n50 cells")
    assert ("no cells" in labels[1]) == (len(values) == 0)
    assert (drawn(figure, tmp_path / "iou.png") < 0.9).mean() > 0.01


def test_iou_without_reference_says_so(tmp_path):
    figure = charts.plot_iou({"sketchscope": np.array([]), "baseline": np.array([])})
    assert "no IoU" in figure.texts[0].get_text()
    assert (drawn(figure, tmp_path / "iou.png") < 0.5).any()


def verdicts(**columns):
    return pd.DataFrame(
        {
            **{"organism": ["hela", "cho", "worm"], "model_a": "sketchscope", "model_b": "classical"},
            **{"difference": [0.01, -0.3, np.nan], "difference_low": [-0.01, -0.4, np.nan]},
            **{"difference_high": [0.03, -0.2, np.nan], "difference_p": [0.3, 1e-6, np.nan]},
            **{"equivalence_p": [0.01, 1.0, np.nan], "margin": 0.05, "n_units": [8, 6, 1]},
            **{"unit": ["image", "movie or specimen", "movie or specimen"], "quantity": "PQ"},
            **{"verdict": ["equivalent", "worse", "no verdict"], **columns},
        }
    )


def test_verdicts_are_drawn_and_written(tmp_path):
    figure = charts.plot_verdicts(verdicts())
    ax = figure.axes[0]
    assert [label.get_text() for label in ax.get_yticklabels()] == [
        "hela (8 images)",
        "cho (6 movies or specimens)",
        "worm (1 movie or specimen)",
    ]
    texts = [text.get_text() for text in ax.texts]
    assert {"equivalent", "worse", "no verdict", "+0.010", "-0.300", "0.3", "1e-06"} <= set(texts)
    assert {"sketchscope better", "classical better"} <= set(texts)
    low, high = ax.get_xlim()
    assert low == -high < -0.4
    assert (drawn(figure, tmp_path / "verdict.png") < 0.9).mean() > 0.01
    several = charts.plot_verdicts(verdicts(model_b=["classical", "cyto3", "classical"])).axes[0]
    assert several.get_yticklabels()[1].get_text() == "cho, cyto3 (6 movies or specimens)"
    assert {"sketchscope better", "baseline better"} <= {text.get_text() for text in several.texts}
    assert "no baseline" in charts.plot_verdicts(verdicts()[:0]).texts[0].get_text().lower()
    corrected = charts.plot_verdicts(verdicts(difference_p_holm=0.123, equivalence_p_holm=0.5)).axes[0].texts
    assert [text.get_text() for text in corrected].count("0.12") == 3


def audited(**columns):
    """A table of cells of which the first is lost, as `audit_cells` has it."""
    plain = {"contrast": 1.0, "contrast_to_noise": [2.0, 20.0, 30.0], "displacement": [1.0, 0.5, -2.0]}
    plain |= {"iou": [0.3, 0.9, 0.8], "lost": [True, False, False], "offset_y": [9.0, 1.0, np.nan], "offset_x": 2.0}
    return pd.DataFrame(plain | columns)


def audit_tables(synthetic, references):
    shares = pd.DataFrame({name: [0.25, 0.5] for name in charts.WRONG}, index=["synthetic", "references"])
    if not len(references):
        shares.loc["references"] = np.nan
    return charts.AuditTables(synthetic, references, shares)


@pytest.mark.parametrize("shape", [(60, 80), (5, 60, 80)])
@pytest.mark.parametrize("referenced", [True, False])
def test_audit(tmp_path, shape, referenced):
    voxel_size = (0.5,) * len(shape)
    cells = audited()
    tables = audit_tables(cells, cells if referenced else cells[:0])
    image = np.random.default_rng(1).normal(100, 10, shape)
    figure = charts.plot_audit(charts.AuditExample(image, two_cells(shape), [2]), tables, voxel_size, 3.0)
    example, histogram, offsets, scatter, shares = figure.axes
    red = [tuple(lines.get_color()[0]) for lines in example.collections if len(lines.get_segments())]
    assert to_rgba(style.VERMILION) in red
    shown = [text.get_text() for text in histogram.get_legend().get_texts()]
    assert shown[-1] == "synthetic, median -0.75", "of those that are not lost"
    assert len(shown) == 1 + referenced
    assert sum(patch.get_height() for patch in histogram.patches) == pytest.approx(1 + referenced)
    assert "synthetic, 3 cells" in [text.get_text() for text in scatter.get_legend().get_texts()]
    assert "synthetic, mean +2.00, +1.00" in [text.get_text() for text in offsets.get_legend().get_texts()]
    assert [text.get_text() for text in shares.texts] == ([" 50.0"] if referenced else ["–"]) * 5 + [" 25.0"] * 5
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
    np.testing.assert_array_equal(style.flatten(labels[0], (0.5, 0.5)), labels[0])
    numbered = np.arange(5)[:, None, None] + 10 * np.arange(6)[:, None] + np.zeros(7, int)
    flat = style.flatten(numbered, (1.0, 0.5, 0.5))
    np.testing.assert_array_equal(flat[:6], numbered[2])
    assert flat[6 + style.GAP :, 0].tolist() == [30, 30, 31, 31, 32, 32, 33, 33, 34, 34], "the section, 2 rows a slice"


def test_outline_runs_around_the_pixels():
    ax = charts.Figure().subplots()
    labels = np.zeros((9, 9), int)
    labels[3:5, 0:4] = 4
    style.outline(ax, labels, "red")
    (line,) = ax.collections[0].get_segments()
    assert (line.min(axis=0).tolist(), line.max(axis=0).tolist()) == ([-0.5, 2.5], [3.5, 4.5])


def as_shown(image, limits, voxel_size):
    """The picture of an image by the definition of the grey scale: black and white at the limits, gamma 0.4."""
    low, high = limits
    return np.clip((style.flatten(image, voxel_size).astype(float) - low) / (high - low), 0, 1) ** 0.4


def percentiles(*images):
    return np.percentile(np.concatenate([image.ravel() for image in images]), (0.5, 99.5))


def picture(ax):
    return ax.images[0].get_array().filled(np.nan)


def outlines(ax):
    """Of each colour, the box around every outline in a panel: left, top, right, bottom."""
    return {
        to_rgba(lines.get_color()[0]): [[*line.min(axis=0), *line.max(axis=0)] for line in lines.get_segments()]
        for lines in ax.collections
    }


def square(shape, row, column):
    """A cell of 10 x 10 pixels in every slice, and the box of its outline."""
    labels = np.zeros(shape, np.uint16)
    labels[..., row : row + 10, column : column + 10] = 1
    return labels, [column - 0.5, row - 0.5, column + 9.5, row + 9.5]


def test_each_panel_of_a_pair_shows_its_own_image(geometry):
    shape, voxel_size = geometry
    rng = np.random.default_rng(3)
    pairs = [
        pictures.Pair(
            rng.normal(0, 0.3, shape), rng.uniform(-1, 1, shape), rng.normal(0.2, 0.3, shape), two_cells(shape)
        )
        for _ in range(2)
    ]
    figure = pictures.plot_pairs(pairs, voxel_size)
    axes = np.reshape(figure.axes, (2, 4))
    assert [ax.get_title() for ax in axes[0]] == ["real", "sketch", "synthetic", "synthetic and mask"]
    limits = percentiles(*(pair.real for pair in pairs))
    for row, pair in zip(axes, pairs, strict=True):
        for ax, image, scale in (
            (row[0], pair.real, limits),
            (row[1], pair.sketch, (-1, 1)),
            (row[2], pair.synthetic, limits),
            (row[3], pair.synthetic, limits),
        ):
            np.testing.assert_allclose(picture(ax), as_shown(image, scale, voxel_size))
        assert [len(ax.collections) for ax in row] == [0, 0, 0, 1]
        found = outlines(row[3])[to_rgba(style.VERMILION)]
        in_plane = [box for box in found if box[3] < 60]
        assert sorted(in_plane) == [[9.5, 9.5, 29.5, 29.5], [39.5, 34.5, 69.5, 49.5]]


def test_samples_are_shown_in_their_order(geometry):
    shape, voxel_size = geometry
    samples = np.random.default_rng(0).uniform(-1, 1, (5, *shape))
    axes = pictures.plot_samples(samples, voxel_size, columns=3).axes
    for ax, sample in zip(axes, samples, strict=False):
        np.testing.assert_allclose(picture(ax), as_shown(sample, (-1, 1), voxel_size))
    assert [len(ax.images) for ax in axes] == [1] * 5 + [0]


@pytest.mark.parametrize("shape", [(60, 80), (1, 60, 80)])
def test_each_model_is_outlined_in_its_own_panel(shape):
    image = np.random.default_rng(0).normal(100, 10, shape)
    (reference, at_reference), (trained, at_trained), (classical, at_classical), (cyto3, at_cyto3) = (
        square(shape, *corner) for corner in ((5, 5), (25, 30), (45, 60), (45, 5))
    )
    yellow, sky, vermilion, green = map(to_rgba, (style.YELLOW, style.SKY, style.VERMILION, style.GREEN))
    predictions = {"sketchscope": trained, "classical": classical, "cyto3": cyto3}
    overlays = [pictures.Overlay("0001", image, reference, predictions)]
    figure = pictures.plot_overlays(overlays, (1.0, 0.5, 0.5)[-len(shape) :])
    axes = figure.axes
    assert [ax.get_title() for ax in axes] == [*("test image", "trained on synthetic images", "classical", "cyto3")]
    assert [outlines(ax) for ax in axes] == [
        {yellow: [at_reference]},
        {yellow: [at_reference], sky: [at_trained]},
        {yellow: [at_reference], vermilion: [at_classical]},
        {yellow: [at_reference], green: [at_cyto3]},
    ]
    for ax in axes:
        np.testing.assert_allclose(picture(ax), as_shown(image.reshape(60, 80), percentiles(image), None))
    legend = figure.legends[0]
    drawn_as = dict(zip([text.get_text() for text in legend.get_texts()], legend.get_lines(), strict=True))
    assert {name: to_rgba(line.get_color()) for name, line in drawn_as.items()} == {
        "reference": yellow,
        "trained on synthetic images": sky,
        "classical": vermilion,
        "cyto3": green,
    }


@pytest.mark.parametrize("brightest", [0, 1, 4])
def test_planes_of_a_stack_are_the_brightest_and_one_halfway_to_the_farther_end(brightest):
    image = np.random.default_rng(0).normal(100, 10, (5, 60, 80))
    image[brightest] += 50
    labels = np.zeros(image.shape, np.uint16)
    for plane in range(5):
        labels[plane, 5 : 10 + plane, 5:20] = 1
    figure = pictures.plot_overlays(
        [pictures.Overlay("a", image, labels, {"sketchscope": labels, "classical": labels})], (1.0, 0.5, 0.5)
    )
    other = {0: 2, 1: 2, 4: 2}[brightest]
    for row, plane in zip(np.reshape(figure.axes, (2, 3)), (brightest, other), strict=True):
        assert row[0].get_ylabel() == f"a, plane {plane + 1} of 5"
        np.testing.assert_allclose(picture(row[0]), as_shown(image[plane], percentiles(image[plane]), None))
        assert outlines(row[1])[to_rgba(style.SKY)] == [[4.5, 4.5, 19.5, 9.5 + plane]]


@pytest.mark.parametrize(
    ("pixel_size", "length"), [(0.5, 10), (0.25, 5), (2.0, 20), (0.1, 2), (0.645, 10), (0.01, 1), (30.0, 500)]
)
def test_a_scale_bar_is_as_long_as_it_says(pixel_size, length):
    """In an image of 80 pixels; a bar of a round number of micrometres takes at most 0.3 of it."""
    image = np.random.default_rng(0).normal(100, 10, (60, 80))
    figure = pictures.plot_contact({"a": pictures.Panels(two_cells((60, 80)), image, image, (9.0, pixel_size))})
    with_bar = [ax for ax in figure.axes if ax.lines]
    assert with_bar == [figure.axes[2]]
    (bar,), (label,) = with_bar[0].lines, with_bar[0].texts
    (left, right), (y, same_y) = bar.get_data()
    assert label.get_text() == f"{length} µm"
    assert (right - left) * pixel_size == pytest.approx(length)
    assert left == pytest.approx(0.05 * 80)
    assert y == same_y == pytest.approx(0.95 * 60)
    if pixel_size > 0.01:  # where the shortest bar fits
        assert right - left <= 0.3 * 80


def test_the_scale_bar_of_a_stack_is_that_of_its_x_axis():
    shape, voxel_size = (5, 60, 80), (3.0, 1.0, 0.25)
    image = np.random.default_rng(0).normal(100, 10, shape)
    pair = pictures.Pair(image, image, image, two_cells(shape))
    figures = [pictures.plot_pairs([pair], voxel_size), pictures.plot_overlays([overlay(shape)], voxel_size)]
    for figure in figures:
        (left, right), (y, _) = figure.axes[0].lines[0].get_data()
        assert (right - left) * 0.25 == pytest.approx(5)
        assert figure.axes[0].texts[0].get_text() == "5 µm"
        assert y == pytest.approx(57), "in the plane, not in the section below"


def test_each_panel_of_the_sweep_draws_its_own_score():
    starts, sigmas = [200, 400, 600], [0.5, 1.5]
    rng = np.random.default_rng(0)
    scores = pd.DataFrame([{"t_start": t, "sigma": s} for s in sigmas for t in starts])
    scores = pd.concat([scores, pd.DataFrame({"t_start": 0, "sigma": sigmas})], ignore_index=True)
    scores = scores.assign(**{column: rng.uniform(0, 1, len(scores)) for column in charts.SWEPT})
    scores = scores.assign(psnr_low=scores["psnr"] - 0.1, psnr_high=scores["psnr"] + 0.2)
    examples = {"image": rng.uniform(-1, 1, (20, 30))}
    examples |= {f"sketch {s:g}": rng.uniform(-1, 1, (20, 30)) for s in sigmas}
    examples |= {f"{s:g} {t}": rng.uniform(-1, 1, (20, 30)) for s in sigmas for t in starts}
    shuffled = scores.sample(frac=1, random_state=1)
    figure = charts.plot_sweep(shuffled, scores.to_dict("records")[4], examples, (0.5, 0.5))
    above, below = figure.subfigs
    titles = {
        "divergence": "divergence in cells, noised (bits)",
        "spectrum": "spectrum from real (dB)",
        "psnr": "PSNR (dB)",
        "zncc": "ZNCC",
        "displacement": "boundary displaced (pixels)",
    }
    panels = {ax.get_title(): ax for ax in above.axes}
    assert set(panels) == set(titles.values())
    for column, title in titles.items():
        *lines, chosen = panels[title].lines
        without = lines[1::2] if column in charts.LIKENESS else []
        lines = lines[::2] if column in charts.LIKENESS else lines
        assert [line.get_ydata()[0] for line in without] == [
            scores.loc[(scores["t_start"] == 0) & (scores["sigma"] == sigma), column].item()
            for sigma in (sigmas if without else [])
        ]
        assert len(panels[title].collections) == (2 if column == "psnr" else 0), "intervals, where there are any"
        assert [line.get_label() for line in lines] == ["sigma 0.5", "sigma 1.5"]
        for line, sigma in zip(lines, sigmas, strict=True):
            assert list(line.get_xdata()) == starts
            drawn = (scores["sigma"] == sigma) & (scores["t_start"] > 0)
            np.testing.assert_array_equal(line.get_ydata(), scores.loc[drawn, column])
        assert (chosen.get_xdata()[0], chosen.get_ydata()[0]) == (400, scores[column][4])
    assert len({line.get_color() for line in panels["ZNCC"].lines}) == 3
    limits = percentiles(examples["image"])
    for row, sigma in zip(np.reshape(below.axes, (2, 5)), sigmas, strict=True):
        names = ["image", f"sketch {sigma:g}", *(f"{sigma:g} {start}" for start in starts)]
        assert row[0].get_ylabel() == f"sigma {sigma:g}"
        for ax, name in zip(row, names, strict=True):
            np.testing.assert_allclose(picture(ax), as_shown(examples[name], limits, (0.5, 0.5)))


def test_histograms_of_shapes_are_grey_for_real_and_blue_for_synthetic():
    rng = np.random.default_rng(0)
    drawn_from = {"real": rng.normal(100, 5, 300), "synthetic": rng.normal(140, 5, 200)}
    cells = pd.concat([pd.DataFrame({"source": name, "area": values}) for name, values in drawn_from.items()])
    images = pd.DataFrame({"source": ["real", "real", "synthetic"], "density": [10.0, 12.0, 30.0]})
    comparison = pd.DataFrame(
        {"measure": ["density", "area"], "unit": ["none", "um2"], "ks": [1.0, 0.987], "relative": [1.7, 0.4]}
    )
    figure = charts.plot_shapes(cells, images, comparison)
    density, area = figure.axes
    assert (density.get_xlabel(), area.get_xlabel()) == ("density", "area seen along z, um2")
    assert area.get_title(loc="right") == "KS 0.99, W 40%"
    for ax, table in (
        (density, images.rename(columns={"density": "value"})),
        (area, cells.rename(columns={"area": "value"})),
    ):
        entries = dict(
            zip([text.get_text() for text in ax.get_legend().get_texts()], ax.get_legend().get_patches(), strict=True)
        )
        for name, colour in (("real", "0.55"), ("synthetic", style.BLUE)):
            values = table.loc[table["source"] == name, "value"]
            assert to_rgba(entries[f"{name}, median {values.median():.3g}"].get_facecolor()) == to_rgba(colour, 0.6)
            bars = [patch for patch in ax.patches if patch.get_facecolor() == to_rgba(colour, 0.6)]
            assert sum(bar.get_height() for bar in bars) == pytest.approx(1)
            mean = sum(bar.get_height() * (bar.get_x() + bar.get_width() / 2) for bar in bars)
            assert mean == pytest.approx(values.mean(), abs=bars[0].get_width())


def test_shapes_of_no_cells_leave_an_empty_panel():
    cells = pd.DataFrame({"source": ["real"], "area": [np.nan]})
    comparison = pd.DataFrame({"measure": ["area"], "unit": ["um2"], "ks": [np.nan], "relative": [np.nan]})
    (ax,) = charts.plot_shapes(cells, cells, comparison).axes
    assert not ax.patches
    assert ax.get_legend() is None
    assert ax.get_title(loc="right") == ""


@pytest.mark.parametrize(("largest", "labelled"), [(100.0, {"1", "2", "5", "10", "20"}), (1e6, {"1", "100", "10000"})])
def test_contrasts_of_any_range_have_labels_that_do_not_overlap(largest, labelled):
    cells = audited(contrast_to_noise=[1.0, 20.0, largest])
    image = np.random.default_rng(1).normal(100, 10, (60, 80))
    example = charts.AuditExample(image, two_cells((60, 80)), [2])
    figure = charts.plot_audit(example, audit_tables(cells, cells[:0]), (0.5, 0.5), 3.0)
    figure.canvas.draw()
    axis = figure.axes[3].xaxis
    ticks = [*axis.get_ticklabels(minor=False), *axis.get_ticklabels(minor=True)]
    low, high = axis.get_view_interval()
    shown = [tick for tick in ticks if tick.get_text() and low <= tick.get_position()[0] <= high]
    assert labelled <= {tick.get_text() for tick in shown}
    boxes = sorted((tick.get_window_extent().x0, tick.get_window_extent().x1) for tick in shown)
    assert all(before[1] < after[0] for before, after in itertools.pairwise(boxes))


def test_audit_outlines_what_is_lost_and_draws_each_table_in_its_colour():
    shape = (60, 80)
    cells = audited(contrast_to_noise=[0.1, 20.0, 30.0])
    references = audited(contrast_to_noise=7.0, displacement=0.1, iou=0.95, lost=False)[:1]
    image = np.random.default_rng(1).normal(100, 10, shape)
    example = charts.AuditExample(image, two_cells(shape), [2])
    figure = charts.plot_audit(example, audit_tables(cells, references), (0.5, 0.5), 3.0)
    example, histogram, _, scatter, _ = figure.axes
    np.testing.assert_allclose(picture(example), as_shown(image, percentiles(image), None))
    assert outlines(example) == {
        to_rgba(style.SKY): [[9.5, 9.5, 29.5, 29.5]],
        to_rgba(style.VERMILION): [[39.5, 34.5, 69.5, 49.5]],
    }
    clouds = {cloud.get_label(): cloud for cloud in scatter.collections}
    np.testing.assert_allclose(clouds["synthetic, 3 cells"].get_offsets(), [[0.5, 0.3], [20, 0.9], [30, 0.8]])
    np.testing.assert_allclose(clouds["real, reference labels, 1 cells"].get_offsets(), [[7, 0.95]])
    assert clouds["synthetic, 3 cells"].get_facecolor()[0] == pytest.approx(to_rgba(style.BLUE, 0.5))
    blue = [bar for bar in histogram.patches if bar.get_facecolor() == to_rgba(style.BLUE, 0.6) and bar.get_height()]
    assert [
        (bar.get_height(), bar.get_x() < value < bar.get_x() + 0.21) for bar, value in zip(blue, [-2, 0.5], strict=True)
    ] == [
        (0.5, True),
        (0.5, True),
    ]
    margin = next(line for line in scatter.lines if line.get_label() == "lost to the left")
    assert list(margin.get_xdata()) == [3, 3]


def test_contact_shows_mask_sketch_and_image_of_the_middle_plane():
    shape = (5, 60, 80)
    rng = np.random.default_rng(1)
    mask, sketch, image = two_cells(shape), rng.normal(100, 10, shape), rng.normal(100, 10, shape)
    mask[:2] = 0
    axes = pictures.plot_contact({"a": pictures.Panels(mask, sketch, image, (1.0, 0.5, 0.5))}).axes
    assert [ax.get_title() for ax in axes] == ["mask", "sketch", "synthetic"]
    np.testing.assert_allclose(picture(axes[0]), style.colour_labels(mask[2]))
    for ax, stack in zip(axes[1:], (sketch, image), strict=True):
        np.testing.assert_allclose(picture(ax), as_shown(stack[2], percentiles(image[2]), None))


def test_loss_is_drawn_over_the_steps_with_the_minutes_above():
    steps, losses = np.arange(1, 21) * 10, np.linspace(1, 0.1, 20)
    ax = charts.plot_loss(steps, losses, steps * 30.0).axes[0]
    raw, mean = ax.lines
    np.testing.assert_array_equal(raw.get_xydata(), np.stack([steps, losses], axis=1))
    np.testing.assert_allclose(mean.get_ydata(), charts.running_mean(losses))
    (top,) = ax.child_axes
    assert top._functions[0](100) == pytest.approx(100 * 30 / 60)


def test_iou_violins_hold_median_and_quartiles_of_their_model():
    first, other = np.linspace(0.2, 0.9, 71), np.linspace(0, 0.4, 41)
    ax = charts.plot_iou({"ours": first, "classical": other}).axes[0]
    for position, values in enumerate((first, other)):
        bar, dot = ax.lines[2 * position : 2 * position + 2]
        assert set(bar.get_xdata()) == set(dot.get_xdata()) == {position}
        assert list(bar.get_ydata()) == pytest.approx(np.percentile(values, (25, 75)))
        assert dot.get_ydata()[0] == pytest.approx(np.median(values))
        assert ax.texts[position].get_text() == f"{np.median(values):.2f}"
        body = ax.collections[position]
        assert to_rgba(body.get_facecolor()[0]) == to_rgba((style.SKY, style.VERMILION)[position], 0.6)
    assert [label.get_text() for label in ax.get_xticklabels()] == [
        "ours\n71 cells\n0% missed",
        "classical\n41 cells\n2% missed",
    ]


def test_verdicts_lie_at_their_numbers_in_their_colours():
    ax = charts.plot_verdicts(verdicts()).axes[0]
    intervals, points = ax.collections
    assert [segment[:, 0].tolist() for segment in intervals.get_segments()[:2]] == [[-0.01, 0.03], [-0.4, -0.2]]
    assert points.get_offsets()[:2].tolist() == [[0.01, 0], [-0.3, 1]]
    expected = [to_rgba(colour) for colour in (style.BLUE, style.VERMILION, "white")]
    assert [tuple(colour) for colour in points.get_facecolor()] == expected
    assert to_rgba("0.45") == tuple(points.get_edgecolor()[2]), "an empty dot where there is no verdict"
    assert (
        ax.get_xlabel() == "difference of the panoptic quality, 95 % interval (grey: margin, dotted: within one movie)"
    )
    sparse = charts.plot_verdicts(verdicts(quantity="SEG", verdict="worse")).axes[0]
    assert sparse.get_xlabel() == "difference of the SEG, 95 % interval (grey: margin)"
    assert [(bar.get_x(), bar.get_width()) for bar in ax.patches] == [(-0.05, 0.1)] * 3
