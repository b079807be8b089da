"""`record --user NAME`: the command runs as that user, and the recorder does not."""

from __future__ import annotations

import os
import sys

import pytest

from foliolab.framework.errors import UsageError
from foliolab.framework.kernel.recording.target import Target, gated

if sys.platform == "win32":
    pytest.skip("there are no users of Unix", allow_module_level=True)

import pwd

ME = pwd.getpwuid(os.geteuid()).pw_name


def test_a_target_names_its_user() -> None:
    with pytest.raises(UsageError, match="there is no user 'nobody-at-all'"):
        Target(("true",), user="nobody-at-all").check()
    with pytest.raises(UsageError, match="has its user already"):
        Target(pid=os.getpid(), user=ME).check()
    Target(("true",), user=ME).check()
    assert Target(("true",), user=ME).account is None
    assert Target(("true", "a b"), user="x").text == "--user x -- true 'a b'"


def test_only_root_changes_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    other = next(one.pw_name for one in pwd.getpwall() if one.pw_uid not in (os.geteuid(), 4711))
    monkeypatch.setattr(os, "geteuid", lambda: 4711)
    with pytest.raises(UsageError, match=f"only root can run a command as {other}"):
        Target(("true",), user=other).check()


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="needs Linux and root")
def test_the_command_has_the_users_identity_for_good(capfd: pytest.CaptureFixture[str]) -> None:
    user = next((one for one in pwd.getpwall() if one.pw_uid), None)
    if user is None:
        pytest.skip("there is no other user")
    script = 'grep -E "^(Uid|Gid|Groups)" /proc/self/status; echo "$HOME"; echo "$USER"'
    target = Target(("/bin/sh", "-c", script), user=user.pw_name)
    with gated(target.command, target.account) as command:
        command.go()
        assert command.process.wait(20) == 0
    uids, gids, groups, home, name = capfd.readouterr().out.splitlines()
    assert set(uids.split()[1:]) == {str(user.pw_uid)}
    assert set(gids.split()[1:]) == {str(user.pw_gid)}
    assert set(map(int, groups.split()[1:])) == set(os.getgrouplist(user.pw_name, user.pw_gid))
    assert (home, name) == (user.pw_dir, user.pw_name)
