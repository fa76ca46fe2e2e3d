"""Pools that have no more threads than they may, and none without work."""

from __future__ import annotations

import queue
import subprocess
import sys
import threading

import pytest

from botdock import _threads
from botdock._threads import Pool
from testbed.waiting import until

LONG = 600.0


def test_a_pool_has_no_more_threads_than_it_may_and_none_without_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_threads, "IDLE", 0.05)
    pool, release, most = Pool("test-pool", 3), threading.Event(), 0

    def ours() -> int:
        return sum(thread.name.startswith("test-pool") for thread in threading.enumerate())

    futures = [pool.call(lambda: release.wait(20)) for _ in range(9)]
    most = ours()
    release.set()
    assert [future.result(20) for future in futures] == [True] * 9
    assert most == 3
    until(lambda: ours() == 0)
    assert pool.call(lambda: 1).result(20) == 1


def test_a_job_that_waits_for_another_of_its_pool_does_not_wait_for_ever() -> None:
    pool = Pool("test-pool", 1)

    def outer() -> int:
        with pool.blocked():
            return pool.call(lambda: 2).result(20)

    assert pool.call(outer).result(20) == 2


def test_what_fails_ends_no_thread_and_is_raised_where_it_is_asked_for() -> None:
    pool = Pool("test-pool", 1)
    pool.submit(lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        pool.call(lambda: 1 / 0).result(20)


def test_what_is_due_first_comes_first_and_nothing_that_was_forgotten() -> None:
    pool, came = Pool("test-pool", 2), []
    pool.submit(lambda: came.append("late"), delay=LONG)
    pool.submit(lambda: came.append("second"), delay=0.05)
    pool.submit(lambda: came.append("first"))
    until(lambda: came == ["first", "second"])
    pool.forget()
    until(lambda: not pool._threads)


def test_what_comes_sooner_is_not_kept_waiting_by_what_comes_later() -> None:
    """Whichever threads wait for the later one, one of them turns to the sooner one."""
    pool, came = Pool("test-pool", 3), queue.SimpleQueue[int]()
    for _ in range(3):
        pool.submit(lambda: came.put(0), delay=0.01)
    for number in range(1, 30):
        pool.submit(lambda: None, delay=LONG)
        pool.submit(lambda number=number: came.put(number), delay=0.01 / number)  # type: ignore[misc]  # mypy cannot infer it
        pool.submit(lambda: None)
    assert {came.get(timeout=20) for _ in range(32)} == set(range(30))
    pool.close(20)
    assert not pool._threads


def test_a_thread_that_waits_for_what_comes_later_is_replaced_while_it_works() -> None:
    pool, release, came = Pool("test-pool", 2), threading.Event(), threading.Event()
    pool.submit(came.set, delay=0.05)
    pool.call(lambda: release.wait(20))
    assert came.wait(20)
    release.set()


def test_what_is_closed_begins_nothing_and_waits_for_what_has_begun() -> None:
    pool, release, came = Pool("test-pool", 1), threading.Event(), []
    begun = threading.Event()
    pool.submit(lambda: begun.set() or release.wait(20) or came.append("begun"))  # type: ignore[func-returns-value]  # in a row
    pool.submit(lambda: came.append("never"))
    assert begun.wait(20)
    threading.Timer(0.05, release.set).start()
    pool.close(20)
    pool.submit(lambda: came.append("late"))
    assert (came, pool._threads) == ([], set())


def test_a_forked_child_has_threads_of_its_own_and_does_not_what_its_parent_was_to_do() -> None:
    program = """
import os, queue
from botdock._threads import Pool
pool, came = Pool("test-pool", 1), queue.SimpleQueue()
pool.call(lambda: None).result(20)
pool.submit(lambda: came.put("parent"), delay=0.3)
if not os.fork():
    pool.submit(lambda: came.put("child"), delay=0.5)
    os._exit(came.get(timeout=20) != "child")
raise SystemExit(os.waitstatus_to_exitcode(os.wait()[1]) or came.get(timeout=20) != "parent")
"""
    assert subprocess.run([sys.executable, "-W", "ignore", "-c", program], check=False, timeout=60).returncode == 0
