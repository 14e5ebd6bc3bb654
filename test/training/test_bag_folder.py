from training.bags import bag_folder


def make(out, text="new"):
    def write(folder):
        folder.mkdir()
        (folder / f"{folder.name}.mcap").write_text(text)
        (folder / "metadata.yaml").write_text(text)

    note = out.parent / "NOTE.md"
    note.write_text("licence")
    return bag_folder.build(out, note, 1000, write)


def test_a_bag_is_replaced_as_a_whole(tmp_path):
    assert make(tmp_path / "bag", "old") == 0 and make(tmp_path / "bag") == 0
    found = {path.name: path.read_text() for path in (tmp_path / "bag").iterdir()}
    assert found == {"bag.mcap": "new", "metadata.yaml": "new", "README.md": "licence"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["NOTE.md", "bag"]


def test_a_folder_with_other_things_in_it_and_a_folder_named_building_stay(tmp_path, capsys):
    for name in ("bag/thesis.tex", ".building/mine"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text("years of work")
    assert make(tmp_path / "bag") == 1
    assert "is more than a bag of this name (thesis.tex)" in capsys.readouterr().err
    assert make(tmp_path / "other") == 0
    for name in ("bag/thesis.tex", ".building/mine"):
        assert (tmp_path / name).read_text() == "years of work"
