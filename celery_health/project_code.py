"""Import and call code of the project's: what it raises ends neither a command nor a web process of ours.

Only ``os._exit()``, and a crash of the interpreter, cannot be caught: they end whatever process imports such
a module, as they end each worker.
"""

from __future__ import annotations

import dis
import logging
import sys
import sysconfig
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from traceback import walk_tb
from typing import Final

from celery_health.exceptions import RaisedError
from celery_health.text.masking import describe_error

logger = logging.getLogger(__name__)

#: A task module that takes longer to import may wait for something that never comes.
SLOW_SECONDS: Final = 20.0
_PYTHONS: Final = tuple({sysconfig.get_path(kind) for kind in ("stdlib", "platstdlib")})
_INSTALLED: Final = tuple({sysconfig.get_path(kind) for kind in ("purelib", "platlib")})
_RAISE: Final = dis.opmap["RAISE_VARARGS"]
#: What ``signal.signal`` raises outside the main thread.
_NO_SIGNALS: Final = "signal only works in main thread"


@contextmanager
def importing_project() -> Iterator[None]:
    """Have a module of the project's that ends the process fail to be imported, and no more than that.

    Raises:
        ImportError: it raised what is no `Exception`, as ``sys.exit()`` does.
        KeyboardInterrupt: somebody pressed Ctrl-C.
        Exception: whatever else it raised.
    """
    try:
        with calling_project():
            yield
    except RaisedError as told:
        error = told.raised
        ends = "it ends the process" if isinstance(error, SystemExit) else "it raises what ends the process"
        raise ImportError(
            f"{_module_of(error)} cannot be imported: {ends} ({describe_error(error)})"
        ) from error


@contextmanager
def calling_project() -> Iterator[None]:
    """Have code of the project's that ends the process, as a router may, raise what can be told.

    Raises:
        RaisedError: it raised what is no `Exception`.
        KeyboardInterrupt: somebody pressed Ctrl-C.
        Exception: whatever else it raised.
    """
    try:
        yield
    except Exception:
        raise
    except BaseException as error:
        if is_from_keyboard(error):
            raise
        raise RaisedError(error) from error


@contextmanager
def telling_if_slow(what: str, seconds: float = SLOW_SECONDS) -> Iterator[None]:
    """Log which module of the project's runs when something takes over `seconds`: it may never end."""
    timer = threading.Timer(seconds, _tell, (what, seconds, threading.get_ident()))
    timer.daemon = True
    with suppress(RuntimeError):  # no more threads
        timer.start()
    try:
        yield
    finally:
        timer.cancel()
        if timer.is_alive():
            timer.join()  # at once: a process that forks now would be told that it has threads


def _tell(what: str, seconds: float, thread: int) -> None:
    frame, module = sys._current_frames().get(thread), None
    while frame is not None and module is None:
        if frame.f_code.co_name == "<module>" and not _is_pythons(frame.f_code.co_filename):
            module = frame.f_globals.get("__name__")
        frame = frame.f_back
    logger.warning(
        "%s has taken %.3g s so far%s.", what, seconds, f": module '{module}' runs" if module else ""
    )


def is_from_keyboard(error: BaseException) -> bool:
    """Say whether an error is Ctrl-C, or follows from it; a ``raise KeyboardInterrupt`` of a module's is not.

    Ctrl-C comes between two instructions of the main thread. What stands in the code is the code's; but for
    Python's own, which raises it anew for Ctrl-C (``asyncio.run``).
    """
    seen: set[int] = set()
    one: BaseException | None = error
    while one is not None and id(one) not in seen:
        seen.add(id(one))
        if isinstance(one, KeyboardInterrupt) and not _is_written(one):
            return True
        one = one.__cause__ or one.__context__
    return False


def _is_written(error: KeyboardInterrupt) -> bool:
    """Say whether code outside Python's own raised this one."""
    if threading.current_thread() is not threading.main_thread():
        return True  # Ctrl-C is raised nowhere else
    place = error.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    if place is None:
        return False
    code = place.tb_frame.f_code
    return code.co_code[place.tb_lasti] == _RAISE and not _is_pythons(code.co_filename)


def is_of_ours(error: BaseException) -> bool:
    """Say whether code of celery_health raised an error."""
    return place_of(error).partition(".")[0] == __name__.partition(".")[0]


def needs_main_thread(error: BaseException) -> bool:
    """Say whether an import failed for its thread: Python sets handlers of signals in the main one alone."""
    if threading.current_thread() is threading.main_thread():
        return False
    return isinstance(error, ValueError) and str(error).startswith(_NO_SIGNALS)


def place_of(error: BaseException) -> str:
    """Return the module, or its function, that raised an error; Python's own are passed over."""
    name = "a module"
    error = error.raised if isinstance(error, RaisedError) else error
    for frame, _ in walk_tb(error.__traceback__):
        code = frame.f_code
        if not _is_pythons(code.co_filename):
            module = str(frame.f_globals.get("__name__", "?"))
            name = module if code.co_name == "<module>" else f"{module}.{code.co_qualname}"
    return name


def _module_of(error: BaseException) -> str:
    """Return the innermost module whose body was running; where none was, what was called."""
    name = None
    for frame, _ in walk_tb(error.__traceback__):
        if frame.f_code.co_name == "<module>" and not _is_pythons(frame.f_code.co_filename):
            name = str(frame.f_globals.get("__name__", name))
    return name or place_of(error)


def _is_pythons(path: str) -> bool:
    """Say whether a file is of Python's own library."""
    return path.startswith(("<frozen ", *_PYTHONS)) and not path.startswith(_INSTALLED)
