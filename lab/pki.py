"""A certificate authority for one lab, a certificate for each component, and their kubeconfigs.

By openssl: it is on every machine, and the lab runs before any Python package is installed.
"""

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from lab import commands
from lab.layout import API_SERVICE_ADDRESS, NODE_NAME, Layout

LIFETIME_DAYS = 30  # no lab lives that long
CURVE = "ec_paramgen_curve:prime256v1"
# openssl's own configuration would mark every certificate as an authority.
BARE_CONFIGURATION = "[req]\ndistinguished_name = name\n[name]\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """Kubernetes reads the common name as the user and the organization as the group."""

    name: str
    common_name: str
    organization: str = ""
    alternative_names: tuple[str, ...] = ()
    serves: bool = False
    signs_in: bool = False
    has_kubeconfig: bool = False


def control_plane_certificates(layout: Layout) -> tuple[Certificate, ...]:
    """What etcd, the API server, the controllers, the scheduler and the administrator need."""
    local = ("DNS:localhost", "IP:127.0.0.1")
    api_names = ("kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local")
    api = (*(f"DNS:{name}" for name in api_names), f"IP:{API_SERVICE_ADDRESS}", *local)
    node = () if layout.is_loopback else (f"IP:{layout.address}",)
    return (
        Certificate(name="etcd", common_name="etcd", alternative_names=local, serves=True, signs_in=True),
        Certificate(name="etcd-client", common_name="kube-apiserver", signs_in=True),
        Certificate(name="apiserver", common_name="kube-apiserver", alternative_names=(*api, *node), serves=True),
        Certificate(name="apiserver-kubelet", common_name="kube-apiserver-kubelet", signs_in=True),
        Certificate(name="service-accounts", common_name="service-accounts", signs_in=True),  # signs their tokens
        _user("admin", "lab-admin", organization="system:masters"),
        _user("controller-manager", "system:kube-controller-manager"),
        _user("scheduler", "system:kube-scheduler"),
    )


def node_certificates(layout: Layout) -> tuple[Certificate, ...]:
    """What the kubelet, kube-proxy, Traefik and Prometheus need on top."""
    names = (f"DNS:{NODE_NAME}", f"IP:{layout.address}")
    return (
        _user("kubelet", f"system:node:{NODE_NAME}", organization="system:nodes"),
        Certificate(name="kubelet-server", common_name=NODE_NAME, alternative_names=names, serves=True),
        _user("kube-proxy", "system:kube-proxy"),
        _user("traefik", "traefik"),
        _user("prometheus", "prometheus"),
    )


def _user(name: str, common_name: str, *, organization: str = "") -> Certificate:
    return Certificate(
        name=name, common_name=common_name, organization=organization, signs_in=True, has_kubeconfig=True
    )


def create(layout: Layout, certificates: Sequence[Certificate]) -> None:
    """Write the authority, and each certificate with its key and, for users, its kubeconfig."""
    layout.pki.mkdir(parents=True, mode=0o700)
    configuration = layout.pki / "openssl.cnf"
    configuration.write_text(BARE_CONFIGURATION)
    commands.run(["openssl", *authority_arguments(layout.pki)])
    requests = [certificate_arguments(layout.pki, certificate) for certificate in certificates]
    with ThreadPoolExecutor(max_workers=4) as pool:
        list(pool.map(lambda arguments: commands.run(["openssl", *arguments]), requests))
    for certificate in certificates:
        if certificate.has_kubeconfig:
            layout.kubeconfig(certificate.name).write_text(kubeconfig(layout, certificate.name))
            layout.kubeconfig(certificate.name).chmod(0o600)


def authority_arguments(folder: Path) -> list[str]:
    """Arguments of openssl for the lab's own authority."""
    extensions = (
        "basicConstraints=critical,CA:TRUE",
        "keyUsage=critical,keyCertSign,cRLSign",
        "subjectKeyIdentifier=hash",
    )
    return [*_request(folder, "ca", "/CN=lab-ca"), *_added(extensions)]


def certificate_arguments(folder: Path, certificate: Certificate) -> list[str]:
    """Arguments of openssl for a certificate that the authority signs."""
    organization = f"/O={certificate.organization}" if certificate.organization else ""
    purposes = (("serverAuth", certificate.serves), ("clientAuth", certificate.signs_in))
    usages = [usage for usage, wanted in purposes if wanted]
    extensions = [
        "basicConstraints=critical,CA:FALSE",
        "keyUsage=critical,digitalSignature",
        f"extendedKeyUsage={','.join(usages)}",
        "authorityKeyIdentifier=keyid",  # Python 3.13 refuses certificates without it
    ]
    if certificate.alternative_names:
        extensions.append(f"subjectAltName={','.join(certificate.alternative_names)}")
    signer = ["-CA", str(folder / "ca.crt"), "-CAkey", str(folder / "ca.key")]
    subject = f"{organization}/CN={certificate.common_name}"
    return [*_request(folder, certificate.name, subject), *signer, *_added(extensions)]


def _request(folder: Path, name: str, subject: str) -> list[str]:
    key = ["-newkey", "ec", "-pkeyopt", CURVE, "-nodes", "-keyout", str(folder / f"{name}.key")]
    place = ["-config", str(folder / "openssl.cnf"), "-out", str(folder / f"{name}.crt"), "-days", str(LIFETIME_DAYS)]
    return ["req", "-x509", *key, *place, "-subj", subject]


def _added(extensions: Sequence[str]) -> list[str]:
    return [argument for extension in extensions for argument in ("-addext", extension)]


def kubeconfig(layout: Layout, name: str) -> str:
    """A kubeconfig by client certificate. It names files, absolutely, rather than embedding their content."""
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {"name": "lab", "cluster": {"server": layout.api_url, "certificate-authority": str(layout.authority)}}
        ],
        "users": [
            {
                "name": name,
                "user": {"client-certificate": str(layout.certificate(name)), "client-key": str(layout.key(name))},
            }
        ],
        "contexts": [{"name": "lab", "context": {"cluster": "lab", "user": name}}],
        "current-context": "lab",
    }
    return json.dumps(content, indent=2)
