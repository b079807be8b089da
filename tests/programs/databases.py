"""Databases and caches, and their loads."""

from __future__ import annotations

import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from program import (  # type: ignore[import-not-found]  # found where this script lies
    LoadFailed,
    Program,
    as_user,
    connect,
    give,
    printed,
    run,
    wait_for,
    wait_until,
)

KEYS: Final = 200_000
PIPELINE: Final = 500
DELETE: Final = "for i = 0, ARGV[1] do if i % 4 > 0 then redis.call('del', string.format('key:%012d', i)) end end"
JOIN: Final = (
    "select count(*), sum(length(a.filler || b.filler)) from pgbench_accounts a join pgbench_accounts b "
    "on a.aid = b.aid + 1 where a.abalance >= 0;\n"
)
SORT: Final = "select count(*) from (select filler from pgbench_accounts order by random() limit 90000) s;\n"
SQL: Final = """create table numbers(id integer primary key, name text, other real);
pragma cache_size = -65536;
begin;
with recursive n(i) as (select 1 union all select i + 1 from n where i < 200000)
  insert into numbers select i, printf('the name of %d is %d', i, i * 7), i / 3.0 from n;
commit;
.shell true
create index by_name on numbers(name);
.shell true
create temp table sorted as select a.name, b.other from numbers a join numbers b on a.id = b.id * 2 order by b.name;
.shell true
update numbers set name = name || '!' where id % 3 = 0;
.output {out}
select count(*) from sorted;
"""


# -- redis ----------------------------------------------------------------------------------------
def redis(*more: str) -> Callable[[Path], list[str]]:
    """redis-server on a socket, which saves nothing by itself."""

    def command(folder: Path) -> list[str]:
        return [
            "redis-server", "--port", "0", "--unixsocket", str(folder / "redis"), "--dir", str(folder), "--save", "",
            "--disable-thp", "no", "--loglevel", "warning", *more,
        ]  # fmt: skip

    return command


def fill(folder: Path, nr: int) -> tuple[str, str]:
    """Wait for redis and write keys; where it listens."""
    wait_for(folder / "redis")
    at = ("-s", str(folder / "redis"))
    run("redis-benchmark", *at, "-q", "-t", "set", "-d", "400", "-r", str(KEYS), "-n", str(nr), "-P", "64")
    return at


def keys(at: tuple[str, str]) -> int:
    """How many keys redis has."""
    return int(run("redis-cli", *at, "dbsize"))


def in_background(what: str, state: str, times: int) -> Callable[[Path], int]:
    """Fills redis; then lets it write its data from a child some times, while clients write.

    Args:
        what: the command.
        state: the field of INFO that says 1 while the child runs.
    """

    def drive(folder: Path) -> int:
        at = fill(folder, 3 * KEYS)
        load = ("redis-benchmark", *at, "-q", "-t", "set", "-d", "400", "-r", str(KEYS))
        for _ in range(times):
            run("redis-cli", *at, what)
            while f"{state}:1" in run("redis-cli", *at, "info", "persistence"):
                run(*load, "-n", "5000", "-c", "10")
            run(*load, "-n", "20000", "-c", "10")
        return keys(at)

    return drive


def drive_deletions(folder: Path) -> int:
    """Fill redis, delete three keys of four, and let the allocator give back what is free; twice."""
    for _ in range(2):
        at = fill(folder, 2 * KEYS)
        run("redis-cli", *at, "eval", DELETE, "0", str(KEYS))
        run("redis-cli", *at, "memory", "purge")
        time.sleep(1.0)
    return keys(at)


# -- postgres -------------------------------------------------------------------------------------
def postgres_file(name: str) -> str:
    """Where a program of PostgreSQL is.

    Raises:
        LoadFailed: it is nowhere.
    """
    found = next(map(str, sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))), "") or shutil.which(name)
    if not found:
        raise LoadFailed(f"there is no {name}")
    return str(found)


def prepare_postgres(folder: Path) -> None:
    """initdb makes an empty database, owned by the user postgres."""
    give(folder, "postgres")
    run(*as_user("postgres", postgres_file("initdb"), "-D", str(folder / "data"), "-A", "trust", "-N"))


def postgres(*more: str) -> Callable[[Path], list[str]]:
    """A function that makes the postmaster's command, with these settings besides the usual ones."""

    def command(folder: Path) -> list[str]:
        settings = ("listen_addresses=", "shared_buffers=64MB", "work_mem=32MB", "fsync=off", "max_wal_size=256MB")
        options = [word for setting in (*settings, *more) for word in ("-c", setting)]
        return list(
            as_user("postgres", postgres_file("postgres"), "-D", str(folder / "data"), "-k", str(folder), *options)
        )

    return command


def pgbench(folder: Path, *words: str) -> int:
    """Run pgbench; how many transactions it made."""
    said = run("pgbench", *words, "-h", str(folder), "-U", "postgres", "postgres")
    lines = [line for line in said.splitlines() if "actually processed" in line]
    return sum(int(line.rpartition(" ")[2].partition("/")[0]) for line in lines)


def fill_postgres(folder: Path) -> None:
    """Wait for PostgreSQL, and fill a database."""
    wait_for(folder / ".s.PGSQL.5432")
    at = ("-h", str(folder), "-U", "postgres", "-c", "select 1", "postgres")
    wait_until(lambda: run("psql", *at, check=False), "PostgreSQL did not answer")
    pgbench(folder, "-i", "-q", "-s", "4")


def drive_postgres(folder: Path) -> int:
    """Transactions in long sessions, then a session each, then sorts that need memory."""
    fill_postgres(folder)
    sort = folder / "sort.sql"
    sort.write_text(SORT)
    return (
        pgbench(folder, "-c", "8", "-j", "2", "-T", "3")
        + pgbench(folder, "-C", "-S", "-c", "4", "-T", "2")
        + pgbench(folder, "-c", "3", "-t", "2", "-f", str(sort))
    )


def drive_parallel(folder: Path) -> int:
    """Joins, each of which has its workers forked anew."""
    fill_postgres(folder)
    join = folder / "join.sql"
    join.write_text(JOIN)
    return pgbench(folder, "-c", "2", "-T", "4", "-f", str(join))


# -- others ---------------------------------------------------------------------------------------
def drive_memcached(folder: Path) -> int:
    """Values of growing sizes over one connection, then as many are read; how many were found."""
    wait_for(folder / "memcached")
    found = 0
    with connect(folder / "memcached") as link, link.makefile("rwb") as stream:
        for number in range(KEYS):
            size = 200 + number % 400
            stream.write(b"set key%d 0 0 %d noreply\r\n%s\r\n" % (number, size, b"x" * size))
        stream.flush()
        for first in range(0, KEYS, PIPELINE):
            names = b" ".join(b"key%d" % number for number in range(first, first + PIPELINE))
            stream.write(b"get %s\r\n" % names)
            stream.flush()
            while (line := stream.readline()) not in (b"END\r\n", b""):
                found += line.startswith(b"VALUE")
    return found


def prepare_mariadb(folder: Path) -> None:
    """mariadb-install-db makes an empty database whose user is root."""
    run(
        "mariadb-install-db", "--no-defaults", f"--datadir={folder / 'data'}", "--user=root", "--skip-test-db",
        "--auth-root-authentication-method=normal", "--skip-name-resolve",
    )  # fmt: skip


def mariadb(folder: Path) -> list[str]:
    """The server, one thread a session."""
    return [
        "mariadbd", "--no-defaults", "--user=root", f"--datadir={folder / 'data'}", f"--socket={folder / 'sql'}",
        f"--pid-file={folder / 'pid'}", "--skip-networking", "--innodb-buffer-pool-size=96M",
        "--innodb-flush-log-at-trx-commit=0", "--tmpdir", str(folder),
    ]  # fmt: skip


def drive_mariadb(folder: Path) -> int:
    """Sessions that write and read; the number of queries."""
    wait_for(folder / "sql")
    queries = 8000
    run(
        "mariadb-slap", "--no-defaults", f"--socket={folder / 'sql'}", "--user=root", "--auto-generate-sql",
        "--concurrency=8", f"--number-of-queries={queries}", "--auto-generate-sql-load-type=mixed",
        "--number-char-cols=4",
    )  # fmt: skip
    return queries


def prepare_sqlite(folder: Path) -> None:
    """The script that the shell of sqlite will run is written."""
    (folder / "script").write_text(SQL.format(out=folder / "done"))


REDIS: Final = ("redis-server", "redis-tools")
POSTGRES: Final = ("postgresql", "postgresql-contrib")
DATABASES: Final = (
    Program(
        "redis", "redis-server with BGSAVE",
        "A database in memory that saves itself from a forked child, three times, while clients go on writing.",
        "keys", redis("--appendonly", "no"), in_background("bgsave", "rdb_bgsave_in_progress", 3), packages=REDIS,
    ),
    Program(
        "redis-aof", "redis-server with AOF rewrite",
        "It logs what is written, and a forked child writes the log anew, twice, while clients go on writing.",
        "keys", redis("--appendonly", "yes", "--appendfsync", "no"),
        in_background("bgrewriteaof", "aof_rewrite_in_progress", 2), packages=REDIS,
    ),
    Program(
        "redis-delete", "redis-server with deletions",
        "It is filled, three keys of four are deleted, and the allocator gives back what is free; twice.",
        "keys left", redis("--appendonly", "no"), drive_deletions, packages=REDIS,
    ),
    Program(
        "postgres", "PostgreSQL with pgbench",
        "One process a session, forked from the postmaster: long sessions, a session for each query, large sorts.",
        "transactions", postgres(), drive_postgres, prepare_postgres, POSTGRES, signal.SIGINT,
    ),
    Program(
        "postgres-parallel", "PostgreSQL with parallel queries",
        "Joins of two sessions, each with up to four workers that the postmaster forks for it.", "transactions",
        postgres(
            "max_parallel_workers_per_gather=4", "min_parallel_table_scan_size=0", "parallel_setup_cost=0",
            "parallel_tuple_cost=0",
        ),
        drive_parallel, prepare_postgres, POSTGRES, signal.SIGINT,
    ),
    Program(
        "mariadb", "MariaDB with 8 sessions", "One process; a thread a session writes and reads.", "queries",
        mariadb, drive_mariadb, prepare_mariadb, ("mariadb-server-core", "mariadb-client-core", "mariadb-client"),
    ),
    Program(
        "memcached", "memcached", "One process with four threads is filled and read.", "values",
        lambda folder: ["memcached", "-u", "root", "-s", str(folder / "memcached"), "-m", "256", "-t", "4"],
        drive_memcached, packages=("memcached",),
    ),
    Program(
        "sqlite", "sqlite3 shell", "It fills, indexes and joins a table, and starts a shell three times.", "rows",
        lambda folder: ["sqlite3", str(folder / "database"), f".read {folder / 'script'}"], printed("done"),
        prepare_sqlite, ("sqlite3",), 0,
    ),
)  # fmt: skip
