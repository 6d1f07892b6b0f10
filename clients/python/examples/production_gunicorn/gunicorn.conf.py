"""Eight workers under the agent. A worker whose agent or daemon is missing serves all the same."""
from spprof import memprof

workers = 8
bind = "127.0.0.1:8000"


def post_fork(server, worker):
    try:
        memprof.start(sampling_rate_kb=512)
    except RuntimeError as error:
        worker.log.warning("not profiled: %s", error)
