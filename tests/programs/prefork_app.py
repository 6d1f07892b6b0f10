"""A WSGI application with a heap that is preloaded and a view that leaks: for tests/integration/test_prefork.py.

PREFORK_DIR has two files: each request adds its worker's id to `arrived` and then waits for the lock of `gate`, so that as
many requests at the same time are answered by as many workers.
"""
import fcntl
import json
import os

BLOCK, PRELOADED, LEAKED = 40000, 300, 100
DIRECTORY = os.environ["PREFORK_DIR"]


def load():
    return [bytes(BLOCK) for _ in range(PRELOADED)]


def leaking_view():
    leak.extend(bytes(BLOCK) for _ in range(LEAKED))


leak = []
heap = load()


def wait_at_gate():
    with open(os.path.join(DIRECTORY, "arrived"), "a", encoding="ascii") as arrived:
        arrived.write(f"{os.getpid()}\n")
    with open(os.path.join(DIRECTORY, "gate"), encoding="ascii") as gate:
        fcntl.flock(gate, fcntl.LOCK_SH)


def application(environ, start_response):
    leaking_view()
    wait_at_gate()
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps({"pid": os.getpid(), "blocks": len(leak)}).encode()]
