from sketchscope.config.auto import fill_auto


def test_auto_becomes_what_was_found(tmp_path):
    (tmp_path / "choice.json").write_text('{"t_start": 300, "sigma": 0.5, "psnr": 20.0}')
    (tmp_path / "depth.json").write_text('{"decay_um": null}')
    settings = {"t_start": "auto", "steps": 10}
    assert fill_auto(settings, [tmp_path / "choice.json"]) == {"t_start": 300, "steps": 10}
    assert fill_auto({"t_start": 400}, []) == {"t_start": 400}
    found = fill_auto({"sigma": "auto", "decay_um": "auto"}, [tmp_path / "choice.json", tmp_path / "depth.json"])
    assert found == {"sigma": 0.5, "decay_um": None}
