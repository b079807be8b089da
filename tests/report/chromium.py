"""A page in headless Chromium, driven through a pipe (DevTools protocol)."""

from __future__ import annotations

import json
import os
import select
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest

FLAGS: Final = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--remote-debugging-pipe",
)  # fmt: skip
KEYS: Final = {"ArrowLeft": 37, "ArrowRight": 39, "Home": 36, "End": 35, "a": 65}


PATIENCE: Final = 120.0
"""Seconds after which a browser that says nothing counts as gone."""


class BrowserEnded(Exception):
    """The browser has ended, or does not answer."""


class Browser:
    """One page in a browser that runs.

    Attributes:
        requests: the addresses that the page asked for.
        faults: what its scripts raised, and what its policy of contents refused.
    """

    def __init__(self, write: int, read: int) -> None:
        self.requests: list[str] = []
        self.faults: list[str] = []
        self._write, self._read = write, read
        self._number = 0
        self._session = ""
        self._rest = b""
        self._loaded = False
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Network", "Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")

    def open(self, file: Path) -> None:
        """Load a file, and wait until it is there."""
        self.requests.clear()
        self._loaded = False
        self.call("Page.navigate", url=file.as_uri())
        while not self._loaded:
            self._take(self._next())

    def value(self, expression: str) -> Any:
        """The value of an expression in the page."""
        done = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in done, done
        return done["result"].get("value")

    def press(self, key: str) -> None:
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, windowsVirtualKeyCode=KEYS[key])

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Call a method of the protocol; its result."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while True:
            found = self._next()
            if found.get("id") == self._number:
                assert "error" not in found, (method, found["error"])
                result: dict[str, Any] = found["result"]
                return result
            self._take(found)

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            ready, _, _ = select.select([self._read], [], [], PATIENCE)
            more = os.read(self._read, 1 << 16) if ready else b""
            if not more:
                raise BrowserEnded
            self._rest += more
        text, _, self._rest = self._rest.partition(b"\0")
        found: dict[str, Any] = json.loads(text)
        return found

    def _take(self, event: dict[str, Any]) -> None:
        parameters = event.get("params", {})
        match event.get("method"):
            case "Page.loadEventFired":
                self._loaded = True
            case "Network.requestWillBeSent":
                self.requests.append(parameters["request"]["url"])
            case "Runtime.exceptionThrown":
                self.faults.append(parameters["exceptionDetails"]["text"])
            case "Log.entryAdded":
                self.faults.append(parameters["entry"]["text"])


@contextmanager
def browser(folder: Path) -> Iterator[Browser]:
    """A browser whose profile lies in a folder; the test is skipped where there is none."""
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("Chromium is not installed")
    reads, write = os.pipe()  # the browser reads its file descriptor 3, and writes 4
    read, writes = os.pipe()
    shell = f'exec "$0" "$@" 3<&{reads} 4>&{writes}'
    command = ["/bin/bash", "-c", shell, program, *FLAGS, f"--user-data-dir={folder}"]
    process = subprocess.Popen(
        command,
        pass_fds=(reads, writes),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(reads)
    os.close(writes)
    try:
        try:
            found = Browser(write, read)
        except (BrowserEnded, BrokenPipeError):
            pytest.skip(f"{program} does not start")
        yield found
    finally:
        process.kill()
        process.wait()
        os.close(write)
        os.close(read)
