"""What a lab changes on the machine outside its own folder, and the last lab to go puts back.

- kernel settings: the kubelet sets some when it starts;
- folders: kubelet, containerd and the network plugins have paths that no setting moves. The lab's programs see other
  folders there (they have a mount namespace of their own), but for that the places must exist.
"""

import contextlib
import json
from pathlib import Path

# Of k8s.io/component-helpers/node/util/sysctl.
SET_BY_KUBELET = (
    "vm/overcommit_memory",
    "vm/panic_on_oom",
    "kernel/panic",
    "kernel/panic_on_oops",
    "kernel/keys/root_maxkeys",
    "kernel/keys/root_maxbytes",
)
# Device plugins, sockets of containerd's shims, results of network plugins, links to containers' logs.
FIXED_PLACES = ("/var/lib/kubelet", "/run/containerd", "/var/lib/cni", "/var/log/containers")
FILE = "borrowed.json"


def borrow(labs: Path, root: Path = Path("/")) -> None:
    """Write down how the machine is and make the missing places, unless another lab did so already."""
    if (labs / FILE).exists():
        return
    settings = {
        name: _setting(root, name).read_text().strip() for name in SET_BY_KUBELET if _setting(root, name).exists()
    }
    made = [place for place in FIXED_PLACES if not _place(root, place).exists()]
    (labs / FILE).write_text(json.dumps({"settings": settings, "made": made}, indent=2) + "\n")
    for place in made:
        _place(root, place).mkdir(parents=True)


def give_back(labs: Path, root: Path = Path("/")) -> None:
    """Put back what was written down; where the machine refuses, or a place was put to use, it stays as it is."""
    if not (labs / FILE).exists():
        return
    borrowed = json.loads((labs / FILE).read_text())
    for name, value in borrowed["settings"].items():
        with contextlib.suppress(OSError):
            if _setting(root, name).read_text().strip() != value:
                _setting(root, name).write_text(value)
    for place in borrowed["made"]:
        with contextlib.suppress(OSError):
            _place(root, place).rmdir()
    (labs / FILE).unlink()


def private_mounts(folder: Path) -> list[str]:
    """The start of a command line that runs the rest in its own mount namespace, the fixed places led into `folder`.

    When the last process in it ends, its mounts (also those of every container) are gone: nothing to unmount.
    """
    hidden = [(folder / "fixed" / place.strip("/").replace("/", "-"), place) for place in FIXED_PLACES]
    binds = "".join(f"mkdir -p '{ours}' && mount --bind '{ours}' '{place}' && " for ours, place in hidden)
    return ["unshare", "--mount", "--propagation=private", "sh", "-c", f'{binds}exec "$@"', "lab"]


def _setting(root: Path, name: str) -> Path:
    return root / "proc" / "sys" / name


def _place(root: Path, place: str) -> Path:
    return root / place.lstrip("/")
