"""The cache never shows an entry that is not whole."""

from pathlib import Path

import pytest

from lab import cache


def test_the_key_tells_apart_inputs_that_only_differ_in_where_they_are_cut() -> None:
    assert cache.key("ab", "c") != cache.key("a", "bc")


def test_the_key_is_the_same_for_text_and_its_bytes() -> None:
    assert cache.key("go.mod") == cache.key(b"go.mod")


def test_the_cache_follows_xdg(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert cache.root() == Path("/somewhere/evenload")


def test_renaming_a_file_changes_the_inputs_of_its_folder(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("same")
    before = cache.tree_inputs(tmp_path)
    (tmp_path / "a").rename(tmp_path / "b")
    assert cache.tree_inputs(tmp_path) != before


def test_byte_code_does_not_change_the_inputs_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "module.py").write_text("x = 1")
    before = cache.tree_inputs(tmp_path)
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "module.cpython-311.pyc").write_bytes(b"\0")
    assert cache.tree_inputs(tmp_path) == before


def test_an_entry_whose_making_fails_does_not_exist_and_leaves_no_scratch(tmp_path: Path) -> None:
    def half(folder: Path) -> None:
        (folder / "half").write_text("done")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cache.publish(tmp_path / "part" / "key", half)
    assert list((tmp_path / "part").iterdir()) == []


def test_a_published_entry_holds_what_was_made(tmp_path: Path) -> None:
    entry = cache.publish(tmp_path / "part" / "key", lambda folder: (folder / "binary").touch())
    assert [path.name for path in entry.iterdir()] == ["binary"]


def test_forgetting_keeps_the_newest_and_the_entry_itself(tmp_path: Path) -> None:
    import os

    for age, name in enumerate(["oldest", "old", "new"]):
        (tmp_path / name).mkdir()
        os.utime(tmp_path / name, (age, age))
    cache.forget_others(tmp_path / "oldest", keep=1)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new", "oldest"]


def test_removing_copes_with_read_only_folders(tmp_path: Path) -> None:
    folder = tmp_path / "module"
    (folder / "inner").mkdir(parents=True)
    (folder / "inner" / "file.go").touch()
    (folder / "inner").chmod(0o500)
    folder.chmod(0o500)
    cache.remove(folder)
    assert not folder.exists()


def test_a_lock_that_somebody_holds_is_announced_and_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import threading

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    announced, taken = threading.Event(), threading.Event()

    def second() -> None:
        with cache.lock("part", waiting=announced.set):
            taken.set()

    with cache.lock("part"):
        thread = threading.Thread(target=second)
        thread.start()
        assert announced.wait(60)
        assert not taken.is_set()
    thread.join(60)
    assert taken.is_set()
