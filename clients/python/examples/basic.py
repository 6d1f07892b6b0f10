"""Where the heap of this program comes from, and what has grown: python3 -m spprof run basic.py"""
import sys

from spprof import memprof


def load_catalogue(entries):
    return {number: f"entry {number} ".encode() * 60 for number in range(entries)}


def remember_requests(requests):
    return [bytes(4000) for _ in range(requests)]


def main():
    memprof.start(sampling_rate_kb=64)
    catalogue = load_catalogue(20_000)
    before = memprof.get_snapshot()
    print(f"{before.estimated_heap_bytes / 1e6:.1f} MB live, from {before.live_samples} samples")
    for allocator in before.top_allocators(5):
        print("  ", allocator)

    requests = remember_requests(5_000)
    after = memprof.get_snapshot()
    print("grown since:")
    for difference in memprof.diff(before, after)[:3]:
        if difference.is_significant:
            print(f"   {difference.growth_bytes / 1e6:+.1f} MB at {difference.stack[0]}")

    path = sys.argv[1] if len(sys.argv) > 1 else "basic.speedscope.json"
    after.save(path, format="speedscope")
    print(f"wrote {path}: drop it onto https://www.speedscope.app")
    return len(catalogue) + len(requests)


if __name__ == "__main__":
    main()
