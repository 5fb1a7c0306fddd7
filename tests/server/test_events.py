from __future__ import annotations

import asyncio
import json
import threading

from mattecli.server.events import Events


def test_each_tab_gets_every_event_from_any_thread_until_the_end() -> None:
    events = Events()

    async def read() -> list[list[str]]:
        streams = [events.stream(tab).body_iterator for tab in ("one", "two")]
        found = [[str(await anext(stream))] for stream in streams]
        assert events.listens("one")
        assert not events.listens("three")
        sender = threading.Thread(target=lambda: events.send("progress", "a", run=1, share=0.5))
        sender.start()
        sender.join()
        events.close()
        for lines, stream in zip(found, streams, strict=True):
            lines += [str(line) async for line in stream]
        return found

    one, two = asyncio.run(read())
    assert one == two
    assert [json.loads(line.removeprefix("data: ")) for line in one[1:]] == [
        {"type": "progress", "photo": "a", "run": 1, "share": 0.5},
        {"type": "closing", "photo": None},
    ]
    assert not events.listens("one")


def test_a_tab_that_reads_nothing_for_long_loses_its_stream() -> None:
    events = Events()

    async def read() -> list[str]:
        stream = events.stream("one").body_iterator
        await anext(stream)
        for number in range(2000):
            events.send("progress", "a", run=number)
        await asyncio.sleep(0)
        return [str(line) async for line in stream]

    assert len(asyncio.run(read())) < 1000
