"""Worker processes that behave in one way each, for tests of the dispatcher."""

from __future__ import annotations

import os
import time
from multiprocessing.connection import Connection

from mattecli.server.pauses import Pauses, Signals
from mattecli.server.tasks import Cancelled, Matted, Progressed


def obedient(connection: Connection, signals: Signals, _: object) -> None:
    """Takes half a minute for each task, tells of its progress, and ends when it is cancelled."""
    while True:
        connection.send((0, None))
        task = connection.recv()
        reply: object = Matted(30.0, "off", 0.0, {})
        for step in range(3000):
            if signals.cancelled.value == task.number:
                reply = Cancelled()
                break
            connection.send((task.number, Progressed(step / 3000, step / 100)))
            time.sleep(0.01)
        connection.send((task.number, reply))


def deaf(connection: Connection, _: object, __: object) -> None:
    """Begins a task and hears nothing more."""
    connection.send((0, None))
    task = connection.recv()
    connection.send((task.number, Progressed(0.0, 0.0)))
    time.sleep(600)


def dying(connection: Connection, _: object, __: object) -> None:
    """Dies of its first task."""
    connection.send((0, None))
    connection.recv()
    os._exit(9)


def quick(connection: Connection, _: object, __: object) -> None:
    """Is done with each task at once."""
    while True:
        connection.send((0, None))
        task = connection.recv()
        connection.send((task.number, Matted(0.0, "off", 0.0, {})))


def resting(connection: Connection, signals: Signals, _: object) -> None:
    """Takes a hundred steps for each task, and pauses before each while a pointer is down."""
    while True:
        connection.send((0, None))
        task = connection.recv()
        pauses = Pauses(signals)
        for step in range(100):
            pauses.rest(lambda: None)
            connection.send((task.number, Progressed(step / 100, 0.0)))
            time.sleep(0.01)
        connection.send((task.number, Matted(pauses.seconds, "off", 0.0, {})))


def babbling(connection: Connection, _: object, __: object) -> None:
    """Answers its first task with what is no reply, and the later ones as it should."""
    while True:
        connection.send((0, None))
        task = connection.recv()
        connection.send("no reply" if task.number == 1 else (task.number, Matted(0.0, "off", 0.0, {})))
