import pytest
from reporting import write_benchmarks
from running import REPOSITORY
from sketchscope.errors import InputError
from sketchscope.run import cost
from sketchscope.run.cost import Cost
from sketchscope.run.job import job


def write(folder, name, *rows, columns="s\th:m:s\tmax_rss"):
    folder.mkdir(exist_ok=True)
    (folder / name).write_text("\n".join([columns, *rows]) + "\n")


def test_jobs_of_a_rule_are_added_up_and_the_largest_memory_counts(tmp_path):
    write(tmp_path, "train_diffusion.tsv", "200.25\t0:03:20\t512.5")
    write(tmp_path, "generate_volumes.batch_000.tsv", "10.5\t0:00:10\t300.0")
    write(tmp_path, "generate_volumes.batch_001.tsv", "11.5\t0:00:11\t-", "1.0\t0:00:01\t310.0")
    write(tmp_path, "generate_volumes.batch_002.tsv", "2\t0:00:02\tNA")
    write(tmp_path, "plot_loss.tsv", "0.1\t0:00:00\t-")
    assert cost.sum_costs(tmp_path, tmp_path) == {
        "generate_volumes": Cost(3, 25.0, 310.0, 0.0),
        "plot_loss": Cost(1, 0.1, None, 0.0),
        "train_diffusion": Cost(1, 200.25, 512.5, 0.0),
    }


@pytest.mark.parametrize(("gpus", "hours"), [(0, 0.0), (1, 2.0), (4, 8.0)])
def test_gpu_hours_are_those_of_the_jobs_that_ran_on_one(tmp_path, gpus, hours):
    write_benchmarks(tmp_path, gpus)
    tables = cost.tabulate_costs(cost.sum_costs(tmp_path / "benchmarks", tmp_path / "logs"))
    assert tables["gpu_hours"] == hours
    assert tables["jobs"] == {"generate_volumes": 2, "plot_loss": 1, "train_diffusion": 1}
    assert tables["seconds"] == {"generate_volumes": 60.0, "plot_loss": 0.4, "train_diffusion": 7200.0}
    assert tables["peak_memory_mb"] == {"generate_volumes": 310.0, "plot_loss": None, "train_diffusion": 812.5}


def test_a_job_of_the_cpu_took_no_gpu_whatever_was_asked_for(tmp_path):
    write(tmp_path, "train.tsv", "60\t0:01:00\t9.0")
    with job(tmp_path / "train.log", device="cpu", gpus=4):
        print("cuda would have been faster, 4 GPUs")
    assert cost.sum_costs(tmp_path, tmp_path)["train"].gpu_seconds == 0


def test_the_header_of_a_log_is_read_as_it_is_written(tmp_path, monkeypatch):
    """For as many GPUs as the scheduler was asked for, on a machine that has none."""
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.get_device_name", lambda _: "NVIDIA H100, 80GB")
    write(tmp_path, "train.tsv", "60\t0:01:00\t9.0")
    for gpus, counted in ((1, 1), (2, 2), (16, 16)):
        with job(tmp_path / "train.log", device="cuda", gpus=gpus):
            print("step 1")
        assert cost.sum_costs(tmp_path, tmp_path)["train"].gpu_seconds == 60 * counted


def test_no_benchmarks(tmp_path):
    assert cost.sum_costs(tmp_path / "absent", tmp_path) == {}
    assert cost.tabulate_costs({}) == {"jobs": {}, "seconds": {}, "peak_memory_mb": {}, "gpu_hours": 0}


@pytest.mark.parametrize("text", ["", "a\tb\n1\t2\n", "s\tmax_rss\nlong\t1\n", "s\n1\n"])
def test_a_file_that_is_no_benchmark(tmp_path, text):
    (tmp_path / "train.tsv").write_text(text)
    with pytest.raises(InputError, match=r"train\.tsv: is no benchmark file"):
        cost.sum_costs(tmp_path, tmp_path)


def test_benchmark_and_log_of_every_rule_have_one_name():
    text = "".join(path.read_text() for path in (REPOSITORY / "workflow/rules").glob("*.smk"))
    names = {
        kind: {
            line.strip(' ",') for line in text.splitlines() if line.strip().startswith(f'"results/{{organism}}/{kind}')
        }
        for kind in ("logs", "benchmarks")
    }
    expected = {name.replace("/benchmarks/", "/logs/").replace(".tsv", ".log") for name in names["benchmarks"]}
    assert len(expected) > 15
    assert expected <= names["logs"]
