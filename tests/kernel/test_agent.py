"""The agent: built once by the system's compiler, and a channel that ends with an error that says why."""

from __future__ import annotations

import os
import shutil
import socket
import struct
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from foliolab.framework.csource import ccompiler
from foliolab.framework.errors import KernelError
from foliolab.framework.kernel.agent import build
from foliolab.framework.kernel.agent.channel import BYTES, END, ERROR, MOST, Channel, Gone
from foliolab.framework.kernel.agent.local import LocalAgent
from foliolab.framework.machine import cache

needs_compiler = pytest.mark.skipif(not ccompiler.compiler(), reason="there is no C compiler")


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FOLIOLAB_CACHE", str(tmp_path / "cache"))
    return tmp_path


@pytest.fixture
def pair() -> Iterator[tuple[Channel, socket.socket]]:
    """A channel, and the other end."""
    ours, theirs = socket.socketpair()
    channel = Channel(ours, "kernel x", 5.0, lambda: ("it fell over", "pick it up"))
    with theirs:
        yield channel, theirs
    channel.close()


def frame(kind: int, payload: bytes = b"") -> bytes:
    return struct.pack("<II", kind, len(payload)) + payload


# -- building ------------------------------------------------------------------------------------------
@needs_compiler
def test_it_is_built_once(own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = build.agent()
    assert program.startswith(b"\x7fELF") and cache.has(build._key(build._texts(), build.FLAGS))
    monkeypatch.setattr(ccompiler, "COMPILERS", ("nobody",))
    assert build.agent() == program


@needs_compiler
def test_another_text_is_another_program(own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = own_cache / "text"
    shutil.copytree(build.SOURCES, copy, ignore=shutil.ignore_patterns("__pycache__"))
    before = build._key(build._texts(), build.FLAGS)
    monkeypatch.setattr(build, "SOURCES", copy)
    assert build._key(build._texts(), build.FLAGS) == before
    main = copy / "main.c"
    main.write_text(main.read_text().replace("FolioLab starts it", "FolioLab alone starts it"))
    assert build._key(build._texts(), build.FLAGS) != before and b"FolioLab alone starts it" in build.agent()


def test_without_a_compiler_the_message_says_what_to_install(own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ccompiler, "COMPILERS", ("nobody",))
    with pytest.raises(KernelError, match=r"there is no C compiler") as caught:
        build.agent()
    assert "apt install gcc libc6-dev" in caught.value.hint


@needs_compiler
def test_a_compiler_that_fails_is_quoted(own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "FLAGS", (*build.FLAGS, "-fno-such-thing"))
    with pytest.raises(KernelError, match=r"cannot build the agent that plays scenarios: .*error"):
        build.agent()


# -- the channel ---------------------------------------------------------------------------------------
def test_a_program_and_its_frames(pair: tuple[Channel, socket.socket]) -> None:
    channel, theirs = pair
    theirs.sendall(frame(BYTES, b"one") + frame(BYTES) + frame(END) + frame(BYTES, b"next"))
    assert [found.text for found in channel.play("get /x\nlook")] == ["one", ""]
    assert theirs.recv(100) == struct.pack("<I", 11) + b"get /x\nlook"
    theirs.sendall(frame(END))
    assert [found.text for found in channel.receive()] == ["next"]


def test_a_refused_line(pair: tuple[Channel, socket.socket]) -> None:
    channel, theirs = pair
    theirs.sendall(frame(BYTES) + frame(ERROR, b"munmap: Invalid argument") + frame(END))
    with pytest.raises(KernelError, match=r"^kernel x refused munmap: Invalid argument") as caught:
        channel.play("munmap 0 0 1")
    assert not isinstance(caught.value, Gone)


def test_the_other_end_is_closed(pair: tuple[Channel, socket.socket]) -> None:
    channel, theirs = pair
    theirs.sendall(frame(BYTES, b"half")[:-1])
    theirs.close()
    with pytest.raises(Gone, match=r"^kernel x has ended: it fell over") as caught:
        channel.receive()
    assert caught.value.hint == "pick it up"


def test_no_answer_in_time(pair: tuple[Channel, socket.socket]) -> None:
    pair[0].seconds = 0.01
    with pytest.raises(Gone, match=r"^kernel x does not answer"):
        pair[0].play("look")


def test_an_agent_that_gets_on_is_awaited(pair: tuple[Channel, socket.socket]) -> None:
    channel, theirs = pair
    channel.seconds = 0.01
    left = [30.0, 0.01, 0.01]

    def progress() -> float:
        if len(left) == 1:
            theirs.sendall(frame(BYTES, b"late") + frame(END))
        return left.pop()

    assert [one.text for one in channel.receive(progress)] == ["late"] and not left
    with pytest.raises(Gone, match=r"^kernel x does not answer"):
        channel.receive(lambda: 0.0)


def test_a_frame_that_is_too_large(pair: tuple[Channel, socket.socket]) -> None:
    pair[1].sendall(struct.pack("<II", BYTES, MOST + 1))
    with pytest.raises(Gone, match=r"sent a frame of"):
        pair[0].receive()


# -- on this kernel, without any privilege -------------------------------------------------------------
def test_elsewhere_than_on_linux(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(KernelError, match="not Linux but darwin"):
        LocalAgent()


@needs_compiler
@pytest.mark.skipif(sys.platform != "linux", reason="the agent needs Linux")
def test_files_of_this_kernel() -> None:
    with LocalAgent() as agent:
        release, none = agent.channel.play("get /proc/sys/kernel/osrelease\nget /there/is/none")
        assert release.text.strip() == os.uname().release
        assert none.text == "No such file or directory"
    assert agent.process.returncode == 0
