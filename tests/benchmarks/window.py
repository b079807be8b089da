"""What the window costs: frames a second, latency, stepping back, start and memory, with the engine at full speed.

    python tests/benchmarks/window.py                     # offscreen; --xvfb: in a real window under Xvfb
    python tests/benchmarks/window.py --minutes 10        # memory over ten minutes of Explore at full speed
    python tests/benchmarks/window.py --heartbeat         # only a session that does everything once: its longest events
    python tests/benchmarks/window.py --heartbeat explore # only a chapter of it

Explore plays eight maps of 1 GiB (262,144 pages each) under four policies, all of them painted, with the strip of
curves beside them. Printed are: frames a second, processor time a frame, page operations a second in all lanes, time
from an input event to the end of the painting that it causes (median and 95th percentile), one step back in a run of
a million steps, the time until a window is ready (warm), and resident memory at the beginning and at the end.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import whole_session

POLICIES: Final = ("mm-id", "page-mapcount", "no-page-mapcount", "exact")
ROUNDS: Final = 60
MILLION: Final = """

from foliolab.framework.contract.sharing_pattern import SharingPattern

def play(processes, usage):
    chance = processes.random
    parent = processes.start()
    processes.populate(parent, 0, usage.nr_pages)
    for _ in range(400):
        alive = [processes.fork(parent) for _ in range(usage.mms - 1)]
        for process in [parent, *alive]:
            for page in chance.sample(range(usage.nr_pages), usage.nr_pages // 12):
                processes.write(process, page, 1)
        for process in alive:
            processes.exit(process)
    processes.exit(parent)

PATTERN = SharingPattern(name="million", summary="a run of more than a million steps", play=play)
"""
READY: Final = """
import sys, time
began = time.perf_counter()
from PySide6.QtWidgets import QApplication
from PySide6.QtCore import QSettings
from foliolab.gui.application import make
from foliolab.gui.window.settings import Settings
application = QApplication([])
window = make(application, (), Settings(QSettings(sys.argv[1], QSettings.Format.IniFormat)))
window.show()
application.processEvents()
print(time.perf_counter() - began)
window.close()
"""


def resident() -> float:
    """MiB of this process and of those that it started; what several of them share counts once."""
    mine = [
        os.getpid(),
        *(int(pid) for pid in Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split()),
    ]
    found = 0.0
    for pid in mine:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
        found += next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))
    return found / 1024


def percentile(values: list[float], share: float) -> float:
    """A percentile of some values."""
    return sorted(values)[min(int(share * len(values)), len(values) - 1)]


class Bench:
    """A window, and a loop that counts its frames."""

    def __init__(self, size: tuple[int, int]) -> None:
        from PySide6.QtCore import QSettings
        from PySide6.QtWidgets import QApplication

        from foliolab.gui.ahead import AHEAD
        from foliolab.gui.application import make
        from foliolab.gui.garbage import Collector
        from foliolab.gui.window.settings import Settings

        self.application = QApplication.instance() or QApplication([])
        self.collector = Collector()
        store = QSettings(tempfile.mktemp(suffix=".ini"), QSettings.Format.IniFormat)
        self._folder = tempfile.TemporaryDirectory()
        million = Path(self._folder.name) / "million.py"
        million.write_text(MILLION)
        self.window = make(self.application, [str(million)], Settings(store))  # type: ignore[arg-type]
        self.window.resize(*size)
        self.window.show()
        AHEAD.begin()  # as `application.start` does
        self.window.go("explore")
        self.workspace: Any = self.window.here

    def until(self, done: Callable[[], bool], seconds: float) -> None:
        """Let the window live until something holds."""
        end = time.monotonic() + seconds
        while not done() and time.monotonic() < end:
            self.application.processEvents()
            time.sleep(0.001)

    def live(self) -> None:
        """Let the window sleep until it has something to do, and do it, as its own loop does."""
        from PySide6.QtCore import QEventLoop

        self.application.processEvents(QEventLoop.ProcessEventsFlag.WaitForMoreEvents)

    def start(self, mms: int, span: int, order: int, policies: tuple[str, ...], pattern: str) -> None:
        """Explore, and wait until it is there."""
        self.workspace.receive({"pattern": pattern, "policies": policies, "mms": mms, "span": span, "order": order})
        self.until(lambda: self.workspace.facts is not None and self.workspace.run.view is not None, 600)
        if self.workspace.facts is None:
            raise SystemExit(f"nothing to explore: {[one.text for one in self.window.notices.all]}")

    def close(self) -> None:
        """End it."""
        self.window.close()
        self.collector.stop()
        self._folder.cleanup()


def wheel(view: Any, turn: int) -> Any:
    """A turn of the wheel over the middle of a widget."""
    from PySide6.QtCore import QPoint, QPointF, Qt
    from PySide6.QtGui import QWheelEvent

    where = QPointF(view.width() / 2, view.height() / 2)
    return QWheelEvent(
        where, view.mapToGlobal(where), QPoint(), QPoint(0, turn), Qt.MouseButton.NoButton,
        Qt.KeyboardModifier.NoModifier, Qt.ScrollPhase.NoScrollPhase, False,
    )  # fmt: skip


def frames(bench: Bench, seconds: float) -> None:
    """Frames and page operations a second while it plays as fast as it can, and latency meanwhile."""
    from PySide6.QtCore import QEvent, QObject

    workspace = bench.workspace
    painted: list[int] = []
    """Views of which something was painted: a map that is as it was is not painted again."""
    answered: list[int] = []
    view = next(iter(workspace.maps.maps.values()))

    class Watch(QObject):
        """Notes what was painted."""

        def eventFilter(self, watched: QObject, event: QEvent) -> bool:
            """See Qt."""
            if event.type() == QEvent.Type.Paint:
                shown = workspace.run.view.number
                if watched is view:
                    answered.append(shown)
                if not painted or painted[-1] != shown:
                    painted.append(shown)
            return False

    watch = Watch()
    for one in workspace.maps.maps.values():
        one.installEventFilter(watch)
    workspace.run_bar.speed.setCurrentIndex(workspace.run_bar.speed.count() - 1)
    workspace.controls.toggle()
    bench.until(lambda: workspace.playing, 30)
    bench.until(lambda: False, 1.0)
    painted.clear()
    before = workspace.run.view
    operations = sum(lane.totals.page_operations for lane in before.lanes)
    began, used = time.perf_counter(), time.thread_time()
    latencies: list[float] = []
    last = began
    while time.perf_counter() - began < seconds:
        if workspace.run.view.at_end:
            operations -= sum(lane.totals.page_operations for lane in workspace.run.view.lanes)
            workspace.controls.toggle()
            bench.until(lambda: workspace.playing and not workspace.run.view.at_end, 10)
            operations += sum(lane.totals.page_operations for lane in workspace.run.view.lanes)
        bench.live()
        now = time.perf_counter()
        if now - last > 0.1:  # an input: zoom a little; it is answered when the map has been painted again
            last = now
            count = len(answered)
            bench.application.postEvent(view, wheel(view, 120 if len(latencies) % 2 else -120))
            while len(answered) == count and time.perf_counter() - now < 1:
                bench.live()
            latencies.append(1000 * (time.perf_counter() - now))
    passed = time.perf_counter() - began
    cpu = time.thread_time() - used
    after = sum(lane.totals.page_operations for lane in workspace.run.view.lanes)
    each, nr = 1000 * cpu / max(len(painted), 1), len(workspace.facts.policies)
    print(f"  frames            {len(painted) / passed:8.1f} a second, {each:.1f} ms of this thread each")
    print(f"  page operations   {(after - operations) / passed / 1e6:8.1f} M a second in {nr} lanes")
    high = percentile(latencies, 0.95)
    print(f"  input to paint    {statistics.median(latencies):8.1f} ms median, {high:.1f} ms 95th percentile")
    if workspace.playing:
        workspace.controls.toggle()
    bench.until(lambda: not workspace.playing, 10)
    for one in workspace.maps.maps.values():
        one.removeEventFilter(watch)


def back(bench: Bench) -> None:
    """One step back, at several positions of a long run."""
    workspace = bench.workspace
    nr = workspace.facts.nr_steps
    workspace.controls.goto(nr)
    bench.until(lambda: workspace.run.view.position == nr, 300)
    times = []
    for share in (1.0, 0.8, 0.6, 0.4):
        at = int(nr * share)
        workspace.controls.goto(at)
        bench.until(lambda at=at: workspace.run.view.position == at and not workspace.run.view.busy, 300)  # type: ignore[misc]
        bench.until(lambda: False, 1.0)
        for _ in range(3):
            at -= 1
            began = time.perf_counter()
            workspace.run.session.back()
            bench.until(lambda at=at: workspace.run.view.position == at, 30)  # type: ignore[misc]
            times.append(1000 * (time.perf_counter() - began))
    print(
        f"  a step back       {statistics.median(times):8.1f} ms median, {max(times):.1f} ms at most, of {nr:,} steps"
    )


def ready() -> None:
    """Start windows in processes of their own; the first one warms the file caches."""
    times = []
    for _ in range(4):
        with tempfile.TemporaryDirectory() as folder:
            done = subprocess.run(
                [sys.executable, "-c", READY, str(Path(folder) / "x.ini")], capture_output=True, text=True, check=True
            )
        times.append(float(done.stdout.split()[-1]))
    print(f"  window ready      {min(times[1:]):8.2f} s warm ({times[0]:.2f} s the first time here)")


def growth(bench: Bench, minutes: float) -> None:
    """Resident memory while it plays round and round."""
    workspace = bench.workspace
    workspace.run_bar.speed.setCurrentIndex(workspace.run_bar.speed.count() - 1)
    samples: list[float] = []
    for minute in range(max(round(minutes * 6), 2)):
        end = time.monotonic() + (10 if minutes >= 0.3 else 60 * minutes / 2)
        while time.monotonic() < end:
            if not workspace.playing:
                workspace.controls.toggle()
                bench.until(lambda: workspace.playing and not workspace.run.view.at_end, 10)
            bench.until(lambda: workspace.run.view.at_end, 1)
        samples.append(resident())
        if minute % 6 == 5:
            print(f"    minute {minute // 6 + 1}: {samples[-1]:,.0f} MiB", flush=True)
    half = len(samples) // 2
    early, late = statistics.median(samples[:half]), statistics.median(samples[half:])
    print(
        f"  resident memory   {early:8,.0f} MiB in the first half, {late:,.0f} MiB in the second of {minutes:g} minutes"
    )


def everything(size: tuple[int, int], chapters: Sequence[str] = whole_session.CHAPTERS) -> None:
    """The longest events of a session that does everything once, with a data folder of its own."""
    from foliolab.gui.ahead import AHEAD

    print("a session that does everything once")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["FOLIOLAB_DATA"] = folder
        bench = Bench(size)
        bench.until(lambda: bench.window.library.settled and AHEAD.done, 60)
        print(whole_session.report(whole_session.Session(bench.window, bench.until).run(chapters)), flush=True)
        bench.close()
        del os.environ["FOLIOLAB_DATA"]


def main() -> None:
    """Print the figures."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--seconds", type=float, default=8.0, help="of each measurement of frames")
    options.add_argument("--minutes", type=float, default=0.5, help="of the measurement of memory")
    options.add_argument("--size", default="1600x1000", help="of the window")
    options.add_argument("--pattern", default="snapshot", help="what is played")
    options.add_argument("--xvfb", action="store_true", help="in a real window under Xvfb")
    options.add_argument(
        "--heartbeat", nargs="*", choices=whole_session.CHAPTERS, metavar="CHAPTER",
        help=f"only the session and its longest events, or these of its chapters: {', '.join(whole_session.CHAPTERS)}",
    )  # fmt: skip
    chosen = options.parse_args()
    if chosen.xvfb and not os.environ.get("FOLIOLAB_IN_XVFB"):
        if shutil.which("xvfb-run") is None:
            raise SystemExit("there is no xvfb-run: apt-get install xvfb xauth")
        os.environ["FOLIOLAB_IN_XVFB"] = "1"
        os.environ["QT_QPA_PLATFORM"] = "xcb"
        os.execvp("xvfb-run", ["xvfb-run", "-a", "-s", "-screen 0 1800x1100x24", sys.executable, *sys.argv])
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    width, _, height = chosen.size.partition("x")
    print(f"window of {chosen.size}, {os.environ['QT_QPA_PLATFORM']}, {os.cpu_count()} processors")
    size = int(width), int(height)
    everything(size, chosen.heartbeat or whole_session.CHAPTERS)
    if chosen.heartbeat is not None:
        return
    ready()
    bench = Bench(size)
    print(f"8 maps of 1 GiB, {chosen.pattern}, folios of 64 KiB, four policies, one policy's maps in sight")
    bench.start(8, 1 << 30, 4, POLICIES, chosen.pattern)
    bench.workspace.maps.tabs.setCurrentIndex(1)
    bench.until(lambda: False, 1.0)
    frames(bench, chosen.seconds)
    print("the same, all 32 maps in sight")
    bench.workspace.maps.tabs.setCurrentIndex(0)
    bench.until(lambda: False, 1.0)
    frames(bench, chosen.seconds)
    bench.workspace.maps.tabs.setCurrentIndex(1)
    growth(bench, chosen.minutes)
    print("a long run, 8 MMs of 16 MiB, four policies")
    bench.start(8, 16 << 20, 4, POLICIES, "million")
    back(bench)
    bench.close()


if __name__ == "__main__":
    main()
