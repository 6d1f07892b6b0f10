"""unittest's cases as TAP: tap_unittest.main() at the end of a file runs those of that file. A method's name, its
underscores read as blanks, is the result's name."""
import os
import sys
import traceback
import unittest

SRC = os.path.abspath(os.environ.get("SRCDIR", os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")))
BUILD = os.path.abspath(os.environ.get("BUILDDIR", "."))
PACKAGE = os.path.join(SRC, "clients", "python")
sys.path[:0] = [PACKAGE, os.path.join(SRC, "tests", "support")]
from tap import Tap  # noqa: E402


class _Result(unittest.TestResult):
    def __init__(self, tap):
        super().__init__()
        self.tap = tap

    @staticmethod
    def _name(test):
        return test.id().rpartition(".")[2].replace("test_", "", 1).replace("_", " ")

    def addSuccess(self, test):
        self.tap.ok(True, self._name(test))

    def addSkip(self, test, reason):
        self.tap.skip(self._name(test), reason)

    def addFailure(self, test, err):
        self.tap.ok(False, self._name(test), "".join(traceback.format_exception(*err)))

    addError = addFailure

    def addSubTest(self, test, subtest, err):
        """Of those that fail each is a result; the method's own is given if none does."""
        if err is not None:
            self.tap.ok(False, f"{self._name(test)}: {subtest.params or subtest._message}",
                        "".join(traceback.format_exception(*err)))

    def addUnexpectedSuccess(self, test):
        self.tap.ok(False, self._name(test), "it was expected to fail")


def main():
    tap = Tap()
    suite = unittest.defaultTestLoader.loadTestsFromModule(sys.modules["__main__"])
    suite.run(_Result(tap))
    tap.done()
