"""What a teardown finds, and what it must leave alone."""

import os
from pathlib import Path

from lab import borrowed, control_groups, teardown

MOUNTINFO = r"""
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
30 22 0:26 / /sys/fs/cgroup rw shared:9 - tmpfs tmpfs rw
31 30 0:27 / /sys/fs/cgroup/memory rw shared:10 - cgroup cgroup rw,memory
32 30 0:28 / /sys/fs/cgroup/unified rw shared:11 - cgroup2 cgroup2 rw
90 22 0:50 / /labs/evenload-lab/run/shm rw - tmpfs shm rw
91 22 0:51 / /labs/evenload-lab/with\040space rw - overlay overlay rw
92 22 0:52 / /labs/evenload-lab2/run/shm rw - tmpfs shm rw
93 22 0:53 / /labs/evenload-lab rw - tmpfs lab rw
""".strip()


def test_mounts_of_a_lab_whose_name_only_starts_the_same_are_not_its_own() -> None:
    found = teardown.mounts_below(Path("/labs/evenload-lab"), MOUNTINFO)
    assert found == ["/labs/evenload-lab/run/shm", "/labs/evenload-lab/with space"]


def test_control_groups_are_found_where_they_are_mounted() -> None:
    assert control_groups.hierarchies(MOUNTINFO) == [
        Path("/sys/fs/cgroup/memory"),
        Path("/sys/fs/cgroup/unified"),
    ]


def test_a_teardown_spares_itself_and_the_shell_it_was_typed_in() -> None:
    assert {os.getpid(), os.getppid()} <= teardown.ourselves()


def test_a_program_outside_a_lab_needs_no_control_group() -> None:
    assert control_groups.joining(None) == []


def machine(root: Path) -> Path:
    """A machine with one kernel setting and one of the fixed places."""
    (root / "proc/sys/kernel").mkdir(parents=True)
    (root / "proc/sys/kernel/panic").write_text("0\n")
    (root / "var/lib/kubelet").mkdir(parents=True)
    (root / "labs").mkdir()
    return root / "labs"


def test_kernel_settings_are_put_back_by_the_last_lab(tmp_path: Path) -> None:
    labs = machine(tmp_path)
    borrowed.borrow(labs, tmp_path)
    (tmp_path / "proc/sys/kernel/panic").write_text("10\n")  # the kubelet of the first lab
    borrowed.borrow(labs, tmp_path)  # a second lab must not take that for the machine's own
    borrowed.give_back(labs, tmp_path)
    assert (tmp_path / "proc/sys/kernel/panic").read_text().strip() == "0"


def test_folders_that_were_there_stay_and_those_made_go(tmp_path: Path) -> None:
    labs = machine(tmp_path)
    borrowed.borrow(labs, tmp_path)
    assert (tmp_path / "var/lib/cni").is_dir()
    borrowed.give_back(labs, tmp_path)
    assert (tmp_path / "var/lib/kubelet").is_dir()
    assert not (tmp_path / "var/lib/cni").exists()


def test_a_folder_that_was_put_to_use_meanwhile_stays(tmp_path: Path) -> None:
    labs = machine(tmp_path)
    borrowed.borrow(labs, tmp_path)
    (tmp_path / "var/lib/cni/results").mkdir()
    borrowed.give_back(labs, tmp_path)
    assert (tmp_path / "var/lib/cni/results").is_dir()


def test_giving_back_twice_does_no_harm(tmp_path: Path) -> None:
    labs = machine(tmp_path)
    borrowed.borrow(labs, tmp_path)
    borrowed.give_back(labs, tmp_path)
    borrowed.give_back(labs, tmp_path)
    assert list(labs.iterdir()) == []
