"""What a call that failed was given ends with it, not when the garbage collector comes."""

from __future__ import annotations

import inspect
import traceback
from contextlib import suppress

_MAY_GO_ON = inspect.CO_GENERATOR | inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR


def let_go(error: BaseException) -> None:
    """Clear what the calls of its traceback have ended with; their lines stay.

    Who keeps an error in a variable, as tenacity does, makes a circle with the traceback's frames, and these hold
    connections, and megabytes that were to be sent.
    """
    for frame, _ in traceback.walk_tb(error.__traceback__):
        # A coroutine may have caught it, and wait on the loop of another thread: to clear its frame would end it.
        if not frame.f_code.co_flags & _MAY_GO_ON:
            with suppress(RuntimeError):  # it still runs
                frame.clear()
