"""etcd, for one API server and no longer than a lab lives: it does not wait for the disk."""

from lab.components import Program, command
from lab.layout import Layout


def program(layout: Layout) -> Program:
    client = f"https://127.0.0.1:{layout.etcd_port}"
    peer = f"https://127.0.0.1:{layout.etcd_peer_port}"
    tls = {"cert-file": layout.certificate("etcd"), "key-file": layout.key("etcd"), "trusted-ca-file": layout.authority}
    options = {
        "name": "lab",
        "data-dir": layout.folder / "etcd",
        "listen-client-urls": client,
        "advertise-client-urls": client,
        "listen-peer-urls": peer,
        "initial-advertise-peer-urls": peer,
        "initial-cluster": f"lab={peer}",
        **tls,
        **{f"peer-{name}": value for name, value in tls.items()},
        "client-cert-auth": "true",
        "peer-client-cert-auth": "true",
        "unsafe-no-fsync": "true",
        "log-level": "warn",
    }
    return Program(name="etcd", argv=command(layout.program("etcd"), options))
