from sketchscope.config.inputs import match_files


def test_globs_cross_folders_and_absent_ones_stay_absent(folder):
    assert match_files("**/t2.tif", "key") == ["data/t2.tif"]
    assert match_files(None, "key") is None
