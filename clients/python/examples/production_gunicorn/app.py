"""A WSGI application with a leak and a page that shows it. Needs nothing but spprof."""
import json
import os

from spprof import memprof

_leaked = []


def leak(query):
    _leaked.append([bytes(10_000) for _ in range(int(query or 100))])
    return f"worker {os.getpid()} has leaked {len(_leaked)} times\n"


def heap(query):
    snapshot = memprof.get_snapshot()
    return json.dumps({
        "pid": snapshot.pid,
        "live_bytes": snapshot.estimated_heap_bytes,
        "interval": [snapshot.estimated_heap_low, snapshot.estimated_heap_high],
        "samples": snapshot.live_samples,
        "warnings": snapshot.warnings,
        "top": [str(allocator) for allocator in snapshot.top_allocators(int(query or 10))],
    }, indent=2) + "\n"


PAGES = {"/leak": leak, "/heap": heap}


def application(environ, start_response):
    page = PAGES.get(environ["PATH_INFO"])
    if page is None:
        start_response("404 Not Found", [("Content-Type", "text/plain")])
        return [b"/leak?BLOCKS, /heap?LINES\n"]
    body = page(environ.get("QUERY_STRING", "")).encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
