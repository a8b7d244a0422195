"""Which Prometheus a command asks, how it signs in there, and which series it looks at: one rule for all commands.

A person's token, password, headers and certificate go to the address that this person names (`--prometheus`) and to no
other. A Balancer may name an address too, and it was written by somebody else.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from evenload.cli.printing import note
from evenload.errors import InputError

if TYPE_CHECKING:
    from evenload.observe.access import Access
    from evenload.observe.promql import Matcher
    from evenload.presets import Preset

PANEL = "Prometheus"


class PrometheusAccess(NamedTuple):
    """`url`: the address that the person names, or "". `access` is for it alone; None: there is none to sign in to.

    `presets`: Evenload's and the person's own.
    """

    url: str
    access: Access | None
    matchers: tuple[Matcher, ...]
    presets: Mapping[str, Preset]


def _file(flag: str, what: str, variable: str) -> Any:
    return typer.Option(
        flag, help=what, metavar="FILE", rich_help_panel=PANEL, envvar=f"EVENLOAD_PROMETHEUS_{variable}"
    )


def prometheus_access(
    prometheus: Annotated[
        str | None,
        typer.Option(
            "--prometheus",
            help="Address of Prometheus, as seen from here; else the Balancer's own. The others are for it alone.",
            envvar="EVENLOAD_PROMETHEUS_URL",
            rich_help_panel=PANEL,
        ),
    ] = None,
    token_file: Annotated[str | None, _file("--token-file", "Its bearer token.", "TOKEN_FILE")] = None,
    username: Annotated[
        str | None, typer.Option("--username", help="User of HTTP basic auth.", rich_help_panel=PANEL)
    ] = None,
    username_file: Annotated[str | None, _file("--username-file", "The same in a file.", "USERNAME_FILE")] = None,
    password_file: Annotated[str | None, _file("--password-file", "Password of it.", "PASSWORD_FILE")] = None,
    ca_file: Annotated[str | None, _file("--ca-file", "Certificates to trust, in PEM.", "CA_FILE")] = None,
    cert_file: Annotated[str | None, _file("--cert-file", "Client certificate, in PEM.", "CERT_FILE")] = None,
    key_file: Annotated[str | None, _file("--key-file", "Key of it, in PEM.", "KEY_FILE")] = None,
    header: Annotated[
        list[str] | None,
        typer.Option(
            "--header",
            help='Header to send, as in "X-Scope-OrgID: team-a"; may be repeated. In the environment a line each.',
            metavar="HEADER",
            rich_help_panel=PANEL,
        ),
    ] = None,
    headers_folder: Annotated[
        str | None, _file("--headers-folder", "Folder with a file for each header.", "HEADERS_FOLDER")
    ] = None,
    matcher: Annotated[
        list[str] | None,
        typer.Option(
            "--matcher",
            help="Which series are meant, as in 'cluster=\"east\"'; may be repeated. In the environment a line each.",
            metavar="MATCHER",
            rich_help_panel=PANEL,
        ),
    ] = None,
    presets: Annotated[
        str | None,
        typer.Option(
            "--presets",
            help="Presets of your own: YAML as under prometheus.presets in the values of the chart.",
            metavar="FILE",
            rich_help_panel=PANEL,
        ),
    ] = None,
) -> PrometheusAccess:
    """From the flags. Raises InputError where one of them cannot be. Says so where signing in is of no use."""
    from evenload.observe.access import from_files
    from evenload.observe.address import read_url
    from evenload.observe.promql import read_matcher
    from evenload.settings import Settings

    url = str(read_url(prometheus, "--prometheus")) if prometheus else ""
    environment = Settings.from_environment()
    headers = tuple(header) if header else environment.headers
    matchers = tuple(read_matcher(text, "--matcher") for text in (matcher or environment.matchers))
    known = _presets(presets or "", environment.prometheus_presets)
    secrets: dict[str, object] = {"--token-file": token_file, "--password-file": password_file, "--key-file": key_file}
    secrets |= {"--headers-folder": headers_folder, "--header": header}
    for flag in [flag for flag, given in secrets.items() if given and not url]:
        what = "the token is" if flag == "--token-file" else "it is"
        note(f"warning: {flag} is not used: {what} sent to the address given by --prometheus only")
    if matcher and not url:
        note("warning: --matcher is not used: it is for the address given by --prometheus only")
    if not url:
        return PrometheusAccess("", None, matchers, known)
    access = from_files(
        token_file=token_file or "",
        username=username or "",
        username_file=username_file or "",
        password_file=password_file or "",
        headers=headers,
        headers_folder=headers_folder or "",
        ca_file=ca_file or "",
        cert_file=cert_file or "",
        key_file=key_file or "",
    )
    return PrometheusAccess(url, access, matchers, known)


def _presets(file: str, environment: str) -> Mapping[str, Preset]:
    """Those of the file, else those of the environment, which is the operator's."""
    from evenload.presets import with_own

    if not file:
        return with_own(environment)
    try:
        return with_own(Path(file).read_text(), f"--presets {file}")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"--presets {file}: {error}") from error


def asking_prometheus(command: Callable[..., Any]) -> Callable[..., Any]:
    """`command`, whose second parameter is a PrometheusAccess, with the flags of that instead."""
    first, _, *own = inspect.signature(command, eval_str=True).parameters.values()
    flags = inspect.signature(prometheus_access, eval_str=True).parameters

    @wraps(command)
    def run(subject: Any, /, **given: Any) -> Any:
        source = prometheus_access(**{name: given.pop(name) for name in flags})
        return command(subject, source, **given)

    keywords = [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in (*own, *flags.values())]
    run.__signature__ = inspect.Signature([first, *keywords])  # type: ignore[attr-defined]
    return run
