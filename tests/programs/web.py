"""Servers of web pages, and their loads."""

from __future__ import annotations

import signal
import struct
import time
from collections.abc import Callable
from pathlib import Path
from threading import Timer
from typing import Final

from program import (  # type: ignore[import-not-found]  # found where this script lies
    CLIENTS,
    LOADS,
    SECONDS,
    LoadFailed,
    Program,
    clients,
    connect,
    listens,
    port_of,
    request,
    tell,
    wait_for,
    wait_until,
)

PAGES: Final = 40_000
WORKERS: Final = str(CLIENTS)
MODULES: Final = "/usr/lib/apache2/modules"
NGINX: Final = """daemon off; user root; worker_processes {workers}; pid {folder}/pid; error_log {folder}/log;
events {{ }}
http {{
  access_log off; gzip on; gzip_types text/plain; gzip_buffers 64 16k; default_type text/plain;
  client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2; fastcgi_temp_path {folder}/t3;
  uwsgi_temp_path {folder}/t4; scgi_temp_path {folder}/t5;
  server {{ listen unix:{folder}/http; root {folder}/pages; index index.txt; }}
}}
"""
APACHE: Final = """ServerRoot {folder}
ServerName localhost
Listen 127.0.0.1:{port}
PidFile {folder}/pid
ErrorLog {folder}/log
LoadModule mpm_prefork_module {modules}/mod_mpm_prefork.so
LoadModule authz_core_module {modules}/mod_authz_core.so
LoadModule dir_module {modules}/mod_dir.so
LoadModule filter_module {modules}/mod_filter.so
LoadModule deflate_module {modules}/mod_deflate.so
User www-data
Group www-data
StartServers {workers}
MinSpareServers 2
MaxConnectionsPerChild 100
DocumentRoot {folder}/pages
DirectoryIndex index.txt
SetOutputFilter DEFLATE
"""
FPM: Final = """[global]
error_log = {folder}/log
[www]
user = root
group = root
listen = {folder}/fcgi
pm = static
pm.max_children = {workers}
pm.max_requests = 100
php_admin_value[memory_limit] = 256M
"""
PHP: Final = """<?php
$rows = [];
for ($i = 0; $i < 6000; $i++) { $rows[] = ["number" => $i, "text" => str_repeat((string)$i, 8)]; }
usort($rows, fn($a, $b) => strcmp($a["text"], $b["text"]));
echo strlen(json_encode($rows));
"""
PUMA: Final = """workers {workers}
threads 2, 2
preload_app!
bind "unix://{folder}/http"
pidfile "{folder}/pid"
"""
UNICORN: Final = """worker_processes {workers}
preload_app true
listen "{folder}/http"
pid "{folder}/pid"
"""


def write_pages(folder: Path) -> None:
    """A page of some size."""
    folder.chmod(0o755)
    (folder / "pages").mkdir()
    (folder / "pages" / "index.txt").write_text("\n".join(f"line {number} of a page" for number in range(PAGES)))


def configured(text: str, name: str) -> Callable[[Path], None]:
    """Writes a configuration file, and the page."""

    def prepare(folder: Path) -> None:
        write_pages(folder)
        filled = text.format(folder=folder, port=port_of(folder), modules=MODULES, workers=WORKERS)
        (folder / name).write_text(filled)

    return prepare


def over_socket(folder: Path) -> int:
    """Clients of the socket `http`."""
    wait_for(folder / "http")
    return int(clients(lambda: request(folder / "http")))


def over_port(folder: Path) -> int:
    """Clients of the folder's port."""
    port = port_of(folder)
    wait_until(lambda: listens(port), "nobody listened")
    return int(clients(lambda: request(port)))


def reloaded(drive: Callable[[Path], int], number: int) -> Callable[[Path], int]:
    """As `drive`, while a signal tells the server to replace its workers, at a third and at two thirds of the time."""

    def driven(folder: Path) -> int:
        wait_for(folder / "pid")
        timers = [Timer(SECONDS * part / 3, tell, (folder / "pid", number)) for part in (1, 2)]
        for timer in timers:
            timer.start()
        try:
            return drive(folder)
        finally:
            for timer in timers:
                timer.cancel()
                timer.join()
            time.sleep(0.3)  # the new workers are there before the server is told to end

    return driven


# -- FastCGI --------------------------------------------------------------------------------------
def _fcgi_record(kind: int, content: bytes) -> bytes:
    return struct.pack(">BBHHBx", 1, kind, 1, len(content), 0) + content


def fastcgi(where: Path, page: Path) -> bool:
    """One FastCGI request for a PHP page; whether it was answered. Source: the FastCGI specification, version 1."""
    params = {"SCRIPT_FILENAME": str(page), "REQUEST_METHOD": "GET", "SCRIPT_NAME": "/", "QUERY_STRING": ""}
    pairs = b"".join(bytes((len(name), len(value))) + (name + value).encode() for name, value in params.items())
    with connect(where) as link:
        link.sendall(
            _fcgi_record(1, struct.pack(">HB5x", 1, 0)) + _fcgi_record(4, pairs) + _fcgi_record(4, b"")
            + _fcgi_record(5, b"")
        )  # fmt: skip
        got = b""
        while more := link.recv(65536):
            got += more
    return b"Content-type" in got


def prepare_fpm(folder: Path) -> None:
    """The configuration and a page that sorts a table."""
    configured(FPM, "fpm.conf")(folder)
    (folder / "page.php").write_text(PHP)


def drive_fpm(folder: Path) -> int:
    """Clients of the FastCGI socket."""
    wait_for(folder / "fcgi")
    return int(clients(lambda: fastcgi(folder / "fcgi", folder / "page.php")))


# -- servers with a table that is loaded before they fork ------------------------------------------
def gunicorn(*more: str) -> Callable[[Path], list[str]]:
    """gunicorn with the table of preloaded.py."""

    def command(folder: Path) -> list[str]:
        return [
            "/usr/bin/gunicorn", "--preload", "--workers", WORKERS, "--bind", f"unix:{folder / 'http'}", "--pid",
            str(folder / "pid"), "--chdir", str(LOADS), "--log-level", "error", *more, "preloaded:app",
        ]  # fmt: skip

    return command


def uwsgi(folder: Path) -> list[str]:
    """uWSGI with the same table."""
    return [
        "/usr/bin/uwsgi-core", "--plugin", "/usr/lib/uwsgi/plugins/python311_plugin.so", "--http-socket",
        f"127.0.0.1:{port_of(folder)}", "--master", "--processes", WORKERS, "--wsgi-file", str(LOADS / "preloaded.py"),
        "--callable", "app", "--disable-logging", "--die-on-term", "--need-app",
    ]  # fmt: skip


def node(folder: Path) -> list[str]:
    """The command of a server whose workers node's module cluster forks."""
    return ["node", str(LOADS / "cluster.js"), str(folder / "http"), WORKERS]


def checked(folder: Path) -> int:
    """Clients of the socket, and at least one answer."""
    done = over_socket(folder)
    if not done:
        raise LoadFailed("no request was answered")
    return done


TABLE: Final = "The table is loaded before the workers are forked; "
WEB: Final = (
    Program(
        "nginx", "nginx with 4 workers", "It sends compressed pages and is told twice to replace its workers.",
        "requests", lambda folder: ["nginx", "-c", str(folder / "nginx.conf"), "-p", str(folder)],
        reloaded(over_socket, signal.SIGHUP), configured(NGINX, "nginx.conf"), ("nginx-light",), signal.SIGQUIT,
    ),
    Program(  # in a session of its own, since it sends SIGTERM to all of its process group when it ends
        "apache", "Apache prefork", "A process a connection, replaced after 100; it is told twice to replace all.",
        "requests", lambda folder: ["setsid", "apache2", "-D", "FOREGROUND", "-f", str(folder / "apache.conf")],
        reloaded(over_port, signal.SIGUSR1), configured(APACHE, "apache.conf"), ("apache2-bin",),
    ),
    Program(
        "php-fpm", "php-fpm with 4 workers", "Each request sorts a table; a worker is replaced after 100 requests.",
        "requests", lambda folder: ["php-fpm8.2", "-F", "-n", "-R", "-y", str(folder / "fpm.conf")], drive_fpm,
        prepare_fpm, ("php8.2-fpm",),
    ),
    Program(
        "workers", "gunicorn with 4 pre-forked workers", f"{TABLE}reading changes reference counts: workers copy it.",
        "requests", gunicorn(), over_socket, packages=("gunicorn",),
    ),
    Program(
        "workers-recycled", "gunicorn with workers replaced after 150 requests",
        "As above, and the master forks a new worker whenever one has served its share.", "requests",
        gunicorn("--max-requests", "150", "--max-requests-jitter", "30"), over_socket, packages=("gunicorn",),
    ),
    Program(
        "uwsgi", "uWSGI with 4 pre-forked workers", f"{TABLE}as above, under another master.", "requests", uwsgi,
        over_port, packages=("uwsgi-core", "uwsgi-plugin-python3"),
    ),
    Program(
        "puma", "puma with 4 pre-forked workers", f"{TABLE}Ruby marks objects when it collects garbage.", "requests",
        lambda folder: ["puma", "-q", "-C", str(folder / "puma.rb"), str(LOADS / "table.ru")], checked,
        configured(PUMA, "puma.rb"), ("puma",),
    ),
    Program(
        "unicorn", "unicorn with 4 pre-forked workers", f"{TABLE}it is told twice to replace its workers.", "requests",
        lambda folder: ["unicorn", "-c", str(folder / "unicorn.rb"), str(LOADS / "table.ru")],
        reloaded(over_socket, signal.SIGHUP), configured(UNICORN, "unicorn.rb"), ("unicorn",), signal.SIGQUIT,
    ),
    Program(
        "node", "node cluster with 4 workers", "The primary forks and executes node anew for each worker.", "requests",
        node, over_socket, packages=("nodejs",),
    ),
)  # fmt: skip
