"""containerd with everything it writes inside the lab's folder, and the pod network's configuration."""

import json
from pathlib import Path

from lab.components import PRIVATE, Program
from lab.layout import POD_RANGE, Layout

PAUSE_IMAGE = "localhost/evenload-pause:lab"
# Where the packages of the distributions put the network plugins: Debian and Ubuntu, then most others.
PLUGIN_FOLDERS = (Path("/usr/lib/cni"), Path("/opt/cni/bin"), Path("/usr/libexec/cni"))
# Not needed, and each looks for something that is missing on many machines.
UNUSED_PLUGINS = ("aufs", "btrfs", "devmapper", "zfs", "blockfile")


def program(layout: Layout) -> Program:
    configuration = layout.etc / "containerd.toml"
    return Program(
        name="containerd",
        argv=(str(layout.program("containerd")), "--config", str(configuration)),
        mounts=PRIVATE,
        files={configuration: toml(layout), layout.etc / "cni" / "10-lab.conflist": network(layout)},
    )


def plugin_folder() -> Path | None:
    """Where the bridge plugin is, or None."""
    return next((folder for folder in PLUGIN_FOLDERS if (folder / "bridge").exists()), None)


def toml(layout: Layout) -> str:
    """The configuration, in the version that containerd 1.6 to 2.x read."""
    disabled = ", ".join(f'"io.containerd.snapshotter.v1.{name}"' for name in UNUSED_PLUGINS)
    return f"""\
version = 2
root = "{layout.folder}/containerd"
state = "{layout.run}/containerd"
disabled_plugins = [{disabled}]

[grpc]
  address = "{layout.containerd_socket}"

[plugins."io.containerd.internal.v1.opt"]
  path = "{layout.folder}/containerd-opt"

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE_IMAGE}"
  # Without it a sandbox dies with "can't get final child's PID from pipe" where lowering the score is forbidden.
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
  disable_apparmor = true
  enable_unprivileged_ports = true
  stream_server_address = "127.0.0.1"

[plugins."io.containerd.grpc.v1.cri".cni]
  bin_dir = "{plugin_folder() or PLUGIN_FOLDERS[0]}"
  conf_dir = "{layout.etc}/cni"

[plugins."io.containerd.grpc.v1.cri".containerd]
  snapshotter = "overlayfs"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
  BinaryName = "{layout.program("runc")}"
  Root = "{layout.run}/runc"
  SystemdCgroup = false
"""


def network(layout: Layout) -> str:
    """A bridge for the pods. Hairpin: a pod must reach itself through its own Service."""
    bridge = {
        "type": "bridge",
        "bridge": "cni0",
        "isGateway": True,
        "hairpinMode": True,
        "ipam": {
            "type": "host-local",
            "dataDir": str(layout.folder / "cni"),
            "ranges": [[{"subnet": POD_RANGE}]],
            "routes": [{"dst": "0.0.0.0/0"}],
        },
    }
    return json.dumps({"cniVersion": "0.4.0", "name": "lab", "plugins": [bridge]}, indent=2)
