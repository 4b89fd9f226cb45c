from __future__ import annotations

import asyncio
import gc
import traceback
import weakref

from backupkit.filesystems.letting_go import let_go


class Connection:
    pass


def test_what_a_call_that_kept_its_failure_had_is_let_go_of() -> None:
    def keeps() -> None:
        connection = Connection()
        known.append(weakref.ref(connection))
        try:
            raise ConnectionError
        except ConnectionError as error:
            kept = error
        raise kept

    known: list[weakref.ref[Connection]] = []
    gc.disable()
    try:
        try:
            keeps()
        except ConnectionError as error:
            let_go(error)
            lines = [frame.name for frame in traceback.extract_tb(error.__traceback__)]
        assert lines[-1] == "keeps"
        assert known[0]() is None
    finally:
        gc.enable()


def test_a_coroutine_that_caught_it_goes_on() -> None:
    error = ConnectionError()

    async def goes_on() -> str:
        try:
            raise error
        except ConnectionError:
            await asyncio.sleep(0)
        return "went on"

    async def main() -> str:
        task = asyncio.create_task(goes_on())
        await asyncio.sleep(0)
        let_go(error)
        return await task

    assert asyncio.run(main()) == "went on"
