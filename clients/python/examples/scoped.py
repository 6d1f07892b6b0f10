"""What one block, one function and one coroutine allocate: python3 -m spprof run scoped.py"""
import asyncio

from spprof.memprof import MemoryProfiler

handler = MemoryProfiler(sampling_rate_kb=16)
job = MemoryProfiler(sampling_rate_kb=16)


@handler
def handle(size):
    body = [bytes(2000) for _ in range(size)]
    return body[::2]


@job
async def collect(size):
    parts = []
    for _ in range(size):
        parts.append(bytes(5000))
        await asyncio.sleep(0)
    return parts


def show(name, snapshot):
    print(f"{name}: {snapshot.estimated_heap_bytes / 1e6:.1f} MB kept ({snapshot.live_samples} of "
          f"{snapshot.total_samples} samples live)")


def main():
    with MemoryProfiler(sampling_rate_kb=16, this_thread_only=True) as profiler:
        table = [bytearray(10_000) for _ in range(500)]
    show("block", profiler.snapshot)

    kept = handle(2_000)
    show("function", handler.snapshot)

    parts = asyncio.run(collect(1_000))
    show("coroutine", job.snapshot)
    return table, kept, parts


if __name__ == "__main__":
    main()
