import numpy as np
import pytest
import torch
from sketchscope.diffusion.model_file import load_network, save_model
from sketchscope.diffusion.prediction import make_target, predict_x_0
from sketchscope.diffusion.samplers import SAMPLERS, Sampler, p_sample_loop
from sketchscope.diffusion.schedule import cosine_alpha_bar, q_sample, respace
from sketchscope.diffusion.training import build_networks

ALPHA_BAR = cosine_alpha_bar(1000)
PREDICTIONS = ("eps", "v")

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize("shape", [(8, 8), (2, 8, 8)])
@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_predicted_x_0_undoes_the_forward_process(shape, prediction):
    x_0, noise = torch.rand(shape) * 2 - 1, torch.randn(shape)
    target = make_target(x_0, noise, 0.4, prediction)
    found = predict_x_0(q_sample(x_0, noise, 0.4), target, 0.4, prediction, clip=True)
    torch.testing.assert_close(found, x_0)


def test_targets_are_the_noise_and_the_derivative_of_the_forward_process():
    x_0, noise = torch.rand(8, 8, dtype=torch.float64) * 2 - 1, torch.randn(8, 8, dtype=torch.float64)
    assert make_target(x_0, noise, 0.4, "eps") is noise
    # with alpha_bar = cos(phi)^2, v is d x_t / d phi
    phi, step = 0.7, 1e-6
    near = [q_sample(x_0, noise, float(np.cos(p) ** 2)) for p in (phi - step, phi + step)]
    derivative = (near[1] - near[0]) / (2 * step)
    torch.testing.assert_close(make_target(x_0, noise, float(np.cos(phi) ** 2), "v"), derivative, atol=1e-8, rtol=1e-6)


def test_what_is_predicted_is_clipped_only_if_asked():
    outside = torch.tensor([9.0, -9.0])
    for prediction, scale in (("eps", 0.4**-0.5), ("v", 0.4**0.5)):
        assert predict_x_0(outside, torch.zeros(2), 0.4, prediction, clip=True).tolist() == [1, -1]
        found = predict_x_0(outside, torch.zeros(2), 0.4, prediction, clip=False)
        torch.testing.assert_close(found, outside * scale)


def test_each_image_of_a_batch_has_its_own_step():
    x_0, noise = torch.rand(2, 1, 4, 4), torch.randn(2, 1, 4, 4)
    at_t = torch.tensor([0.9, 0.1], dtype=torch.float64).reshape(2, 1, 1, 1)
    both = make_target(x_0, noise, at_t, "v")
    for number, alpha_bar in enumerate((0.9, 0.1)):
        torch.testing.assert_close(both[number], make_target(x_0[number], noise[number], alpha_bar, "v"))


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_every_sampler_makes_the_same_image_from_v_as_from_eps(sampler):
    generator = torch.Generator().manual_seed(0)
    x_t = torch.randn(8, 8, dtype=torch.float64, generator=generator)
    fresh = {t: torch.randn(8, 8, dtype=torch.float64, generator=generator) for t in range(1, 1001)}

    def predict_eps(x_t, t):
        return torch.tanh(x_t) * 0.9

    def predict_v(x_t, t):
        alpha_bar = ALPHA_BAR[t]
        x_0 = predict_x_0(x_t, predict_eps(x_t, t), alpha_bar, "eps", clip=False)
        return make_target(x_0, predict_eps(x_t, t), alpha_bar, "v")

    images = [
        p_sample_loop(x_t, respace(ALPHA_BAR, 600, 8), predict, fresh.get, Sampler(sampler, 600, 8, 0.5, True), name)
        for predict, name in ((predict_eps, "eps"), (predict_v, "v"))
    ]
    torch.testing.assert_close(*images)


def test_error_at_the_noisiest_step():
    """The same error of the network is multiplied by 1/sqrt(alpha_bar) with eps, and made no larger with v."""
    x_0, noise, error, alpha_bar = torch.full((8, 8), 0.5), torch.randn(8, 8), 0.01, float(ALPHA_BAR[990])
    off = {}
    for prediction in PREDICTIONS:
        output = make_target(x_0, noise, alpha_bar, prediction) + error
        found = predict_x_0(q_sample(x_0, noise, alpha_bar), output, alpha_bar, prediction, clip=False)
        off[prediction] = (found - x_0).abs().mean().item()
    assert off["v"] == pytest.approx(error, rel=0.01)
    assert off["eps"] == pytest.approx(error * ((1 - alpha_bar) / alpha_bar) ** 0.5, rel=0.01)
    assert off["eps"] > 50 * off["v"]


@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_model_file_says_what_its_network_predicts(tmp_path, prediction):
    network, _, description = build_networks([8, 16], 1, (16, 16), (0.5, 0.5), 100, prediction=prediction)
    save_model(tmp_path / "model.safetensors", network, description | {"steps": 1, "steps_wanted": 1})
    assert load_network(tmp_path / "model.safetensors")[0].prediction == prediction


def test_model_file_that_does_not_say_it_predicts_eps(tmp_path):
    network, _, description = build_networks([8, 16], 1, (16, 16), (0.5, 0.5), 100)
    del description["architecture"]["prediction"]
    save_model(tmp_path / "model.safetensors", network, description | {"steps": 1, "steps_wanted": 1})
    assert load_network(tmp_path / "model.safetensors")[0].prediction == "eps"
