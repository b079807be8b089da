"""Shells, supervisors, builders and browsers, and their loads."""

from __future__ import annotations

import json
import os
import random
import signal
import stat
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Final

from program import (  # type: ignore[import-not-found]  # found where this script lies
    CLIENTS,
    LOADS,
    SECONDS,
    LoadFailed,
    Program,
    clients,
    listens,
    port_of,
    printed,
    run,
    script,
    wait_until,
)

FILES: Final = 250
COMMITS: Final = 4
SOURCES: Final = 12
JOBS: Final = 40
SERVICES: Final = 4
TABS: Final = 5
STARTS: Final = 12
"""How often services shall have been started before their supervisor is told to end."""
JOB: Final = (
    'awk \'BEGIN {{ for (i = 0; i < 60000; i++) word[i] = "word " i; '
    "for (w in word) n += length(word[w]); print n }}' > {out}"
)
SSHD: Final = """ListenAddress 127.0.0.1:{port}
HostKey {folder}/host
AuthorizedKeysFile {folder}/key.pub
PidFile {folder}/pid
PermitRootLogin yes
StrictModes no
UsePAM no
LogLevel ERROR
MaxStartups 100
"""
PAGE: Final = """<!doctype html><title>wait</title><script>
const rows = []; for (let i = 0; i < 400000; i++) rows.push({number: i, text: String(i)});
document.title = "done";
setInterval(() => { for (let i = 0; i < rows.length; i += 7) rows[i].number++; }, 50);
</script>"""


# -- git and make ---------------------------------------------------------------------------------
def prepare_git(folder: Path) -> None:
    """A repository with some history, from seeded texts."""
    words, place = random.Random(1), folder / "repository"
    run("git", "init", "-q", str(place))
    for number in range(COMMITS):
        for name in range(FILES):
            lines = (f"{words.getrandbits(64):x} {number if line % 7 else name}" for line in range(900))
            (place / f"{name}.txt").write_text("\n".join(lines))
        at = ("git", "-C", str(place), "-c", "user.name=a", "-c", "user.email=a@b")
        run(*at, "add", "-A")
        run(*at, "commit", "-q", "-m", str(number))


def git(folder: Path) -> list[str]:
    """git, which compresses everything anew."""
    return ["git", "-C", str(folder / "repository"), "repack", "-a", "-d", "-f", "-q", "--threads=2"]


def packed(folder: Path) -> int:
    """The objects in packs, if there is one pack."""
    repository = folder / "repository"
    said = run("git", "-C", str(repository), "count-objects", "-v")
    counts = {name: int(nr) for name, _, nr in (line.partition(": ") for line in said.splitlines()) if nr.isdigit()}
    if counts["packs"] != 1:
        raise LoadFailed(f"git left {counts['packs']} packs")
    return counts["in-pack"]


def prepare_make(folder: Path) -> None:
    """Sources in C, and a Makefile."""
    for number in range(SOURCES):
        text = "".join(f"int f{number}_{one}(int x) {{ return x * {one} + (x >> {one % 7}); }}\n" for one in range(900))
        (folder / f"s{number}.c").write_text(text)
    objects = " ".join(f"s{number}.o" for number in range(SOURCES))
    (folder / "Makefile").write_text(f"CFLAGS = -O2\nall: {objects}\n\tls *.o | wc -l > done\n")


# -- supervisors ----------------------------------------------------------------------------------
def write_script(path: Path, text: str) -> None:
    """A file becomes a script that sh runs, and can be executed."""
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def service(folder: Path, number: int) -> str:
    """What a service does: some work, a trace of it, and then it ends, so that it is started again."""
    return f"{JOB.format(out=folder / f'out{number}')}; echo >> {folder / f'started{number}'}; exec sleep 1.1"


def starts(folder: Path) -> int:
    """How often services have worked."""
    return sum(len(path.read_text()) for path in folder.glob("started*"))


def drive_services(folder: Path) -> int:
    """Wait until all services together have worked so often."""
    wait_until(lambda: starts(folder) >= STARTS, "the services did not start often enough")
    return starts(folder)


def prepare_supervisor(folder: Path) -> None:
    """The services of supervisord."""
    text = f"[supervisord]\nnodaemon=true\nlogfile={folder}/log\npidfile={folder}/pid\nchildlogdir={folder}\n"
    for number in range(SERVICES):
        write_script(folder / f"s{number}", service(folder, number))
        text += f"[program:s{number}]\ncommand={folder / f's{number}'}\nautorestart=true\nstartretries=100\n"
    (folder / "supervisor.conf").write_text(text)


def prepare_runit(folder: Path) -> None:
    """The services of runsvdir."""
    for number in range(SERVICES):
        place = folder / "services" / f"s{number}"
        place.mkdir(parents=True)
        write_script(place / "run", service(folder, number))


def prepare_cron(folder: Path) -> None:
    """Jobs for the start of cron, which runs in a namespace where no other system's jobs are."""
    if sys.platform == "linux" and "FOLIOLAB_PROGRAMS_INSIDE" not in os.environ:
        raise LoadFailed("cron would start this system's own jobs; record.py starts it in a namespace")
    table = Path("/var/spool/cron/crontabs/root")
    table.write_text("".join(f"@reboot {JOB.format(out=folder / f'job{number}')}\n" for number in range(JOBS)))
    table.chmod(0o600)
    Path("/run/crond.reboot").unlink(missing_ok=True)


def finished(folder: Path) -> int:
    """The jobs that have left a result."""
    return sum(path.stat().st_size > 0 for path in folder.glob("job*"))


def drive_cron(folder: Path) -> int:
    """cron's jobs run until each has left its file; returns how many have."""
    wait_until(lambda: finished(folder) == JOBS, "the jobs did not end", 60)
    return finished(folder)


# -- sshd -----------------------------------------------------------------------------------------
def prepare_sshd(folder: Path) -> None:
    """Keys of the host and of a client."""
    for name in ("host", "key"):
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name))
    (folder / "sshd.conf").write_text(SSHD.format(folder=folder, port=port_of(folder)))


def drive_sshd(folder: Path) -> int:
    """Clients that log in, do something and leave; how many sessions there were."""
    port = port_of(folder)
    wait_until(lambda: listens(port), "sshd did not listen")
    options = ("StrictHostKeyChecking=no", f"UserKnownHostsFile={folder / 'known'}", "BatchMode=yes", "LogLevel=ERROR")
    words = ["ssh", "-F", "none", "-p", str(port), "-i", str(folder / "key")]
    words += [word for option in options for word in ("-o", option)] + [
        "root@127.0.0.1",
        "seq 20000 | sort -n | tail -1",
    ]

    def session() -> bool:
        done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60, stdin=subprocess.DEVNULL)
        return done.stdout.strip() == "20000"

    return int(clients(session, SECONDS, 3))


# -- chromium -------------------------------------------------------------------------------------
def prepare_chromium(folder: Path) -> None:
    """A page with a large table, and a free port."""
    (folder / "page.html").write_text(PAGE)
    port_of(folder)


def chromium(folder: Path) -> list[str]:
    """chromium without a window; its renderers are forked from the zygote."""
    return [
        "chromium", "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-extensions",
        f"--remote-debugging-port={port_of(folder)}", f"--user-data-dir={folder / 'profile'}", "about:blank",
    ]  # fmt: skip


def drive_chromium(folder: Path) -> int:
    """Open tabs, and let their pages work; how many have loaded."""
    at = f"http://127.0.0.1:{port_of(folder)}/json"
    wait_until(lambda: listens(port_of(folder)), "chromium did not listen", 60)
    for number in range(TABS):
        asked = urllib.request.Request(f"{at}/new?file://{folder}/page.html?{number}", method="PUT")
        urllib.request.urlopen(asked, timeout=60).close()

    def loaded() -> int:
        with urllib.request.urlopen(f"{at}/list", timeout=60) as answer:
            return sum(tab.get("title") == "done" for tab in json.load(answer))

    wait_until(lambda: loaded() == TABS, "the pages did not load", 60)
    time.sleep(1.5)
    return loaded()


# -- a container ----------------------------------------------------------------------------------
def container(folder: Path) -> list[str]:
    """A root of its own, with processes of its own, in which a shell forks."""
    return [
        "bwrap", "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc", "--bind", str(folder), str(folder),
        "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--as-pid-1", "bash", str(LOADS / "storm.sh"), "60",
        str(folder / "done"),
    ]  # fmt: skip


def detach(how: str) -> Callable[[Path], list[str]]:
    """The daemon that writes for 4 seconds."""
    command: Callable[[Path], list[str]] = script(sys.executable, "-I", "-S", str(LOADS / "detach.py"), "64", "4", how)
    return command


TOOLS: Final = (
    Program(
        "bash", "bash fork storm",
        "A shell with some memory of its own: nested subshells, pipelines and substitutions, hundreds of forks.",
        "rounds", script("bash", str(LOADS / "storm.sh"), "150"), printed("done"), end=0,
    ),
    Program(
        "container", "container whose first process forks",
        "Namespaces of its own for mounts, PIDs, IPC and names; PID 1 is the shell of above.", "rounds", container,
        printed("done"), packages=("bubblewrap",), end=0,
    ),
    Program(
        "daemon", "daemon that forks twice",
        "A script of this repository: it loads its data and forks twice; the first two processes exit once the "
        "grandchild is ready, as daemon(7) asks for, and the grandchild goes on writing.",
        "writes", detach("when-ready"), printed("done"), end=0,
    ),
    Program(
        "daemon-at-once", "daemon whose parent exits at once",
        "As above, but the first process does not wait: whether it is gone when the second one forks is a race.",
        "writes", detach("at-once"), printed("done"), end=0,
    ),
    Program(
        "git", "git repack", "It compresses a repository of some 1,000 versions of files anew, in two threads.",
        "objects", git, packed, prepare_git, ("git",), 0,
    ),
    Program(
        "make", "make with gcc", "Four compilers at a time, each started by vfork and exec.", "objects",
        lambda folder: ["make", "-s", f"-j{CLIENTS}", "-C", str(folder)], printed("done"), prepare_make,
        ("make", "gcc"), 0,
    ),
    Program(
        "sshd", "sshd with 3 clients", "A process a connection and one for its session, which executes a shell.",
        "sessions", lambda folder: ["/usr/sbin/sshd", "-D", "-e", "-f", str(folder / "sshd.conf")], drive_sshd,
        prepare_sshd, ("openssh-server", "openssh-client"),
    ),
    Program(
        "cron", "cron", "It forks twice for each of 40 jobs, which execute a shell and awk.", "jobs",
        lambda folder: ["cron", "-f"], drive_cron, prepare_cron, ("cron",),
    ),
    Program(
        "supervisor", "supervisord with 4 services", "It starts services again and again: fork and exec.", "starts",
        lambda folder: ["/usr/bin/supervisord", "-c", str(folder / "supervisor.conf")], drive_services,
        prepare_supervisor, ("supervisor",),
    ),
    Program(
        "runit", "runit with 4 services", "A tree of small supervisors that start services again and again.", "starts",
        lambda folder: ["runsvdir", "-P", str(folder / "services")], drive_services, prepare_runit, ("runit",),
        signal.SIGHUP,
    ),
    Program(
        "chromium", "chromium with 5 tabs", "Renderers are forked from the zygote, which has loaded their code.",
        "tabs", chromium, drive_chromium, prepare_chromium, ("chromium",),
    ),
)  # fmt: skip
