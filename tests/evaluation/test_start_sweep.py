import json

import numpy as np
import pandas as pd
import pytest
from sketchscope.diffusion.schedule import cosine_alpha_bar
from sketchscope.evaluation import start_sweep
from sketchscope.evaluation.image_similarity import psnr
from sketchscope.sketches.depth import Measured
from sketchscope.sketches.draw import NucleusSketch, draw_nuclei

ALPHA_BAR = cosine_alpha_bar(1000)
SHAPES = {(64, 64): (0.5, 0.5), (6, 48, 48): (1.0, 0.5, 0.5)}


@pytest.fixture(params=SHAPES)
def example(request):
    """Two boxes of unlike brightness, with texture."""
    shape = request.param
    labels = np.zeros(shape, int)
    labels[..., 8:24, 8:24], labels[..., 28:40, 28:44] = 1, 3
    image = np.array([-0.9, 0.1, np.nan, 0.6])[labels] + np.random.default_rng(0).normal(0, 0.05, shape)
    return start_sweep.Example(image.astype(np.float32), labels)


def drawn(example, sigma):
    """A flat sketch, with a shade for sigma."""
    grey = start_sweep.grey_at_surface(example, SHAPES[example.image.shape], -0.9, None)
    return np.where(example.labels > 0, grey[example.labels - 1], -0.9 + sigma / 10).astype(np.float32)


def test_grey_of_each_cell(example):
    grey = start_sweep.grey_at_surface(example, SHAPES[example.image.shape], -0.9, None)
    assert grey.tolist() == pytest.approx([0.1, 0.0, 0.6], abs=0.01)
    assert grey[0] == pytest.approx(example.image[example.labels == 1].mean())


def test_grey_of_each_cell_at_the_surface(example):
    """A sketch of it that fades is as bright as the cell on average."""
    voxel_size, decay_um = SHAPES[example.image.shape], 16.0
    grey = start_sweep.grey_at_surface(example, voxel_size, -0.9, decay_um)
    depth = np.arange(example.image.shape[0]) if example.image.ndim == 3 else np.zeros(1)
    fading = np.exp(-depth / decay_um).mean()
    assert (grey[[0, 2]] + 0.9) * fading == pytest.approx([1.0, 1.5], rel=0.03)


def test_noise_makes_sketches_and_images_alike(example):
    """The closer to pure noise, the less can be told; what is the same cannot be told apart at all."""
    sketch = drawn(example, 0)
    found = [
        start_sweep.compare_noised([example.image], [sketch], float(ALPHA_BAR[t]), np.random.default_rng(1))
        for t in (1, 100, 900)
    ]
    assert found[0]["divergence"] > 0.05, "texture against one grey value"
    assert found[0]["divergence"] > 10 * found[2]["divergence"]
    assert found[0]["wasserstein"] > 0.03 > 0.2 * found[0]["wasserstein"]
    same = start_sweep.compare_noised([example.image] * 9, [example.image] * 9, 0.5, np.random.default_rng(1))
    assert same["divergence"] < 1e-3


def test_divergence_of_two_levels_is_one_bit():
    black, white = np.full((50, 50), -0.9), np.full((50, 50), 0.9)
    found = start_sweep.compare_noised([black], [white], 1.0, np.random.default_rng(1))
    assert found["divergence"] == pytest.approx(1)
    assert found["wasserstein"] == pytest.approx(1.8)


def test_score_of_the_image_itself_and_of_a_noisy_one(example):
    voxel_size = SHAPES[example.image.shape]
    itself = start_sweep.score_examples([example], [example.image], voxel_size, touching=False)
    assert (itself["psnr"], itself["histogram"], itself["spectrum"]) == (np.inf, 0, 0)
    assert itself["zncc"] == pytest.approx(1)
    assert (itself["cells"], itself["lost"]) == (2, 0)
    assert itself["displacement"] < 0.3
    noisy = example.image + np.random.default_rng(2).normal(0, 0.2, example.image.shape)
    other = start_sweep.score_examples([example], [noisy], voxel_size, touching=False)
    inside = example.labels > 0
    assert other["psnr"] == pytest.approx(psnr(noisy, example.image, inside))
    assert other["psnr"] == pytest.approx(10 * np.log10(4 / 0.04), abs=0.3)
    assert other["zncc"] == pytest.approx(np.corrcoef(noisy[inside], example.image[inside])[0, 1])
    assert other["spectrum"] > 1.5
    nothing = start_sweep.score_examples(
        [example._replace(labels=0 * example.labels)], [noisy], voxel_size, touching=False
    )
    assert np.isnan(nothing["psnr"])
    assert nothing["cells"] == 0


def test_sweep_asks_for_every_point_with_the_same_noise(example):
    asked = []

    def make_generator(t_start):
        def generate(sketch, key):
            asked.append((t_start, round(10 * (float(sketch.min()) + 0.9)), key))
            return sketch

        return generate

    points = list(
        start_sweep.sweep(
            [example, example],
            drawn,
            make_generator,
            ALPHA_BAR,
            SHAPES[example.image.shape],
            start_sweep.Grid(t_starts=[100, 300], sigmas=[0, 2]),
            key=[7, 8],
            touching=False,
        )
    )
    assert asked == [(t, s, [7, 8, n]) for s in (0, 2) for t in (100, 300) for n in (0, 1)]
    rows = pd.DataFrame([row for row, _, _ in points])
    assert list(zip(rows["t_start"], rows["sigma"], strict=True)) == [(100, 0), (300, 0), (100, 2), (300, 2)]
    assert rows.loc[0, "divergence"] > rows.loc[1, "divergence"], "noise hides what the sketch lacks"
    np.testing.assert_array_equal(points[2][1], drawn(example, 2))
    np.testing.assert_array_equal(points[2][2], drawn(example, 2))


def test_points_are_collected_with_the_pictures_of_one_example(example):
    sketch, image = np.zeros((2, 2)), np.ones((2, 2))
    points = [({"t_start": 100, "sigma": 0.5, "psnr": 20.0, "displacement": None}, sketch, image)]
    scores, pictures = start_sweep.collect_points(points, example)
    assert scores.to_dict("records") == [points[0][0]]
    assert list(pictures) == ["image", "sketch 0.5", "0.5 100"]
    assert [pictures[name] is array for name, array in zip(pictures, (example.image, sketch, image), strict=True)]


def test_cut_example(example):
    window = start_sweep.cut_example(example.image, example.labels, [2, 24, 24][-example.image.ndim :])
    assert window.image.shape == window.labels.shape == (2, 24, 24)[-example.image.ndim :]


def test_an_example_is_drawn_as_bright_as_its_cells(example):
    """Sketches of the sweep are those of the run: the same function, with the cells' own grey values and the blur."""
    voxel_size, measured = SHAPES[example.image.shape], Measured(np.array([0.9]), -0.9)
    unmeasured = {"decay_um": None, "sigma_unit": "finest", "grey": "measured"}
    settings = NucleusSketch(None, None, 0.1, nucleoli=[1.0], nucleolus_um=(1.0, 2.0), **unmeasured)
    draw = start_sweep.Drawing(draw_nuclei, settings, measured, voxel_size, [1])
    sharp = draw(example, 0.0)
    assert sharp[example.labels == 1].mean() == pytest.approx(0.1, abs=0.01)
    assert sharp[example.labels == 3].mean() == pytest.approx(0.6, abs=0.01)
    assert (sharp[example.labels == 0] == np.float32(-0.9)).all()
    assert np.std(draw(example, 2.0)) < np.std(sharp)


def scored_grid(**columns):
    rows = pd.DataFrame({"t_start": [100, 200, 300, 100, 200, 300], "sigma": [0.0] * 3 + [1.0] * 3})
    return rows.assign(**{"divergence": 0.0, "spectrum": 1.0} | columns)


@pytest.mark.parametrize(
    ("columns", "fixed", "chosen"),
    [
        ({}, {}, (100, 0)),
        ({"divergence": [9, 9, 0, 9, 0, 0]}, {}, (200, 1)),  # the earliest start comes before the smallest blur
        ({"divergence": [9, 0, 0, 9, 0, 0]}, {}, (200, 0)),
        ({"spectrum": [3, 2, 1.2, 3, 2, 1]}, {}, (300, 0)),
        ({"spectrum": [0, 2, 1.2, 3, 2, 1], "divergence": [9, 0, 0, 0, 0, 0]}, {}, (300, 0)),  # the best of those left
        ({"divergence": [9, 8, 7, 9, 8, 6]}, {}, (300, 1)),  # none is good enough: the nearest
        ({"divergence": [0, 0, 0, 9, 9, 0]}, {"sigma": 1}, (300, 1)),
        ({"divergence": [9, 9, 0, 0, 0, 0]}, {"t_start": 300}, (300, 0)),
        ({}, {"t_start": 200, "sigma": 1}, (200, 1)),
    ],
)
def test_choice(columns, fixed, chosen):
    choice = start_sweep.choose_start(scored_grid(**columns), 0.001, 0.3, **fixed)
    assert (choice["t_start"], choice["sigma"]) == chosen
    assert set(choice) == {"t_start", "sigma", "divergence", "spectrum"}
    json.dumps(choice)
