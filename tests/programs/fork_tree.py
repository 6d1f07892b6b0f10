"""A process that forks one that forks two and ends: for tests/integration/test_prefork.py. The two wait until the
descriptor that they are given says the end of its file, the first one does what it is told in lines."""
import os
import sys

BLOCK, INHERITED, OWN = 40000, 1000, 200


def load():
    return [bytes(BLOCK) for _ in range(INHERITED)]


def grow():
    return [bytes(BLOCK) for _ in range(OWN)]


def leaf(gate):
    kept = grow()
    say(f"leaf {os.getpid()}")
    os.read(gate, 1)
    os._exit(len(kept) == 0)


def say(word):
    """In one piece: others write there, too."""
    os.write(1, f"{word}\n".encode())


def main():
    heap = load()
    gate = int(sys.argv[1])
    between = os.fork()
    if between == 0:
        for _ in range(2):
            if os.fork() == 0:
                leaf(gate)
        os._exit(0)
    os.waitpid(between, 0)
    say("ready")
    sys.stdin.readline()
    del heap[::2]
    say("dropped")
    sys.stdin.readline()


main()
