"""Requeue in children that are killed: ``python -m tests.dead_letters.requeuing KILLS SEED``.

Loading Django takes longer than requeueing a thousand letters: this process loads once and forks. It writes
``killed N`` after each kill, and ``done`` when a child has come to the end.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time

import django

#: Letters per second of a child; its life ends at a random moment of these seconds.
RATE = 400.0
SECONDS = (0.005, 0.12)


def requeue_all() -> None:
    """Requeue until nothing is left, whatever the broker does."""
    from celery_health import dead_letters
    from celery_health.exceptions import BrokerError

    while True:
        try:
            if dead_letters.requeue("celery", force=True, rate=RATE).remaining == 0:
                return
        except BrokerError:
            time.sleep(0.02)


def fork() -> int:
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            requeue_all()
            status = 0
        finally:
            os._exit(status)
    return pid


def main() -> None:
    kills, seed = int(sys.argv[1]), int(sys.argv[2])
    django.setup()
    import celery_health.dead_letters.amqp_box
    import celery_health.dead_letters.letters
    import celery_health.dead_letters.redis_box  # noqa: F401 - not in each child anew
    import tests.project.celery  # noqa: F401 - the app

    chance = random.Random(seed)
    killed = 0
    while killed < kills:
        pid = fork()
        time.sleep(chance.uniform(*SECONDS))
        os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        if os.WIFEXITED(status):
            print(f"all gone after {killed} kills", flush=True)
            break
        killed += 1
        print(f"killed {killed}", flush=True)
    _, status = os.waitpid(fork(), 0)
    print("done" if status == 0 else f"failed {status}", flush=True)


if __name__ == "__main__":
    main()
