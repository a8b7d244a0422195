"""Image archives: what containerd and docker will read in them."""

import hashlib
import json
import tarfile
from pathlib import Path

import pytest

from lab import images, rootfs
from lab.errors import LabError, NotUp
from lab.state import LabState


@pytest.fixture
def layer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "root").mkdir(mode=0o700)
    (tmp_path / "root" / "hello").write_text("world")
    (tmp_path / "layers").mkdir()
    rootfs.archive(tmp_path / "root", tmp_path / "layers" / "layer.tar")
    return tmp_path / "layers" / "layer.tar"


def build(layer: Path, env: dict[str, str] | None = None) -> Path:
    return images.build("thing", "lab", [layer], ("run", "me"), user="65532", env=env or {"A": "b"})


def member(archive: Path, name: str) -> bytes:
    with tarfile.open(archive) as content:
        found = content.extractfile(name)
        assert found is not None
        return found.read()


def test_the_archive_names_the_image_and_its_layers_in_order(layer: Path) -> None:
    archive = build(layer)
    (entry,) = json.loads(member(archive, "manifest.json"))
    assert entry["RepoTags"] == ["thing:lab"]
    assert [member(archive, name) for name in entry["Layers"]] == [layer.read_bytes()]


def test_the_configuration_has_command_user_and_environment(layer: Path) -> None:
    archive = build(layer)
    (entry,) = json.loads(member(archive, "manifest.json"))
    config = json.loads(member(archive, entry["Config"]))
    assert config["config"]["Entrypoint"] == ["run", "me"]
    assert config["config"]["User"] == "65532"
    assert config["config"]["Env"] == ["A=b"]
    assert config["rootfs"]["diff_ids"] == [f"sha256:{hashlib.sha256(layer.read_bytes()).hexdigest()}"]


def test_the_same_image_is_made_once_and_another_environment_makes_another(layer: Path) -> None:
    first = build(layer)
    before = first.stat().st_mtime_ns
    assert build(layer).stat().st_mtime_ns == before
    assert build(layer, {"A": "c"}) != first


def test_everybody_may_enter_a_layer_although_its_scratch_folder_was_private(layer: Path) -> None:
    with tarfile.open(layer) as content:
        assert content.getmember(".").mode & 0o755 == 0o755


def test_the_same_files_make_the_same_layer(tmp_path: Path, layer: Path) -> None:
    rootfs.archive(tmp_path / "root", tmp_path / "again.tar")
    assert (tmp_path / "again.tar").read_bytes() == layer.read_bytes()


def test_a_control_plane_takes_no_images(tmp_path: Path) -> None:
    bare = LabState(
        name="control-plane",
        folder=tmp_path,
        kubeconfig=tmp_path,
        kubectl=tmp_path,
        api_url="https://127.0.0.1:1",
        kubernetes_version="1",
    )
    with pytest.raises(NotUp, match="no node"):
        images.load_image(bare, tmp_path)


CONSTRAINTS = """\
# made by a tool
aiohttp==3.14.5 \\
    --hash=sha256:aa \\
    --hash=sha256:bb
numpy==2.4.6 ; python_full_version < '3.12' \\
    --hash=sha256:cc
PyYAML==6.0.3 \\
    --hash=sha256:dd
ruff==0.17.6 \\
    --hash=sha256:ee
"""


def test_only_what_the_operator_needs_is_pinned_with_all_its_hashes() -> None:
    lines = rootfs.pins(["aiohttp", "pyyaml"], CONSTRAINTS).splitlines()
    assert [line.split() for line in lines] == [
        ["aiohttp==3.14.5", "--hash=sha256:aa", "--hash=sha256:bb"],
        ["PyYAML==6.0.3", "--hash=sha256:dd"],
    ]


def test_a_dependency_without_a_pin_is_an_error_that_names_it() -> None:
    with pytest.raises(LabError, match="kopf"):
        rootfs.pins(["aiohttp", "kopf"], CONSTRAINTS)


def test_constraints_without_hashes_keep_versions_and_markers() -> None:
    lines = [line.strip() for line in rootfs.without_hashes(CONSTRAINTS).splitlines()]
    assert lines == ["aiohttp==3.14.5", "numpy==2.4.6 ; python_full_version < '3.12'", "PyYAML==6.0.3", "ruff==0.17.6"]


def test_the_project_s_own_constraints_pin_every_dependency_it_names() -> None:
    names = [requirement.split(">")[0].split("=")[0] for requirement in rootfs.runtime_requirements()]
    assert rootfs.pins(names, (rootfs.REPOSITORY / "constraints.txt").read_text())
