"""Running programs: failures become sentences, signals reach whom they should, progress is never silent."""

import os
import signal
import sys
import time
from pathlib import Path

import pytest

from lab import api, commands, progress, state
from lab.components import Program
from lab.daemons import Daemons
from lab.errors import CommandFailed, NotUp
from lab.layout import Layout
from lab.signals import Stopped, in_foreground, shielded, stoppable


def test_the_error_of_a_failed_program_shows_its_last_words() -> None:
    with pytest.raises(CommandFailed, match="disk is full"):
        commands.run(["sh", "-c", "echo the disk is full >&2; exit 3"])


def test_a_program_that_hangs_is_ended_and_named() -> None:
    with pytest.raises(CommandFailed, match="sleep 60 did not end"):
        commands.run(["sleep", "60"], timeout_seconds=0.1)


def test_what_a_hanging_program_started_ends_with_it() -> None:
    before = time.monotonic()
    with pytest.raises(CommandFailed, match="did not end"):
        commands.run(["sh", "-c", "sleep 600 & wait"], timeout_seconds=0.1)  # the child holds the pipe we read
    assert time.monotonic() - before < 60


def test_standard_input_reaches_the_program() -> None:
    assert commands.run(["cat"], stdin="hello") == "hello"


def test_lines_are_handed_over_as_they_come() -> None:
    seen: list[str] = []
    commands.follow(["sh", "-c", "echo one; echo two >&2"], seen.append)
    assert sorted(seen) == ["one", "two"]


def test_the_exit_code_of_a_command_is_passed_on() -> None:
    assert in_foreground(["sh", "-c", "exit 7"], dict(os.environ)) == 7


def test_a_command_that_a_signal_ended_has_the_shell_s_exit_code() -> None:
    assert in_foreground(["sh", "-c", "kill -KILL $$"], dict(os.environ)) == 128 + signal.SIGKILL


def test_a_stop_signal_is_passed_on_to_the_command() -> None:
    script = "trap 'exit 9' TERM; kill -TERM $PPID; while :; do sleep 0.05; done"
    assert in_foreground(["sh", "-c", script], dict(os.environ)) == 9


def test_the_first_signal_stops_and_the_second_does_not_disturb_the_clean_up(
    capsys: pytest.CaptureFixture[str],
) -> None:
    cleaned = False
    with pytest.raises(Stopped) as stopped, stoppable():  # noqa: PT012 - the order is the point
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(60)
        finally:
            os.kill(os.getpid(), signal.SIGINT)
            cleaned = True
    assert cleaned
    assert stopped.value.exit_code == 128 + signal.SIGTERM
    assert "Still cleaning up" in capsys.readouterr().err


def test_nothing_interrupts_what_is_shielded() -> None:
    with shielded():
        os.kill(os.getpid(), signal.SIGINT)


def daemons(folder: Path) -> Daemons:
    return Daemons(Layout(name="x", folder=folder, programs={}))


def test_a_daemon_that_dies_at_once_is_reported_with_its_log(tmp_path: Path) -> None:
    started = daemons(tmp_path)
    started.start(Program(name="etcd", argv=("sh", "-c", "echo no such flag; exit 1")))
    with pytest.raises(CommandFailed, match="no such flag"):
        started.wait("etcd", lambda: False, seconds=60, needs=("etcd",))


def test_waiting_ends_when_time_is_up(tmp_path: Path) -> None:
    with pytest.raises(CommandFailed, match="in vain"):
        daemons(tmp_path).wait("nothing", lambda: False, seconds=0.1)


def test_daemons_and_their_children_are_ended(tmp_path: Path) -> None:
    started = daemons(tmp_path)
    started.start(Program(name="shim", argv=("sh", "-c", f"sleep 600 & echo $! >{tmp_path}/child; wait")))
    started.wait("the child", lambda: bool((tmp_path / "child").exists() and _read(tmp_path / "child")), seconds=60)
    child = int(_read(tmp_path / "child"))
    started.kill()
    deadline = time.monotonic() + 60
    while _alive(child) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not _alive(child)


def _read(path: Path) -> str:
    return path.read_text().strip()


def _alive(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False


def test_a_daemon_s_files_are_there_when_it_starts(tmp_path: Path) -> None:
    started = daemons(tmp_path)
    file = tmp_path / "etc" / "deep" / "config"
    started.start(Program(name="reader", argv=("sh", "-c", f"cat {file}"), files={file: "setting"}))
    started.wait("it to read", lambda: "setting" in started.last_words("reader"), seconds=5)
    started.kill()


def test_to_ask_for_last_words_brings_back_no_folder_that_was_removed(tmp_path: Path) -> None:
    removed = tmp_path / "lab"
    assert "etcd.log" in daemons(removed).last_words("etcd")
    assert not removed.exists()


def test_no_answer_is_none_not_an_error() -> None:
    assert api.get("http://127.0.0.1:1/") is None


def test_plain_progress_speaks_up_when_a_task_has_been_silent(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = progress.PlainProgress()
    shown.start("kubernetes", "compiling")
    shown.update("kubernetes", done=3, total=9)
    shown.beat()
    assert "3/9" not in capsys.readouterr().err
    monkeypatch.setattr(progress, "HEARTBEAT_SECONDS", 0.0)
    shown.beat()
    assert "kubernetes: compiling 3/9" in capsys.readouterr().err


def test_bars_show_what_lines_would(capsys: pytest.CaptureFixture[str]) -> None:
    bars = progress._rich_bars()
    assert bars is not None
    with bars:
        shown = progress.RichProgress(bars)
        shown.start("traefik", "fetching")
        shown.update("traefik", done=1, total=2, what="unpacking")
        shown.finish("traefik", "there")
    assert "traefik: there" in capsys.readouterr().err


def example(folder: Path) -> state.LabState:
    return state.LabState(
        name="lab",
        folder=folder,
        kubeconfig=folder / "pki" / "admin.kubeconfig",
        kubectl=Path("/cache/kubernetes/kubectl"),
        api_url="https://10.88.0.1:6443",
        kubernetes_version="1.34.4",
        helm=Path("/cache/helm/helm"),
    )


def test_a_state_file_reads_back_as_it_was_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = example(tmp_path)
    state.save(written)
    monkeypatch.setenv(state.VARIABLE, str(written.file))
    assert state.load() == written


def test_without_a_lab_the_error_says_how_to_get_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(state.VARIABLE, raising=False)
    with pytest.raises(NotUp, match="lab run"):
        state.load()


def test_a_lab_that_is_down_is_said_to_be_down(tmp_path: Path) -> None:
    with pytest.raises(NotUp, match="No lab runs"):
        state.load(tmp_path / state.FILE)


def test_commands_inside_find_this_lab_s_kubectl_helm_and_cluster(tmp_path: Path) -> None:
    environment = example(tmp_path).environment()
    assert environment["KUBECONFIG"] == str(tmp_path / "pki" / "admin.kubeconfig")
    assert environment["PATH"].split(os.pathsep)[:2] == ["/cache/kubernetes", "/cache/helm"]


def test_what_kubectl_learns_stays_with_the_lab_since_all_have_one_address(tmp_path: Path) -> None:
    assert example(tmp_path).environment()["KUBECACHEDIR"].startswith(str(tmp_path))


def test_the_lab_imports_nothing_that_must_be_installed_first() -> None:
    """Its first run is what installs things."""
    program = (
        "import sys; import lab.__main__; "
        "print([name for name in ('rich', 'yaml', 'kubernetes', 'aiohttp', 'requests') if name in sys.modules])"
    )
    assert commands.run([sys.executable, "-S", "-c", program], cwd=Path(__file__).parents[3]).strip() == "[]"
