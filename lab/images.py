"""Makes container images out of tar layers and loads them into a lab: no registry, no docker, no daemon.

The format is that of `docker save`, so `docker load`, `kind load image-archive` and `ctr images import` take it too.
"""

import hashlib
import io
import json
import platform
import shutil
import tarfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lab import cache, commands, parts, rootfs
from lab.components.containerd import PAUSE_IMAGE
from lab.errors import NotUp
from lab.state import LabState

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
CODE = Path("opt/evenload/code")  # where images have the project's own code
FOLDERS = ("code", "images")  # of the cache
KEPT_IMAGES = 2  # of one name: each is 250 MB


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """An image of this project: the folder of the checkout it carries and the command it runs."""

    name: str
    source: Path
    package: str
    entrypoint: tuple[str, ...]

    @property
    def reference(self) -> str:
        return f"{self.name}:lab"


OPERATOR = Image(
    name="evenload",
    source=rootfs.REPOSITORY / "operator" / "evenload",
    package="evenload",
    entrypoint=("python3", "-m", "evenload"),
)
SHOP = Image(
    name="evenload-shop",
    source=rootfs.REPOSITORY / "lab" / "shop",
    package="lab/shop",
    entrypoint=("python3", "-m", "lab.shop"),
)


OURS = (OPERATOR, SHOP)


def operator() -> Path:
    """The archive of `evenload:lab`, made again only when the code or its dependencies changed."""
    return ours(OPERATOR)


def shop() -> Path:
    """The archive of `evenload-shop:lab`."""
    return ours(SHOP)


def ours(image: Image) -> Path:
    """System, packages and code as three layers. Only the code's changes from one edit to the next."""
    layers = [parts.folder("rootfs") / "rootfs.tar", parts.folder("site") / "site.tar", code_layer(image)]
    environment = {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "PYTHONPATH": f"/{CODE}:/{rootfs.SITE}",
        "PYTHONUNBUFFERED": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "USER": "evenload",  # kopf asks who runs it, and dies where nobody knows
        "HOME": "/tmp",
    }
    return build(image.name, "lab", layers, image.entrypoint, user=str(rootfs.NOBODY), env=environment)


def code_layer(image: Image) -> Path:
    """A tar of the image's package, byte code included."""
    inputs = cache.tree_inputs(image.source)
    entry = cache.root() / "code" / image.name / cache.key(image.package, *rootfs.inputs(), *inputs)

    def make(folder: Path) -> None:
        package = folder / "root" / CODE / image.package
        for path in sorted(image.source.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                target = package / path.relative_to(image.source)
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(path.read_bytes())
        for parent in package.relative_to(folder / "root" / CODE).parents:
            if parent != Path("."):
                (folder / "root" / CODE / parent / "__init__.py").touch()
        rootfs.compile_inside_image(folder / "root", CODE)
        rootfs.archive(folder / "root", folder / "code.tar")
        cache.remove(folder / "root")

    return _entry(entry, make) / "code.tar"


def program(part: str, name: str, entrypoint: tuple[str, ...], below: Sequence[Path] = ()) -> Path:
    """The archive of an image `name` ("localhost/envoy:lab") with the program of that part in /usr/local/bin."""

    def make(folder: Path) -> None:
        target = folder / "root" / "usr" / "local" / "bin" / part
        target.parent.mkdir(parents=True)
        shutil.copyfile(parts.folder(part) / part, target)
        target.chmod(0o755)
        rootfs.archive(folder / "root", folder / "program.tar")
        cache.remove(folder / "root")

    layer = _entry(cache.root() / "code" / part / parts.folder(part).name, make) / "program.tar"
    repository, _, tag = name.rpartition(":")
    environment = {"PATH": "/usr/local/bin:/usr/bin:/bin"}
    return build(repository, tag, [*below, layer], entrypoint, user=str(rootfs.NOBODY), env=environment)


def pause() -> Path:
    """The archive of the image that holds a pod's namespaces."""

    def make(folder: Path) -> None:
        (folder / "root").mkdir()
        (folder / "root" / "pause").write_bytes((parts.folder("pause") / "pause").read_bytes())
        (folder / "root" / "pause").chmod(0o755)
        rootfs.archive(folder / "root", folder / "pause.tar")
        cache.remove(folder / "root")

    layer = _entry(cache.root() / "code" / "pause" / parts.folder("pause").name, make) / "pause.tar"
    name, _, tag = PAUSE_IMAGE.rpartition(":")
    return build(name, tag, [layer], ("/pause",), user="65535", env={})


def build(
    name: str,
    tag: str,
    layers: Sequence[Path],
    entrypoint: Sequence[str],
    *,
    user: str,
    env: Mapping[str, str],
) -> Path:
    """The path of an archive `name:tag` with the given layers, lowest first; from the cache if it was made before."""
    described = json.dumps([name, tag, list(entrypoint), user, dict(env), platform.machine()])
    entry = cache.root() / "images" / name / cache.key(described, *(layer.parent.name + layer.name for layer in layers))

    def make(folder: Path) -> None:
        write_archive(folder / "image.tar", f"{name}:{tag}", layers, configuration(layers, entrypoint, user, env))

    return _entry(entry, make) / "image.tar"


def configuration(
    layers: Sequence[Path], entrypoint: Sequence[str], user: str, env: Mapping[str, str]
) -> dict[str, object]:
    """The image's configuration, by the OCI image specification."""
    return {
        "architecture": ARCHITECTURES[platform.machine()],
        "os": "linux",
        "config": {
            "Entrypoint": list(entrypoint),
            "Env": [f"{key}={value}" for key, value in env.items()],
            "User": user,
            "WorkingDir": "/",
        },
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{_digest(layer)}" for layer in layers]},
    }


def write_archive(target: Path, reference: str, layers: Sequence[Path], config: Mapping[str, object]) -> None:
    """Write what `docker save` would."""
    content = json.dumps(config).encode()
    config_name = f"{hashlib.sha256(content).hexdigest()}.json"
    layer_names = [f"{_digest(layer)}/layer.tar" for layer in layers]
    manifest = [{"Config": config_name, "RepoTags": [reference], "Layers": layer_names}]
    with tarfile.open(target, "w") as archive:
        _add_bytes(archive, "manifest.json", json.dumps(manifest).encode())
        _add_bytes(archive, config_name, content)
        for layer, inside in zip(layers, layer_names, strict=True):
            archive.add(layer, arcname=inside, recursive=False)


def load_image(state: LabState, archive: Path) -> None:
    """Import an archive into the lab's containerd; pods then find it without pulling."""
    if state.ctr is None or state.containerd_socket is None:
        raise NotUp(f"{state.name} has no node to load images into; it is a control plane alone.")
    import_archive(state.ctr, state.containerd_socket, archive)


def import_archive(ctr: Path, socket: Path, archive: Path) -> None:
    connection = ["--address", str(socket), "--namespace", "k8s.io"]
    commands.run([ctr, *connection, "images", "import", "--snapshotter", "overlayfs", archive])


def _entry(entry: Path, make: Callable[[Path], None]) -> Path:
    with cache.lock(f"{entry.parent.name}-{entry.name}"):
        if not entry.exists():
            cache.publish(entry, make)
            cache.forget_others(entry, keep=KEPT_IMAGES)
    return entry


def _digest(layer: Path) -> str:
    """The layer's SHA-256, kept beside it: hashing 200 MB at every start would take a second."""
    kept = layer.with_suffix(".sha256")
    if not kept.exists():
        with layer.open("rb") as content:
            digest = hashlib.file_digest(content, "sha256").hexdigest()
        kept.write_text(digest)
    return kept.read_text()


def _add_bytes(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    archive.addfile(info, io.BytesIO(content))
