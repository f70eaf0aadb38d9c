"""Dry runs: what is planned for which configuration, and how mistakes are reported."""

import os
import re
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
import tifffile
import yaml
from running import REPOSITORY, run, snakemake

ONE_OF_EACH = {
    "prepare_images",
    "segment_rough",
    "measure_cells",
    "train_diffusion",
    "train_cellpose",
    "segment_images",
}

FETCHED = ["hela", "cho", "arabidopsis", "elegans", "tribolium", "gowt1"]
ON_CYTO3 = ["deep", "arabidopsis", "flat-tissue", "deep-tissue"]

OWN = {"preset": "nuclei-2d", "images": "*.tif"}

pytestmark = pytest.mark.workflow


def plan(folder, *options, repository=REPOSITORY):
    """Number of jobs that a dry run plans, by rule."""
    done = snakemake(folder, "--dry-run", *options, repository=repository)
    assert done.returncode == 0, done.stdout
    table = done.stdout.partition("Job stats:")[2].partition("\n\n")[0]
    return {rule: int(count) for rule, count in re.findall(r"^(\w+) +(\d+)$", table, re.MULTILINE)}


def write_config(folder, organisms, **top):
    (folder / "config.yaml").write_text(yaml.safe_dump({"organisms": organisms, **top}))
    for name in ("a.tif", "b.tif", "a-truth.png", "b-truth.png"):
        if not (folder / name).exists():
            (folder / name).touch()


@pytest.mark.parametrize("scale", ["demo", "cluster", "paper"])
def test_every_preset_and_an_organism_of_ones_own_are_planned(tmp_path, scale):
    organisms = {
        **{name: {} for name in FETCHED},
        **{
            name: {"images": "*.tif", "baselines": ["classical"]}
            for name in ("zebrafish-nuclei", "zebrafish-membranes")
        },
        "flat": {"preset": "nuclei-2d", "images": "*.tif", "labels": "*.png"},
        "deep": {"preset": "nuclei-3d", "images": str(tmp_path / "*.tif"), "baselines": ["cyto3"]},
        "second": {"preset": "hela", "test_images": "13", "volumes": 5, "volumes_per_job": 2},
        "flat-tissue": {"preset": "membranes-2d", "images": "*.tif"},
        "deep-tissue": {"preset": "membranes-3d", "images": "*.tif"},
    }
    presets = {path.stem for path in (REPOSITORY / "resources/organisms").glob("*.yaml")}
    planned = {section.get("preset", name) for name, section in organisms.items()}
    assert presets == planned, "a new preset is to be planned here as well"
    write_config(tmp_path, organisms, scale=scale)
    jobs = plan(tmp_path)
    assert {rule: jobs[rule] for rule in ONE_OF_EACH} == dict.fromkeys(ONE_OF_EACH, len(organisms))
    assert jobs["fetch_dataset"] == len(FETCHED), "hela and second share a data set"
    assert jobs["fetch_weights"] == 1
    assert jobs["segment_published"] == len(ON_CYTO3)
    assert jobs["segment_classical"] == len(organisms) - len(ON_CYTO3)
    batches = {"demo": 2, "cluster": 10, "paper": 10}[scale] * (len(organisms) - 1) + 3
    for rule in ("simulate_masks", "draw_sketches", "generate_volumes"):
        assert jobs[rule] == batches


@pytest.mark.parametrize(("options", "organism"), [([], "hela"), (["--configfile", "resources/demo-3d.yaml"], "cho")])
def test_the_demos_are_planned_from_the_clone(options, organism):
    done = run("snakemake", "--dry-run", "--forceall", *options)
    assert done.returncode == 0, done.stdout
    assert "profiles/default" in done.stdout, "the default profile is found without being named"
    assert set(re.findall(r"results/([^/\s]+)/evaluation/summary\.json", done.stdout)) == {organism}


def test_a_published_network_takes_the_place_of_training(tmp_path):
    section = OWN | {"diffusion": {"checkpoint": "net.ckpt"}, "generation": {"tile_shape": [64, 64]}}
    (tmp_path / "net.ckpt").touch()
    write_config(tmp_path, {"mine": section})
    jobs = plan(tmp_path)
    assert "train_diffusion" not in jobs
    assert "plot_loss" not in jobs
    assert jobs["generate_volumes"] == 2


def test_thousands_of_volumes_are_few_jobs(tmp_path):
    section = {"preset": "nuclei-3d", "images": "*.tif", "volumes": 1000}
    write_config(tmp_path, {f"organism-{i}": section for i in range(7)}, scale="paper")
    jobs = plan(tmp_path, "--quiet", "rules", "host", "reason")
    assert jobs["generate_volumes"] == 7 * 50


def test_large_volumes_are_planned_in_slabs(tmp_path):
    large = {"preset": "nuclei-3d", "images": "*.tif", "volume_shape": [512, 2048, 2048], "volume_format": "zarr"}
    slabs = {"slab_shape": [128, 512, 512], "slab_jobs": 16}
    organisms = {"large": large | {"volumes": 6, "volumes_per_job": 2, "generation": slabs}, "small": OWN}
    write_config(tmp_path, organisms)
    jobs = plan(tmp_path)
    assert (jobs["generate_slabs"], jobs["join_slabs"]) == (3 * 16, 3)
    assert jobs["generate_volumes"] == 2, "the other organism's two batches"


def test_masks_come_from_where_the_configuration_says(tmp_path):
    sources = {
        "simulated": OWN,
        "classical": OWN | {"masks": {"source": "classical"}},
        "files": OWN | {"masks": {"source": "files", "labels": "*.png"}},
        "silver": {"preset": "hela", "masks": {"source": "silver"}},
        "published": OWN | {"masks": {"source": "cellpose", "model": "nuclei"}},
        "ours": OWN | {"masks": {"source": "cellpose", "model": "our-model"}},
    }
    (tmp_path / "our-model").touch()
    write_config(tmp_path, sources)
    jobs = plan(tmp_path)
    assert jobs["simulate_masks"] == 2, "the two batches of one organism"
    assert jobs["segment_masks"] == 5 * 2
    assert jobs["collect_labels"] == 5
    assert jobs["segment_training"] == 2
    assert jobs["fetch_weights"] == 1


def plan_file(folder, name):
    """Jobs of a file in resources, with the user's zebrafish stacks where it says, and the default config.yaml."""
    (folder / "data/zebrafish").mkdir(parents=True)
    for channel in ("ch00", "ch01"):
        (folder / f"data/zebrafish/t000_{channel}.tif").touch()
    write_config(folder, {"hela": {}})
    return plan(folder, "--configfile", REPOSITORY / "resources" / name)


def test_the_whole_paper_is_planned(tmp_path):
    jobs = plan_file(tmp_path, "paper.yaml")
    assert jobs["train_diffusion"] == jobs["train_cellpose"] == 7
    assert jobs["generate_volumes"] == jobs["draw_sketches"] == 70
    assert (jobs["simulate_masks"], jobs["segment_masks"]) == (50, 20)
    assert (jobs["collect_labels"], jobs["segment_training"]) == (2, 1)
    assert jobs["segment_classical"] == jobs["segment_published"] == 7
    assert (jobs["fetch_dataset"], jobs["fetch_weights"]) == (5, 1)


def test_the_experiment_with_segmented_images_is_planned(tmp_path):
    jobs = plan_file(tmp_path, "paper-segmented.yaml")
    assert jobs["train_diffusion"] == jobs["sweep_start"] == jobs["collect_labels"] == 5
    assert jobs["generate_volumes"] == jobs["segment_masks"] == 50
    assert "simulate_masks" not in jobs
    assert (jobs["segment_training"], jobs["fetch_dataset"]) == (1, 3)


def test_number_of_slurm_jobs_of_the_whole_paper(tmp_path):
    """As the README says; masks and sketches of a batch share a job, and what is local is none."""
    local = {"default", "all", "draw_sketches", "choose_start", "summarise_audit", "fetch_dataset", "fetch_weights"}
    local |= {"compare_models", "compare_organisms", "summarise_organism", "write_report"}
    jobs = plan_file(tmp_path, "paper.yaml")
    submitted = sum(n for rule, n in jobs.items() if rule not in local | {"total"} and not rule.startswith("plot_"))
    assert f"is {submitted} SLURM jobs" in (REPOSITORY / "README.md").read_text()


@pytest.mark.parametrize(
    ("organisms", "sentence"),
    [
        ({"hela": {"diffusion": {"stepz": 1}}}, "organisms.hela.diffusion.stepz: unknown key; did you mean steps?"),
        ({"hela": {"volumes": "many"}}, 'organisms.hela.volumes: found "many"; allowed is a whole number'),
        ({"mouse": {}}, "organisms.mouse: no preset has this name; say which one to start from"),
        ({"mine": {"preset": "nuclei-2d", "images": "x/*.tif"}}, "organisms.mine.images: found no file that matches"),
        (
            {"hela": {"diffusion": {"checkpoint": "no.ckpt"}}},
            "organisms.hela.diffusion.checkpoint: found 'no.ckpt', no file",
        ),
    ],
)
def test_a_mistake_is_one_sentence_before_any_job(tmp_path, organisms, sentence):
    write_config(tmp_path, organisms)
    done = snakemake(tmp_path)
    assert done.returncode == 1
    assert re.search(rf"^ *{re.escape(sentence)}", done.stdout, re.MULTILINE), done.stdout
    assert "Traceback" not in done.stdout
    assert not (tmp_path / "results").exists()


STAND_IN = """
import base64
from pathlib import Path

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
CONTENTS = {".png": base64.b64decode(PIXEL), ".csv": b"a,b\\n1,2\\n", ".json": b"{}", ".safetensors": b"x"}
for path in map(Path, snakemake.output):
    if path.suffix or path.name == "model":
        path.write_bytes(CONTENTS.get(path.suffix, b"x"))
    else:
        path.mkdir(exist_ok=True)
"""


def test_every_baseline_is_planned_and_a_shared_one_is_fetched_once(tmp_path):
    both = {"baselines": ["classical", "cyto3", "nuclei"]}
    write_config(tmp_path, {"mine": OWN | both, "flat-tissue": {"preset": "membranes-2d", "images": "*.tif"}})
    jobs = plan(tmp_path)
    assert (jobs["fetch_weights"], jobs["segment_published"], jobs["segment_classical"]) == (2, 3, 1)
    assert (jobs["score_segmentation"], jobs["compare_models"]) == (4 + 2, 2)


shares_the_clone = pytest.mark.xdist_group("finished")  # it takes longer to make than a dry run


def test_files_with_braces_in_their_names_are_read_and_followed(tmp_path):
    """Snakemake takes braces for wildcards."""
    for name in ("images", "truth {organism}"):
        (tmp_path / name).mkdir()
    for number, name in enumerate(("a{g}", "b{organism}", "c")):
        image = np.random.default_rng(number).integers(0, 99, (64, 64)).astype("uint16")
        tifffile.imwrite(tmp_path / f"images/{name}.tif", image)
        labels = np.zeros((64, 64), "uint16")
        labels[9:20, 9:20] = 1
        tifffile.imwrite(tmp_path / f"truth {{organism}}/{name}.tif", labels)
    section = {
        **{"preset": "nuclei-2d", "images": "images/*.tif", "labels": "truth {organism}/*.tif", "test_images": "1"},
        **{"voxel_size": [0.5, 0.5], "cell_diameter": 5.0, "diffusion": {"patch_shape": [32, 32]}},
        **{"masks": {"source": "files", "labels": "truth {organism}/[ac]*.tif"}},
    }
    (tmp_path / "config.yaml").write_text(yaml.safe_dump({"organisms": {"mine": section}}))
    target = "results/mine/segmented"
    done = snakemake(tmp_path, "--cores", "1", target)
    assert done.returncode == 0, done.stdout
    manifest = (tmp_path / "results/mine/manifest.csv").read_text()
    assert ",images/b{organism}.tif,0,64x64," in manifest
    assert manifest.splitlines()[2].endswith(",truth {organism}/b{organism}.tif")
    assert len(list((tmp_path / target).glob("*.ome.tif"))) == 2
    assert plan(tmp_path, target) == {}
    os.utime(tmp_path / "images/a{g}.tif", (9, 9))
    assert plan(tmp_path, target)["prepare_images"] == 1


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A clone whose scripts only write empty results, and a finished run of it in the clone itself."""
    clone = tmp_path_factory.mktemp("clone")
    for name in ("Snakefile", "workflow", "resources", "envs", "profiles"):
        source = REPOSITORY / name
        if source.is_dir():
            shutil.copytree(source, clone / name, ignore=shutil.ignore_patterns("downloads", "__pycache__"))
        else:
            shutil.copy(source, clone)
    for script in (clone / "workflow/scripts").glob("*.py"):
        script.write_text(STAND_IN)
    write_config(clone, {"mine": OWN})
    done = snakemake(clone, repository=clone)
    assert done.returncode == 0, done.stdout
    return clone


@shares_the_clone
@pytest.mark.parametrize(
    ("change", "repeated", "kept"),
    [
        ({}, set(), ONE_OF_EACH),
        ({"evaluation": {"thresholds": [0.6]}}, {"score_segmentation", "write_report"}, ONE_OF_EACH | {"write_card"}),
        ({"evaluation": {"margin": 0.1}}, {"compare_models"}, ONE_OF_EACH | {"score_segmentation", "write_card"}),
        ({"cellpose": {"min_size": 3}}, {"segment_images"}, ONE_OF_EACH - {"segment_images"}),
        ({"cellpose": {"replicates": 2}}, {"train_cellpose", "segment_images"}, {"train_diffusion", "write_card"}),
        ({"cellpose": {"epochs": 7}}, {"train_cellpose"}, {"train_diffusion", "generate_volumes", "write_card"}),
        ({"generation": {"t_start": 300}}, {"generate_volumes", "write_card"}, {"train_diffusion", "draw_sketches"}),
        ({"sketch": {"sigma": 2.0}}, {"draw_sketches"}, {"train_diffusion", "simulate_masks"}),
        ({"simulation": {"density": 3.0}}, {"simulate_masks"}, {"train_diffusion"}),
        ({"simulation": {"layers": 3}}, set(), ONE_OF_EACH | {"simulate_masks"}),
        ({"simulation": {"fit": True}}, {"fit_simulation", "simulate_masks"}, {"train_diffusion"}),
        ({"masks": {"shuffle": 0.5}}, set(), ONE_OF_EACH | {"simulate_masks"}),
        (
            {"masks": {"source": "classical"}},
            {"collect_labels", "segment_masks"},
            {"simulate_masks", "train_diffusion"},
        ),
        ({"sketch": {"min_contrast": 0.3}}, {"draw_sketches"}, {"draw_training_sketches", "train_diffusion"}),
        ({"sketch": {"background": -1.0}}, {"draw_training_sketches", "train_diffusion"}, {"segment_rough"}),
        ({"diffusion": {"steps": 7}}, {"train_diffusion"}, {"prepare_images", "measure_cells", "simulate_masks"}),
        ({"volumes": 24}, {"train_cellpose"}, {"train_diffusion", "prepare_images"}),
    ],
)
def test_a_change_repeats_only_what_depends_on_it(finished, change, repeated, kept):
    write_config(finished, {"mine": OWN | change})
    jobs = plan(finished, repository=finished)
    assert repeated <= set(jobs)
    assert not kept & set(jobs)
    assert bool(jobs) == bool(repeated)
    if "volumes" in change:
        assert jobs["generate_volumes"] == 1, "finished batches stay"
    if "replicates" in change.get("cellpose", {}):
        assert jobs["train_cellpose"] == jobs["segment_images"] == 1, "the model that is there stays"


@shares_the_clone
def test_a_further_baseline_repeats_nothing_but_the_comparison(finished):
    write_config(finished, {"mine": OWN | {"baselines": ["classical", "nuclei"]}})
    assert plan(finished, repository=finished) == {
        **dict.fromkeys(("fetch_weights", "segment_published", "score_segmentation", "compare_models"), 1),
        **dict.fromkeys(("plot_iou", "plot_overlays", "plot_verdict", "compare_organisms", "plot_comparison"), 1),
        **dict.fromkeys(("summarise_organism", "write_report", "default"), 1),
        "total": 12,
    }


REPORTED = {"summarise_organism", "write_report", "default"}
AUDITED = {"audit_labels", "summarise_audit", "plot_audit", "write_card"} | REPORTED
SCORED = {"score_segmentation", "compare_models", "compare_organisms"}
SCORED |= {"plot_iou", "plot_overlays", "plot_verdict", "plot_comparison"} | REPORTED
GENERATED = {"generate_volumes", "train_cellpose", "segment_images", "plot_pairs", "plot_contact"} | AUDITED | SCORED
ROUGH = {"segment_rough", "measure_cells", "measure_haze"}
SEGMENTED = {"segment_classical"} | ROUGH
LEARNT = {"train_diffusion", "plot_loss"}
TRAINED = {"draw_training_sketches"} | LEARNT
SKETCHED = {"draw_sketches", "sweep_start", "choose_start", "plot_sweep"} | GENERATED


@shares_the_clone
@pytest.mark.parametrize(
    ("change", "planned"),
    [
        ({"classical": {"edge": 0.5}}, SEGMENTED | TRAINED | SKETCHED),
        ({"classical": {"min_contrast": 6.0}}, SEGMENTED | TRAINED | SKETCHED),
        ({"diffusion": {"condition": "none"}}, ROUGH | LEARNT | SKETCHED),
        ({"sketch": {"field": "flat"}}, TRAINED | SKETCHED),
        ({"sketch": {"sigma": 2.0}}, SKETCHED),
        ({"sketch": {"membrane_um": 2.0}}, set()),
        ({"diffusion": {"report_every": 7}}, set()),
        ({"diffusion": {"checkpoint_seconds": 60}}, set()),
        ({"generation": {"batch_size": 3}}, set()),
        ({"generation": {"eta": 0.5}}, {"sweep_start", "choose_start", "plot_sweep"} | GENERATED),
        ({"sweep": {"max_spectrum": 0.5}}, {"choose_start", "plot_sweep", "write_card"} | REPORTED),
        ({"audit": {"min_contrast": 2.0}}, {"audit_references"} | AUDITED),
    ],
)
def test_a_change_plans_these_rules_and_no_other(finished, change, planned):
    write_config(finished, {"mine": OWN | change})
    assert set(plan(finished, repository=finished)) - {"total"} == planned


@shares_the_clone
@pytest.mark.parametrize("device", ["cuda", "cpu"])
def test_another_device_repeats_nothing(finished, device):
    write_config(finished, {"mine": OWN}, device=device)
    assert plan(finished, repository=finished) == {}


@shares_the_clone
def test_report_holds_every_figure_and_needs_no_internet(finished):
    write_config(finished, {"mine": OWN})
    done = snakemake(finished, "--report", "report.zip", repository=finished)
    assert done.returncode == 0, done.stdout
    with zipfile.ZipFile(finished / "report.zip") as report:
        names = {Path(name).name for name in report.namelist()}
        page = report.read("report/report.html").decode()
    assert names == {
        *("report.html", "summary.json", "statistics.csv", "comparison.csv", "comparison.png", "contact.png"),
        *("samples.png", "pairs.png", "loss.png", "overlays.png", "iou.png", "verdict.png"),
        *("audit.png", "summary.csv", "sweep.png", "choice.json", "shapes.png"),
    }
    assert not re.findall(r"<(?:script|link)[^>]+(?:src|href)=.http", page)
    for caption in (finished / "workflow/report").glob("*.rst"):
        assert caption.read_text().split()[0] in page


def test_settings_are_checked_before_snakemake_reads_them(tmp_path):
    write_config(tmp_path, {"mine": OWN})
    text = (tmp_path / "config.yaml").read_text()
    (tmp_path / "more.yaml").write_text("organisms:\n  mine:\n    seed: 010\n")
    for broken, options, sentence in (
        (text + "\tseed: 1\n", (), "config.yaml, line 5, column 1: is no valid YAML"),
        (text + "seed: 1\nseed: 2\n", (), "config.yaml, line 6: the key seed is there twice, first in line 5"),
        (text, ("--configfile", "more.yaml"), "more.yaml, line 3: found 010, which some readers take for another"),
    ):
        (tmp_path / "config.yaml").write_text(broken)
        done = snakemake(tmp_path, "--dry-run", *options)
        assert done.returncode == 1
        assert sentence in done.stdout
        assert "Traceback" not in done.stdout


def test_profile_of_slurm_without_slurm(tmp_path, monkeypatch):
    for needed in ("which", "bash", "sh"):  # by Snakemake
        (tmp_path / needed).symlink_to(shutil.which(needed))
    monkeypatch.setenv("PATH", str(tmp_path))
    write_config(tmp_path, {"mine": OWN})
    done = snakemake(tmp_path, "--profile", REPOSITORY / "profiles/slurm")
    assert done.returncode == 1
    last = done.stdout.splitlines()[-1]
    assert last == (
        "profiles/slurm: sbatch, squeue, scontrol not found; load the module of SLURM, or leave --profile out"
    )
    (tmp_path / "scontrol").write_text("#!/bin/sh\necho 'slurm_load_ctl_conf error: no controller' >&2\nexit 1\n")
    for name in ("sbatch", "squeue"):
        (tmp_path / name).write_text("#!/bin/sh\n")
    for name in ("sbatch", "squeue", "scontrol"):
        (tmp_path / name).chmod(0o755)
    done = snakemake(tmp_path, "--profile", REPOSITORY / "profiles/slurm")
    assert done.returncode == 1
    assert done.stdout.splitlines()[-1] == (
        "profiles/slurm: no SLURM answers scontrol here (slurm_load_ctl_conf error: no controller); log in to the"
        " cluster, or leave --profile out"
    )


MODULE = """
configfile: "config.yaml"


module sketchscope:
    snakefile:
        "{repository}/workflow/Snakefile"
    config:
        config


use rule * from sketchscope
"""


def test_workflow_is_a_module_of_another(tmp_path):
    write_config(tmp_path, {"mine": OWN})
    (tmp_path / "Snakefile").write_text(MODULE.format(repository=REPOSITORY))
    done = run("snakemake", "--dry-run", "all", folder=tmp_path)
    assert done.returncode == 0, done.stdout
    as_module = re.findall(r"^(\w+) +(\d+)$", done.stdout, re.MULTILINE)
    alone = plan(tmp_path, "all")
    assert {rule: int(count) for rule, count in as_module} == alone
    assert alone["train_diffusion"] == 1


def test_every_rule_says_what_it_does():
    done = run("snakemake", "--list-rules")
    listed = re.findall(r"^(\w+)(?: \((.+)\))?$", done.stdout, re.MULTILINE)
    sentences = [sentence for _, sentence in listed]
    assert len(sentences) > 40
    assert [rule for rule, sentence in listed if not sentence] == []
    assert len(set(sentences)) == len(sentences) - 1, "only the two rules for everything say the same"


def test_snakemake_lint():
    done = run("snakemake", "--lint")
    assert done.returncode == 0, done.stdout


def test_format_of_the_rules():
    done = run("snakefmt", "--check", "Snakefile", "workflow/Snakefile", "workflow/rules")
    assert done.returncode == 0, done.stdout
