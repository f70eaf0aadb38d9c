"""Environments of the rules: that they can be had, agree with requirements.txt, and hold what the scripts import."""

import re
import subprocess
import sys

import pytest
import yaml
from running import REPOSITORY

ENVIRONMENTS = sorted((REPOSITORY / "envs").glob("*.yaml"))
RECIPE = REPOSITORY / "envs/sketchscope.def"


def pins(path):
    """Name and version of the packages that pip installs."""
    (packages,) = (
        entry["pip"] for entry in yaml.safe_load(path.read_text())["dependencies"] if isinstance(entry, dict)
    )
    return dict(package.split("==") for package in packages)


def required():
    lines = (REPOSITORY / "requirements.txt").read_text().splitlines()
    return dict(line.split("==") for line in lines if line and not line.startswith("#"))


def section(name):
    """Lines of a section of the container's recipe."""
    body = re.search(rf"^%{name}\n((?: +.*\n)+)", RECIPE.read_text(), re.MULTILINE)[1]
    return [line.strip() for line in body.splitlines()]


@pytest.mark.slow
@pytest.mark.parametrize("path", ENVIRONMENTS, ids=lambda path: path.stem)
def test_pip_finds_everything(path, tmp_path):
    options = ["--dry-run", "--ignore-installed", "--quiet", "--disable-pip-version-check"]
    packages = [f"{name}=={version}" for name, version in pins(path).items()]
    done = subprocess.run([sys.executable, "-m", "pip", "install", *options, *packages], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.mark.parametrize("name", ["compute", "cellpose"])
def test_versions_are_those_of_the_requirements(name):
    for package, version in pins(REPOSITORY / f"envs/{name}.yaml").items():
        assert required()[package] == version


def test_driver_and_requirements_run_the_same_snakemake():
    driver = pins(REPOSITORY / "envs/driver.yaml")
    assert driver["snakemake"] == required()["snakemake"]
    assert driver["snakemake-executor-plugin-slurm"] == "2.8.0"
    assert "torch" not in driver


def test_every_rule_has_an_environment():
    rules = [
        (path.name, rule)
        for path in (REPOSITORY / "workflow/rules").glob("*.smk")
        for rule in re.split(r"^rule ", path.read_text(), flags=re.MULTILINE)[1:]
    ]
    assert len(rules) > 30
    for name, rule in rules:
        assert re.search(r'conda:\n +"../../envs/\w+\.yaml"', rule), f"{name}: {rule.splitlines()[0]}"


def test_container_is_made_from_the_requirements():
    (source, target) = section("files")[0].split()
    assert (REPOSITORY / source).is_file()
    assert section("post")[-1].endswith(f"-r {target}")


@pytest.mark.slow
def test_what_the_container_is_tested_with():
    (command,) = section("test")
    done = subprocess.run(command.replace("python", sys.executable, 1), shell=True, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
