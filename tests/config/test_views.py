import pytest
from configuring import resolve_one
from sketchscope.config.views import effective_settings, share_volumes, simulation_settings, synthetic_settings


def test_settings_to_read_leave_out_what_means_nothing(folder, own):
    simulated = resolve_one(own)
    shown = effective_settings(simulated)
    assert shown["masks"] == {"source": "simulated"}
    assert shown["simulation"] == {"fit": False, "simulator": "nuclei", **simulation_settings(simulated)}
    assert simulated["diffusion"].keys() - shown["diffusion"].keys() == {"report_every", "checkpoint_seconds"}
    assert simulated["generation"].keys() - shown["generation"].keys() == {"batch_size"}
    others = {"masks", "simulation", "diffusion", "generation", "file_warnings"}
    assert {key: shown[key] for key in shown.keys() - others} == {
        key: simulated[key] for key in simulated.keys() - others
    }
    fitted = effective_settings(resolve_one(own | {"simulation": {"fit": True}}))["simulation"]
    assert shown["simulation"].keys() - fitted.keys() == {
        *("diameter_cv", "elongation", "elongation_sd", "density", "spacing_um"),
    }
    segmented = resolve_one(own | {"masks": {"source": "classical"}})
    assert effective_settings(segmented).keys() == segmented.keys() - {"simulation", "file_warnings"}


def test_settings_of_the_synthetic_images_name_no_file(folder, own):
    found = synthetic_settings(resolve_one(own | {"masks": {"source": "files", "labels": "data/*.png"}}))
    assert found.keys().isdisjoint({"images", "labels", "baselines", "cellpose", "evaluation"})
    assert found["masks"]["source"] == "files"
    assert ".png" not in str(found)
    assert ".tif" not in str(found)


@pytest.mark.parametrize(("volumes", "per_job", "sizes"), [(5, 2, [2, 2, 1]), (4, 2, [2, 2]), (1, 8, [1])])
def test_batches_hold_every_volume_once(volumes, per_job, sizes):
    jobs = share_volumes(volumes, per_job)
    assert [len(job) for job in jobs.values()] == sizes
    positions = {name: index for job in jobs.values() for name, index in job.items()}
    assert positions == {f"volume_{index:04d}": index for index in range(volumes)}
    assert next(iter(jobs)) == "batch_000"


def test_more_volumes_leave_full_batches_as_they_are():
    few, many = share_volumes(16, 8), share_volumes(100, 8)
    assert few.items() <= many.items()
