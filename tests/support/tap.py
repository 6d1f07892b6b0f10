"""TAP for tests written in Python: each result is printed when it is known, the plan at the end.

    tap = Tap()
    tap.ok(condition, "a sentence", details)   # details: text or lines, printed as comments on failure
    tap.skip("a sentence", "why")
    tap.done()                                 # prints the plan, exits 0 or 1
"""
import sys


class Tap:
    def __init__(self):
        self.count = 0
        self.failed = 0

    def note(self, text):
        for line in str(text).splitlines():
            print("# " + line, flush=True)

    def ok(self, condition, name, details=()):
        self.count += 1
        if not condition:
            self.failed += 1
            for line in [details] if isinstance(details, str) else details:
                self.note(line)
        print(f"{'ok' if condition else 'not ok'} {self.count} - {name}", flush=True)
        return bool(condition)

    def skip(self, name, reason):
        self.count += 1
        print(f"ok {self.count} - {name} # SKIP {reason}", flush=True)

    def done(self):
        print(f"1..{self.count}", flush=True)
        sys.exit(1 if self.failed else 0)


def skip_all(reason):
    """The whole file cannot run here: one visible skip instead of results."""
    print(f"1..0 # SKIP {reason}", flush=True)
    sys.exit(0)
