from functools import partial

import numpy as np
import pytest
from scipy.stats import norm
from sketchscope.diffusion.schedule import cosine_alpha_bar
from sketchscope.errors import InputError
from sketchscope.evaluation import divergence, start_choice, start_sweep
from sketchscope.evaluation.audit import audit_cells
from sketchscope.evaluation.image_similarity import psnr, spectrum_distance
from sketchscope.sketches.brightness import grey_at_surface
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
    grey = grey_at_surface(*example, SHAPES[example.image.shape], -0.9, None)
    return np.where(example.labels > 0, grey[example.labels - 1], -0.9 + sigma / 10).astype(np.float32)


def divergence_of(images, sketches, alpha_bar):
    counts = [sum(divergence.count_levels(values) for values in group) for group in (images, sketches)]
    return float(divergence.diverge(*(divergence.add_noise(count, alpha_bar) for count in counts)))


def test_noised_levels_are_those_of_a_sum_of_gaussians():
    """Without drawing any noise; with as many draws as it takes to see that, it is the same."""
    values, alpha_bar = np.array([-0.8, -0.8, 0.5]), 0.6
    found = divergence.add_noise(divergence.count_levels(values), alpha_bar)
    edges = np.linspace(-4, 4, divergence.BINS + 1)
    expected = sum(np.diff(norm.cdf(edges, np.sqrt(alpha_bar) * value, np.sqrt(1 - alpha_bar))) for value in values)
    np.testing.assert_allclose(found, expected, atol=2e-4)
    assert found.sum() == pytest.approx(3)
    drawn = np.sqrt(alpha_bar) * np.repeat(values, 200_000)
    drawn += np.sqrt(1 - alpha_bar) * np.random.default_rng(0).standard_normal(drawn.size)
    counts = np.histogram(drawn, edges)[0] / 200_000
    np.testing.assert_allclose(found, counts, atol=3e-3)


def test_noise_makes_sketches_and_images_alike(example):
    """The closer to pure noise, the less can be told; what is the same cannot be told apart at all."""
    sketch, inside = drawn(example, 0), example.labels > 0
    pair = [example.image[inside]], [sketch[inside]]
    found = [divergence_of(*pair, float(ALPHA_BAR[t])) for t in (0, 1, 100, 300, 900)]
    assert found == sorted(found, reverse=True)
    assert found[1] > 0.05, "texture against one grey value"
    assert found[1] > 100 * found[4]
    assert divergence_of(pair[0], pair[0], 0.5) == 0


def test_divergence_of_two_levels_is_one_bit():
    assert divergence_of([np.full(50, -0.9)], [np.full(50, 0.9)], 1.0) == pytest.approx(1)


def test_a_background_that_fits_does_not_hide_cells_that_do_not():
    """Of all pixels together the divergence was within the limit at t 200."""
    rng = np.random.default_rng(5)
    labels = np.zeros((128, 128), int)
    for number in range(8):
        labels[4 + 16 * number : 16 + 16 * number, 30:50] = number + 1
    assert (labels > 0).mean() < 0.15
    image = np.where(labels > 0, 0.0, -0.9) + rng.normal(0, 0.02, labels.shape)
    image[labels > 0] += rng.choice([-0.16, 0.16], (labels > 0).sum())
    examples = [start_sweep.Example(image, labels)]
    sketch = [np.where(labels > 0, 0.0, -0.9)]
    at = float(ALPHA_BAR[200])
    inside = start_sweep.score_windows(start_sweep.compare_windows(examples, sketch, sketch, at), np.ones((9, 1)))[0]
    everywhere = divergence_of([image.ravel()], [sketch[0].ravel()], at)
    assert inside["divergence"] > 5 * everywhere
    assert everywhere < 0.0003 < 0.001 < inside["divergence"], "the limit then, and now"


def test_scores_of_the_image_itself_and_of_a_noisy_one(example):
    itself = score([example], [example.image])
    assert (itself["psnr"], itself["spectrum"]) == (np.inf, 0)
    assert itself["zncc"] == pytest.approx(1)
    noisy = example.image + np.random.default_rng(2).normal(0, 0.2, example.image.shape)
    other, inside = score([example], [noisy]), example.labels > 0
    assert other["psnr"] == pytest.approx(psnr(noisy, example.image, inside))
    assert other["psnr"] == pytest.approx(10 * np.log10(4 / 0.04), abs=0.3)
    assert other["zncc"] == pytest.approx(np.corrcoef(noisy[inside], example.image[inside])[0, 1])
    assert other["spectrum"] == pytest.approx(spectrum_distance([noisy], [example.image]))
    assert other["spectrum"] > 1.5


def score(examples, generated):
    windows = start_sweep.compare_windows(examples, [example.image for example in examples], generated, 0.5)
    return start_sweep.score_windows(windows, start_sweep.draw_windows(len(examples), [1]))[0]


def test_a_window_without_a_cell_has_no_psnr(example):
    empty = example._replace(labels=0 * example.labels)
    noisy = example.image + np.float32(0.1)
    assert np.isnan(score([empty], [noisy])["psnr"])
    both = score([empty, example], [noisy, noisy])
    assert both["psnr"] == pytest.approx(10 * np.log10(4 / 0.01))
    assert np.isnan([both["psnr_low"], both["psnr_high"]]).all(), "one window with a cell has no interval"


def test_intervals_are_those_of_the_mean_of_windows_drawn_again(example):
    rng = np.random.default_rng(3)
    levels = (0.1, 0.15, 0.2, 0.3)
    noisy = [example.image + rng.normal(0, level, example.image.shape) for level in levels]
    found = score([example] * 4, noisy)
    single = np.array([score([example], [image])["psnr"] for image in noisy])
    assert found["psnr"] == pytest.approx(single.mean())
    drawn = np.random.default_rng([1]).integers(4, size=(start_sweep.DRAWS, 4))
    means = single[drawn].mean(1)
    assert [found["psnr_low"], found["psnr_high"]] == pytest.approx(list(start_choice.find_interval(means, 4)))
    assert found["psnr_low"] < np.quantile(means, 0.025), "four windows need more than that"


def run_sweep(examples, make_generator, **grid):
    return start_sweep.collect_points(
        start_sweep.sweep(
            examples,
            start_sweep.Run(drawn, make_generator, ALPHA_BAR, "ddpm, every step"),
            start_sweep.Grid(**grid),
            keys=([7, 8], [9]),
            audit=partial(audit_cells, voxel_size=SHAPES[examples[0].image.shape], touching=False, min_contrast=3.0),
        ),
        examples[0],
    )


def test_sweep_asks_for_every_point_with_the_same_noise_and_scores_the_sketch_itself(example):
    asked = []

    def make_generator(t_start):
        def generate(sketch, key):
            asked.append((t_start, round(10 * (float(sketch.min()) + 0.9)), key))
            return sketch + np.float32(t_start / 10000)

        return generate

    rows, draws, pictures = run_sweep([example, example], make_generator, t_starts=[100, 300], sigmas=[0, 2])
    assert asked == [(t, s, [7, 8, n]) for s in (0, 2) for t in (100, 300) for n in (0, 1)]
    assert rows["t_start"].tolist() == [0, 100, 300, 0, 100, 300]
    assert rows["sigma"].tolist() == [0, 0, 0, 2, 2, 2]
    assert rows["sampler"].tolist() == 2 * ["none", "ddpm, every step", "ddpm, every step"]
    assert (np.diff(rows["divergence"][:3]) < 0).all(), "noise hides what the sketch lacks"
    sketch, inside = drawn(example, 0), example.labels > 0
    assert rows.loc[0, "psnr"] == pytest.approx(psnr(sketch, example.image, inside))
    assert rows.loc[1, "psnr"] != rows.loc[0, "psnr"]
    assert (rows["pixels"] == 2 * inside.sum()).all()
    assert draws.divergence.shape == draws.spectrum.shape == (6, start_sweep.DRAWS)
    assert list(pictures) == ["image", "sketch 0", "0 100", "0 300", "sketch 2", "2 100", "2 300"]
    np.testing.assert_array_equal(pictures["sketch 2"], drawn(example, 2))
    np.testing.assert_array_equal(pictures["2 100"], drawn(example, 2) + np.float32(0.01))


def test_windows_are_cut_of_each_image_or_several_of_one(example):
    shape = [2, 24, 24][-example.image.ndim :]
    images = [example] * 3
    found = start_sweep.cut_examples(images, shape, 2)
    assert [cut.image.shape for cut in found] == [tuple(shape)] * 2
    assert all(cut.labels.any() for cut in found)
    of_one = start_sweep.cut_examples([example], shape, 2)
    assert len({cut.image.tobytes() for cut in of_one}) == 2
    assert all((cut.labels > 0).mean() >= (example.labels > 0).mean() for cut in of_one)
    with pytest.raises(InputError, match="none of 2 windows of training images holds a labelled cell"):
        start_sweep.cut_examples([example._replace(labels=0 * example.labels)], shape, 2)


def test_an_example_is_drawn_as_bright_as_its_cells(example):
    """Sketches of the sweep are those of the run: the same function, with the cells' own grey values and the blur."""
    voxel_size, measured = SHAPES[example.image.shape], Measured(np.array([0.9]), -0.9)
    unmeasured = {
        "decay_um": None,
        "sigma_unit": "finest",
        "grey": "measured",
        "field": "flat",
        "boundary_offset_um": 0.0,
    }
    settings = NucleusSketch(None, None, 0.1, nucleoli=[1.0], nucleolus_um=(1.0, 2.0), **unmeasured)
    draw = start_sweep.Drawing(draw_nuclei, settings, measured, voxel_size, [1], 8.0)
    sharp = draw(example, 0.0)
    assert sharp[example.labels == 1].mean() == pytest.approx(0.1, abs=0.02)
    assert sharp[example.labels == 3].mean() == pytest.approx(0.6, abs=0.02)
    assert (sharp[example.labels == 0] == np.float32(-0.9)).all()
    assert np.std(draw(example, 2.0)) < np.std(sharp)


@pytest.mark.parametrize(("field", "follows"), [("flat", False), ("measured", True)])
def test_an_example_is_drawn_before_its_own_background(example, field, follows):
    """Where the sketches of the run have a background that was measured."""
    voxel_size = SHAPES[example.image.shape]
    slope = np.linspace(-0.2, 0.2, example.image.shape[-1], dtype=np.float32)
    image = np.where(example.labels > 0, example.image, example.image + slope)
    settings = NucleusSketch(None, None, 0.1, [1.0], (1.0, 2.0), None, "finest", "measured", field, 0.0)
    draw = start_sweep.Drawing(draw_nuclei, settings, Measured(np.array([0.9]), -0.9), voxel_size, [1], 6.0)
    drawn = draw(start_sweep.Example(image, example.labels), 0.0)[example.labels == 0]
    like = np.corrcoef(drawn, image[example.labels == 0])[0, 1] if drawn.std() else 0.0
    assert (like > 0.8) == follows
