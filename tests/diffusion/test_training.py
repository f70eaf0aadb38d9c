import json
import math
import os
import signal
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from running import run_script
from sketchscope.diffusion import patches, training
from sketchscope.diffusion.checkpoint import Checkpoint
from sketchscope.diffusion.model_file import load_model
from sketchscope.diffusion.schedule import cosine_alpha_bar
from sketchscope.diffusion.training import (
    ALONE,
    MOST_UNLEARNT,
    Intervals,
    TrainingSettings,
    build_networks,
    check_learnt,
    draw_noise,
    learning_rate_at,
    make_trainer,
    measure_unlearnt,
    prediction_loss,
    train,
    train_step,
    update_average,
)
from sketchscope.errors import InputError
from sketchscope.images.manifest import ManifestRow, write_manifest
from sketchscope.io.images import write_image
from sketchscope.run.job import STOPPED, Stopped

CPU, TIMESTEPS = torch.device("cpu"), 100
ALPHA_BAR = cosine_alpha_bar(TIMESTEPS)
SHAPES = [(16, 16), (8, 8, 8)]
USUAL = TrainingSettings(
    steps=12, learning_rate=5e-3, ema_decay=0.9, gradient_clip=1.0, seed=3, organism="hela", dtype=torch.float32
)


class Interrupted(Exception):
    """What a scheduler does to a job that runs too long."""


pytestmark = pytest.mark.usefixtures("one_thread")


def stripes(shape, count=8):
    """A source of batches: diagonal waves of a random phase."""
    position = np.indices(shape).sum(0)

    def draw_batch(rng, share=slice(None)):
        phases = rng.random(count)[share] * 2 * np.pi
        return np.stack([np.sin(0.6 * position + phase) for phase in phases])[:, None].astype(np.float32)

    return draw_batch


def networks(shape=(8, 8), channels=(8,), seed=0):
    torch.manual_seed(seed)
    return build_networks(channels, 1, shape, (1.0,) * len(shape), TIMESTEPS)


def run(folder, shape=(8, 8), *, start=0, fingerprint=None, report=lambda losses: None, draw_batch=None, **changes):
    """Train a small network: its description of the run, both state dicts and the rows of loss.csv."""
    network, average, _ = networks(shape, seed=start)
    settings = USUAL._replace(**{key: changes.pop(key) for key in USUAL._fields if key in changes})
    intervals = Intervals(changes.pop("report_every", 4), changes.pop("checkpoint_seconds", math.inf))
    reports = []

    def noted(losses):
        reports.append([list(row) for row in losses])
        report(losses)

    record = train(
        make_trainer(network, average, settings.learning_rate, CPU, settings.dtype),
        draw_batch or stripes(shape, 2),
        ALPHA_BAR,
        settings,
        intervals=intervals,
        checkpoint=Checkpoint(folder / "checkpoint.pt", fingerprint or {"seed": 3}),
        report=noted,
        **changes,
    )
    return SimpleNamespace(record=record, network=network, average=average, reports=reports)


def interrupted(folder, at, **changes):
    """Train until the report of step `at`; checkpoints are kept of the steps before."""

    def report(losses):
        if losses[-1][0] >= at:
            raise Interrupted

    with pytest.raises(Interrupted):
        run(folder, report=report, checkpoint_seconds=-1, **changes)


def assert_same(first, second):
    for name in ("network", "average"):
        one, other = getattr(first, name).state_dict(), getattr(second, name).state_dict()
        assert [key for key in one if not torch.equal(one[key], other[key])] == []


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still but for what a test adds to it."""
    clock = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(training, "time", SimpleNamespace(monotonic=lambda: clock.now))
    return clock


def ticking(clock, seconds=1.0, shape=(8, 8)):
    """Batches that take so many seconds each."""

    def draw_batch(rng, share):
        clock.now += seconds
        return stripes(shape, 2)(rng, share)

    return draw_batch


@pytest.mark.parametrize("shape", SHAPES)
def test_loss_falls(tmp_path, shape):
    result = run(tmp_path, shape, steps=80, report_every=16, draw_batch=stripes(shape, 4))
    losses = [row[2] for row in result.reports[-1]]
    assert losses[-1] < 0.4 * losses[0]

    def loss(network):
        x_0 = torch.from_numpy(stripes(shape, 32)(np.random.default_rng(99)))
        t, noise = draw_noise(x_0.shape, TIMESTEPS, torch.Generator().manual_seed(99))
        with torch.no_grad():
            return prediction_loss(network, x_0, t, noise, torch.from_numpy(ALPHA_BAR), "eps", torch.float32).item()

    fresh = networks(shape)[0]
    assert loss(result.average) < 0.4 * loss(fresh)


def test_reports(tmp_path):
    result = run(tmp_path, steps=10)
    assert [[row[0] for row in rows] for rows in result.reports] == [[4], [4, 8], [4, 8, 10]]
    steps, _, losses, rates = zip(*result.reports[-1], strict=True)
    assert rates == tuple(learning_rate_at(step - 1, 10, 5e-3) for step in steps)
    single = run(tmp_path, steps=10, report_every=1).reports[-1]
    each = [row[2] for row in single]
    assert losses == pytest.approx([np.mean(each[:4]), np.mean(each[4:8]), np.mean(each[8:])])
    assert result.record["steps"] == 10


def test_no_report_twice(tmp_path):
    assert [[row[0] for row in rows] for rows in run(tmp_path, steps=8).reports] == [[4], [4, 8]]


def test_every_step_has_its_own_batch(tmp_path):
    drawn = []

    def draw_batch(rng, share):
        drawn.append(rng.random())
        return stripes((8, 8), 2)(rng, share)

    run(tmp_path, draw_batch=draw_batch)
    run(tmp_path, draw_batch=draw_batch, seed=4)
    assert len(set(drawn)) == 24


def test_seed_and_step_decide(tmp_path):
    assert_same(run(tmp_path), run(tmp_path))
    other = run(tmp_path, seed=4)
    with pytest.raises(AssertionError):
        assert_same(run(tmp_path), other)


@pytest.mark.parametrize("shape", [(8, 8), (4, 8, 8)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_resumed_is_as_uninterrupted(tmp_path, capsys, shape, dtype):
    whole = run(tmp_path / "whole", shape, dtype=dtype)
    interrupted(tmp_path, 8, shape=shape, dtype=dtype)
    capsys.readouterr()
    resumed = run(tmp_path, shape, dtype=dtype, start=77)  # other weights, which the checkpoint replaces
    assert "resumed at step 7" in capsys.readouterr().out
    assert_same(whole, resumed)
    assert resumed.record["steps"] == 12
    table = [[row[0], *row[2:]] for row in resumed.reports[-1]]  # all but the seconds
    assert table == [[row[0], *row[2:]] for row in whole.reports[-1]]


def test_resumed_with_other_intervals(tmp_path, capsys):
    """How often it reports and saves changes no weight, so an interrupted training goes on with other intervals."""
    whole = run(tmp_path / "whole")
    interrupted(tmp_path, 8)
    capsys.readouterr()
    resumed = run(tmp_path, report_every=5, checkpoint_seconds=1, start=77)
    assert "resumed at step 7" in capsys.readouterr().out
    assert_same(whole, resumed)
    assert [row[0] for row in resumed.reports[-1]] == [4, 10, 12]


def test_interrupted_twice(tmp_path):
    whole = run(tmp_path / "whole")
    interrupted(tmp_path, 4)
    interrupted(tmp_path, 8)
    assert_same(whole, run(tmp_path))


def test_asked_to_stop(tmp_path, capsys):
    """The step in hand is finished, the checkpoint is of that step, and the next attempt goes on."""
    whole = run(tmp_path / "whole")
    asked = []
    with pytest.raises(Stopped, match="at step 5; the checkpoint is saved"):
        run(tmp_path, stop=lambda: asked.append(1) or len(asked) > 5)
    assert_same(whole, run(tmp_path, start=77))
    assert "resumed at step 5" in capsys.readouterr().out


def test_asked_to_stop_after_the_last_step(tmp_path):
    """What is done is not given up."""
    asked = []
    result = run(tmp_path, stop=lambda: asked.append(1) or len(asked) > 12)
    assert result.record["steps"] == 12


def test_half_written_checkpoints_of_a_killed_process_go(tmp_path):
    leftover = tmp_path / ".checkpoint.pt.1234-abcdef01.tmp"
    leftover.write_bytes(b"half")
    run(tmp_path)
    assert not leftover.exists()


def test_weights_are_not_those_of_the_start(tmp_path):
    """What makes the comparison of resumed with uninterrupted weights worth something."""
    network, average, _ = networks()
    with pytest.raises(AssertionError):
        assert_same(run(tmp_path), SimpleNamespace(network=network, average=average))


def damage(path):
    path.write_bytes(path.read_bytes()[:1000])


def empty(path):
    path.write_bytes(b"")


def of_other_settings(path):
    torch.save(torch.load(path) | {"fingerprint": '{"seed": 4}'}, path)


def without_fingerprint(path):
    torch.save({"model": torch.zeros(3)}, path)


def no_mapping(path):
    torch.save([1, 2, 3], path)


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (damage, "cannot be read"),
        (empty, "cannot be read"),
        (of_other_settings, "belongs to other settings"),
        (without_fingerprint, "cannot be read"),
        (no_mapping, "cannot be read"),
    ],
)
def test_unusable_checkpoint(tmp_path, capsys, spoil, reason):
    whole = run(tmp_path / "whole")
    interrupted(tmp_path, 8)
    spoil(tmp_path / "checkpoint.pt")
    capsys.readouterr()
    resumed = run(tmp_path)
    printed = [line for line in capsys.readouterr().out.splitlines() if "checkpoint.pt" in line]
    assert len(printed) == 1
    assert f"checkpoint.pt {reason}, training starts over" in printed[0]
    assert_same(whole, resumed)
    assert [row[0] for row in resumed.reports[-1]] == [4, 8, 12]


def test_checkpoints_in_time(tmp_path, clock, monkeypatch):
    saved = []
    monkeypatch.setattr(Checkpoint, "save", lambda self, state: saved.append((state["step"], state["seconds"])))
    run(tmp_path, checkpoint_seconds=3.5, draw_batch=ticking(clock))
    assert saved == [(4, 4.0), (8, 8.0), (12, 12.0)]


def test_time_is_told_and_decides_nothing(tmp_path, clock):
    """Steps that take years are taken all the same; time in the queue does not count."""
    quick = run(tmp_path / "quick")
    with pytest.raises(Interrupted):
        run(tmp_path, draw_batch=ticking(clock, 1e8), report=raise_at_4, checkpoint_seconds=0)
    clock.now += 5000  # in the queue
    slow = run(tmp_path, draw_batch=ticking(clock, 1e8))
    assert slow.record == {"steps": 12, "seconds": 12e8}
    assert [row[:2] for row in slow.reports[-1]] == [[4, 4e8], [8, 8e8], [12, 12e8]]
    assert_same(quick, slow)


def raise_at_4(losses):
    if losses[-1][0] == 4:
        raise Interrupted


@pytest.mark.parametrize("checkpoint_seconds", [0, 2.5, 1e9])
def test_checkpoints_change_no_weight(tmp_path, clock, checkpoint_seconds):
    whole = run(tmp_path / "whole")
    assert_same(whole, run(tmp_path, checkpoint_seconds=checkpoint_seconds, draw_batch=ticking(clock)))


def test_resumed_with_nothing_left_to_do(tmp_path, clock):
    """Interrupted after the last step: the next attempt writes the outputs that the first could not."""
    first = run(tmp_path, checkpoint_seconds=0, draw_batch=ticking(clock))
    second = run(tmp_path, draw_batch=ticking(clock), start=77)
    assert second.record == first.record == {"steps": 12, "seconds": 12.0}
    assert second.reports == first.reports[-1:]
    assert_same(first, second)


def test_learning_rate_curve():
    rates = np.array([learning_rate_at(step, 1000, 2e-3) for step in range(1000)])
    np.testing.assert_allclose(rates[:50], 2e-3 * np.arange(1, 51) / 50)
    assert rates.max() == 2e-3
    assert rates[50] == 2e-3
    assert rates[525] == pytest.approx(1e-3)
    assert (np.diff(rates[50:]) < 0).all()
    assert 0 < rates[-1] < 1e-7
    assert [learning_rate_at(step, 1, 5.0) for step in range(1)] == [5.0]
    assert [learning_rate_at(step, 2, 5.0) for step in range(2)] == [5.0, 5.0]


@pytest.mark.parametrize(("step", "decay"), [(0, 0.1), (5, 0.4), (10_000, 0.99)])
def test_average_formula(step, decay):
    average, network = torch.nn.Linear(3, 2), torch.nn.Linear(3, 2)
    expected = [decay * a + (1 - decay) * n for a, n in zip(average.parameters(), network.parameters(), strict=True)]
    kept = [parameter.clone() for parameter in network.parameters()]
    update_average(average, network, step, 0.99)
    for one, other in zip(average.parameters(), expected, strict=True):
        torch.testing.assert_close(one, other)
    assert all(torch.equal(a, b) for a, b in zip(network.parameters(), kept, strict=True))


class Seer(torch.nn.Module):
    """Knows that all images are 0.5 everywhere, and so the noise in them; notes the steps it is asked about."""

    def __init__(self):
        super().__init__()
        self.steps = []

    def forward(self, x_t, t):
        self.steps += t.tolist()
        alpha_bar = torch.from_numpy(ALPHA_BAR)[t].reshape(-1, *[1] * (x_t.ndim - 1)).float()
        return (x_t - alpha_bar.sqrt() * 0.5) / (1 - alpha_bar).sqrt()


@pytest.mark.parametrize("shape", [(4, 4), (2, 4, 4)])
def test_loss_of_exact_and_of_no_prediction(shape):
    x_0, network, alpha_bar = torch.full((2000, 1, *shape), 0.5), Seer(), torch.from_numpy(ALPHA_BAR)
    t, noise = draw_noise(x_0.shape, TIMESTEPS, torch.Generator().manual_seed(0))
    assert prediction_loss(network, x_0, t, noise, alpha_bar, "eps", torch.float32).item() < 1e-7
    steps, counts = np.unique(network.steps, return_counts=True)
    assert steps.tolist() == list(range(1, TIMESTEPS + 1))
    assert counts.max() < 60  # each 20 times on average
    nothing = prediction_loss(lambda x_t, t: 0 * x_t, x_0, t, noise, alpha_bar, "eps", torch.float32)
    assert nothing.item() == pytest.approx(1, abs=0.05)


def test_loss_of_the_velocity():
    x_0, alpha_bar = torch.full((2000, 1, 4, 4), 0.5), torch.from_numpy(ALPHA_BAR)
    t, noise = draw_noise(x_0.shape, TIMESTEPS, torch.Generator().manual_seed(0))
    share = alpha_bar[t].reshape(-1, 1, 1, 1).float()

    def seer(x_t, t):
        return share.sqrt() * Seer()(x_t, t) - (1 - share).sqrt() * 0.5

    assert prediction_loss(seer, x_0, t, noise, alpha_bar, "v", torch.float32).item() < 1e-7
    nothing = prediction_loss(lambda x_t, t: 0 * x_t, x_0, t, noise, alpha_bar, "v", torch.float32)
    assert nothing.item() == pytest.approx((share + (1 - share) * 0.25).mean().item(), rel=0.02)


def one_step(dtype, *, step=0, rate=1e-3, **changes):
    """A trainer, and a function that takes the step at which the warm-up has just reached the learning rate."""
    network, average, _ = networks((16, 16), (8, 16))
    trainer = make_trainer(network, average, rate, CPU, dtype)
    x_0 = torch.from_numpy(stripes((16, 16))(np.random.default_rng(0)))
    settings = USUAL._replace(steps=20 * (step + 1), learning_rate=rate, seed=0, dtype=dtype)._replace(**changes)
    assert learning_rate_at(step, settings.steps, rate) == pytest.approx(rate)
    alpha_bar = torch.from_numpy(ALPHA_BAR)
    return trainer, lambda: train_step(trainer, network, x_0, alpha_bar, settings, step=step, team=ALONE)


@pytest.mark.parametrize(("dtype", "scaled"), [(torch.float32, False), (torch.bfloat16, False), (torch.float16, True)])
def test_precision(dtype, scaled):
    trainer, step = one_step(dtype)
    seen = []
    trainer.network.stem.register_forward_hook(lambda module, inputs, output: seen.append(output.dtype))
    loss = step()
    assert seen == [dtype]
    assert loss.dtype == torch.float32
    assert {parameter.dtype for parameter in trainer.network.parameters()} == {torch.float32}
    assert trainer.scaler.is_enabled() == scaled
    exact = one_step(torch.float32)[1]().item()
    assert loss.item() == pytest.approx(exact, rel=0.02)


def test_overflow_of_fp16_skips_the_step():
    trainer, step = one_step(torch.float16)
    step()
    before = [parameter.clone() for parameter in trainer.network.parameters()]
    trainer.scaler.load_state_dict(trainer.scaler.state_dict() | {"scale": 2.0**100})
    step()
    assert all(torch.equal(a, b) for a, b in zip(before, trainer.network.parameters(), strict=True))
    assert trainer.scaler.get_scale() == 2.0**99


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_gradient_is_clipped(dtype):
    def norm(**changes):
        trainer, step = one_step(dtype, **changes)
        step()
        gradients = [p.grad.flatten() for p in trainer.network.parameters() if p.grad is not None]
        return torch.cat(gradients).norm().item()

    free = norm(gradient_clip=1e9)
    assert free > 0.1
    assert norm(gradient_clip=0.01) == pytest.approx(0.01, rel=1e-3)
    assert norm(gradient_clip=1e6) == free


def test_every_step_has_its_own_noise():
    losses = {one_step(torch.float32, step=step, seed=seed)[1]().item() for step, seed in ((0, 0), (1, 0), (0, 1))}
    assert len(losses) == 3
    assert one_step(torch.float32)[1]().item() in losses


def test_average_follows_the_step():
    trainer, step = one_step(torch.float32, step=5, rate=0.1)
    before = [parameter.clone() for parameter in trainer.average.parameters()]
    step()
    for old, average, new in zip(before, trainer.average.parameters(), trainer.network.parameters(), strict=True):
        torch.testing.assert_close(average, 0.4 * old + 0.6 * new)


@pytest.mark.parametrize("rate", [1e-3, 1e-4])
def test_rate_is_the_size_of_the_first_step(rate):
    """Adam's first step moves each weight by the learning rate, whatever the gradient."""
    trainer, step = one_step(torch.float32, rate=rate)
    before = trainer.network.head[2].weight.detach().clone()
    step()
    moved = (trainer.network.head[2].weight - before).abs().max().item()
    assert moved == pytest.approx(rate, rel=0.05)


def test_average_starts_as_the_network():
    network, average, description = networks((5, 32, 32), (8, 16))
    one, other = network.state_dict(), average.state_dict()
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert one["stem.weight"].data_ptr() != other["stem.weight"].data_ptr()
    assert description["architecture"]["strides"] == [(1, 2, 2)]


@pytest.mark.parametrize(
    ("shape", "channels", "message"),
    [
        ((10, 18), (8, 8, 8), r"patch_shape: found \[10, 18\]; .* a multiple of 2, 4"),
        ((9, 16, 16), (8, 8), r"patch_shape: found \[9, 16, 16\]; .* a multiple of 2, 2, 2"),
    ],
)
def test_patch_that_cannot_be_halved(shape, channels, message):
    with pytest.raises(InputError, match=message):
        networks(shape, channels)


OUTPUTS = {"model": "model.safetensors", "loss": "loss.csv", "samples": "samples.png", "record": "training.json"}


@pytest.fixture
def attempt(tmp_path):
    """Run the script of the rule with its outputs in a folder; returns its log."""
    numbers = {"voxel_size": (1.0, 1.0), "low": 0.0, "high": 100.0, "gamma": 1.0, "labelled": False}
    write_manifest(tmp_path / "manifest.csv", [ManifestRow("0", "train", "a.tif", 0, (20, 24), "uint16", **numbers)])
    image = np.random.default_rng(0).integers(0, 100, (20, 24)).astype(np.uint16)
    write_image(tmp_path / "images/0.ome.tif", image, (1.0, 1.0), compress=False)
    usual = {"timesteps": 100, "channels": [8], "blocks": 1, "patch_shape": [8, 8], "batch_size": 2, "steps": 12}
    usual |= {"learning_rate": 5e-3, "ema_decay": 0.9, "gradient_clip": 1.0, "prediction": "eps"}
    usual |= {"precision": "fp32", "foreground_fraction": 0.5}

    def run_rule(folder, *, settings=(), **resources):
        run_script(
            "train_diffusion",
            tmp_path,
            inputs={"manifest": tmp_path / "manifest.csv", "images": tmp_path / "images"},
            outputs={name: str(folder / file) for name, file in OUTPUTS.items()},
            params={"settings": usual | dict(settings), "seed": 3},
            resources={"device": "cpu", "report_every": 4, "checkpoint_seconds": 600} | resources,
        )
        return (tmp_path / "logs/train_diffusion.log").read_text()

    return run_rule


@pytest.fixture
def at_step(monkeypatch):
    """Do something while the batch of a step is drawn."""

    def do(step, action):
        drawn = []

        def draw_patches(*arguments):
            if arguments[2] == 2:  # a batch of the training, no examples for samples
                drawn.append(1)
                if len(drawn) == step:
                    action()
            return original(*arguments)

        monkeypatch.setattr(patches, "draw_patches", draw_patches)

    original = patches.draw_patches
    return do


def test_interrupted_script_goes_on_with_other_intervals(tmp_path, attempt, at_step):
    """What changes no weight is not part of the checkpoint's fingerprint; what does is."""
    attempt(tmp_path / "whole")
    at_step(7, ask_to_stop)
    with pytest.raises(SystemExit):
        attempt(tmp_path / "cut")
    assert "resumed at step 7" in attempt(tmp_path / "cut", report_every=5, checkpoint_seconds=1, device="auto")
    models = [(tmp_path / folder / "model.safetensors").read_bytes() for folder in ("whole", "cut")]
    assert models[0] == models[1]

    at_step(7, ask_to_stop)
    with pytest.raises(SystemExit):
        attempt(tmp_path / "other")
    assert "belongs to other settings, training starts over" in attempt(tmp_path / "other", settings={"ema_decay": 0.8})


def ask_to_stop():
    """What a scheduler does shortly before the time limit."""
    os.kill(os.getpid(), signal.SIGTERM)


def fail():
    raise Interrupted


@pytest.mark.parametrize(("action", "code"), [(ask_to_stop, STOPPED), (fail, 1)])
def test_a_training_that_ends_early_leaves_its_checkpoint_and_no_model(tmp_path, attempt, at_step, action, code):
    at_step(9, action)
    with pytest.raises(SystemExit) as caught:
        attempt(tmp_path / "cut", checkpoint_seconds=0)
    assert caught.value.code == code
    assert {path.name for path in (tmp_path / "cut").iterdir()} == {"checkpoint.pt", "loss.csv", "samples.png"}


def test_a_training_that_diverged_leaves_no_model(tmp_path, attempt):
    with pytest.raises(SystemExit) as caught:
        attempt(tmp_path / "wild", settings={"learning_rate": 10.0})
    assert caught.value.code == 1
    log = (tmp_path / "logs/train_diffusion.log").read_text()
    assert "Error: diffusion.learning_rate: found 10, with which the training failed: its loss is " in log
    assert "Traceback" not in log
    assert not (tmp_path / "wild/model.safetensors").exists()


@pytest.mark.parametrize("prediction", ["eps", "v"])
@pytest.mark.parametrize("shape", [(4, 4), (2, 4, 4)])
def test_how_much_is_not_learnt(shape, prediction):
    batch = torch.full((50, 1, *shape), 0.5)
    knowing, silent, seer = Seer(), Seer(), Seer()

    def speak(x_t, t):
        alpha_bar = torch.from_numpy(ALPHA_BAR)[t].reshape(-1, *[1] * (x_t.ndim - 1)).float()
        eps = seer(x_t, t)
        return eps if prediction == "eps" else alpha_bar.sqrt() * eps - (1 - alpha_bar).sqrt() * 0.5

    def guess(x_t, t):
        """The mean of all images, whatever the noise."""
        alpha_bar = torch.from_numpy(ALPHA_BAR)[t].reshape(-1, *[1] * (x_t.ndim - 1)).float()
        return 0 * x_t - (0 if prediction == "eps" else (1 - alpha_bar).sqrt() * 0.5)

    knowing.forward, silent.forward = speak, guess
    knowing.prediction = silent.prediction = prediction
    assert measure_unlearnt(knowing, batch, ALPHA_BAR, torch.float32, 0) < 1e-6
    assert sorted(set(seer.steps)) == sorted({round(t) for t in np.linspace(1, TIMESTEPS, 50)})
    assert measure_unlearnt(silent, batch, ALPHA_BAR, torch.float32, 0) == pytest.approx(1)


def test_what_has_learnt_too_little_is_refused():
    check_learnt(MOST_UNLEARNT, 1e-3)
    for unlearnt, said in ((0.99, "0.99"), (7.0, "7.00"), (float("nan"), "nan")):
        with pytest.raises(InputError) as caught:
            check_learnt(unlearnt, 1.0)
        assert str(caught.value) == (
            f"diffusion.learning_rate: found 1, with which the training failed: its loss is {said} of that of a network"
            " that knows nothing, allowed is at most 0.97; set a smaller learning rate, or more diffusion.steps if"
            " there were only a few"
        )


def test_record_and_model_say_how_far_the_training_is(tmp_path, attempt):
    attempt(tmp_path)
    record = json.loads((tmp_path / "training.json").read_text())
    assert (record["steps"], record["arithmetic"], record["settings"]["steps"]) == (12, "float32", 12)
    assert record["seconds"] > 0
    assert record["device"].startswith("cpu (")
    description = load_model(tmp_path / "model.safetensors")[1]
    assert (description["steps"], description["steps_wanted"]) == (12, 12)
