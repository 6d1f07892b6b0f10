#!/usr/bin/env python3
"""Estimates against the truth (TAP): runs of tests/programs/ground_truth with fixed seeds, site by site.

usage: ground_truth_stats.py [--runs N] [--first SEED] [--keep DIR] [--json FILE]

Each run gives for each site and for bytes and objects, live and cumulative, a z-score (error over the standard
deviation that the sampling rule has there) and whether the 95 % interval covers the truth. Over all runs:

  - z-scores pooled have mean 0 and variance 1, sites that are sampled (almost) with certainty aside;
  - intervals cover in 93 to 97 % at sites with 30 and more expected samples, and in 93 % or more at sites
    with about 1, 3 and 10; a site without samples counts with the bound that the header gives for such.

With 200 runs the limits are those, unwidened (mean +-0.1, variance 0.8 to 1.2). With fewer, each is widened to four
standard errors of what a sound profiler would show, where that is wider. Runs with losses count as failures.
"""
import argparse
import json
import math
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import profiled  # noqa: E402
from tap import Tap  # noqa: E402

RATE = 16384
PROGRAM = os.path.join(profiled.BUILD, "tests", "programs", "ground_truth")
KINDS = [("live", "bytes"), ("live", "blocks"), ("total", "bytes"), ("total", "blocks")]
COVERAGE_GROUPS = [("30 and more", 25, math.inf), ("about 10", 6, 25), ("about 3", 2, 6), ("about 1", 0.3, 2)]
SITES_PER_RUN = 65 * len(KINDS)
ALL_RUNS = 200  # with these the limits stand as they are
MIN_MISSES = 5  # fewer unsampled blocks expected: certain


class Result:
    """One site in one run under one of KINDS; `found` is the site in the snapshot, if it is there."""

    def __init__(self, site, truth, kind, found, unseen_bytes):
        what, unit = kind
        self.site, self.kind = site, kind
        self.truth = truth[f"{what}_{unit}"]
        self.expected = truth[f"{what}_expected"]
        self.misses = truth[f"{what}_blocks"] - self.expected
        self.deviation = math.sqrt(truth[f"{what}_{unit}_variance"])
        estimate = found and found["live" if what == "live" else "cumulative"]
        column = {"bytes": "bytes", "blocks": "objects"}[unit]
        if estimate and estimate["samples"]:
            self.value, self.low, self.high = (estimate[column][key] for key in ("value", "low", "high"))
            self.samples = estimate["samples"]
        else:
            self.value = self.low = self.samples = 0
            self.high = unseen_bytes if unit == "bytes" else math.inf

    @property
    def certain(self):
        return self.misses < MIN_MISSES

    @property
    def z(self):
        return (self.value - self.truth) / self.deviation

    @property
    def covered(self):
        return self.low <= self.truth <= self.high


def one_run(profiler, seed):
    """What a run gave, as JSON: {"truth": ..., "found": {site: ...}, "unseen": bytes} or {"error": why not}."""
    with profiler.run([PROGRAM, str(RATE), str(seed)], rate=RATE, seed=seed, stdout=profiled.subprocess.PIPE) as program:
        lines = []
        for line in program.process.stdout:
            lines.append(line)
            if line == b"}}\n":
                break
        snapshot = profiler.snapshot(program.pid, "--timeout", "30")
        program.end()
    lost = profiled.losses(snapshot)
    if lost:
        return {"error": f"seed {seed}: {lost}"}
    truth = json.loads(b"".join(lines))["sites"]
    found = {}
    for site in snapshot["sites"]:
        for name in truth.keys() & set(profiled.functions_of(snapshot, site)):
            if name in found:
                return {"error": f"seed {seed}: {name} has more than one stack"}
            found[name] = {"live": site["live"], "cumulative": site["cumulative"]}
    return {"truth": truth, "found": found, "unseen": snapshot["unseen_site_high_bytes"]}


def results_of(run):
    return [Result(name, site, kind, run["found"].get(name), run["unseen"]) for name, site in run["truth"].items()
            for kind in KINDS]


def judge_ranks(tap, results):
    """Sites that differ clearly must be ranked as they are: by live bytes, run by run."""
    runs = [results[i:i + SITES_PER_RUN] for i in range(0, len(results), SITES_PER_RUN)]
    pairs = wrong = 0
    for run in runs:
        sites = [r for r in run if r.kind == ("live", "bytes")]
        for i, a in enumerate(sites):
            for b in sites[:i]:
                if abs(a.truth - b.truth) > 5 * math.hypot(a.deviation, b.deviation):
                    pairs += 1
                    wrong += (a.truth > b.truth) != (a.value > b.value)
    tap.ok(pairs > 0 and wrong == 0, f"{pairs} pairs of sites that differ by five deviations are ranked right",
           f"{wrong} are not")


def mean(values):
    return sum(values) / len(values)


def judge_z(tap, results, kind, widen):
    zs = [r.z for r in results if r.kind == kind and not r.certain]
    count = len(zs)
    center, spread = mean(zs), mean([z * z for z in zs])
    # A site's z has kurtosis near 3 + 1/expected; 4 is the worst that the plan contains.
    center_limit = max(0.1, widen * 4 / math.sqrt(count))
    spread_limit = max(0.2, widen * 4 * math.sqrt(3 / count))
    name = " ".join(kind)
    tap.note(f"{name}: {count} z-scores, mean {center:+.4f}, variance {spread:.4f}")
    tap.ok(abs(center) <= center_limit, f"{name}: the pooled error is 0 within {center_limit:.2f} deviations")
    tap.ok(abs(spread - 1) <= spread_limit, f"{name}: the pooled variance is 1 within {spread_limit:.2f}")
    return {"mean": center, "variance": spread, "count": count}


def judge_coverage(tap, results, kind, group, widen):
    label, low, high = group
    hits = [r.covered for r in results if r.kind == kind and not r.certain and low <= r.expected < high]
    if not hits:
        tap.ok(False, f"{' '.join(kind)}: there are sites with {label} expected samples")
        return None
    share = mean(hits)
    margin = widen * 4 * math.sqrt(0.95 * 0.05 / len(hits))
    at_least, at_most = min(0.93, 0.95 - margin), min(1, max(0.97, 0.95 + margin)) if low >= 25 else 1
    name = f"{' '.join(kind)}: 95 % intervals at sites with {label} expected samples"
    tap.note(f"{name}: {100 * share:.2f} % of {len(hits)}")
    tap.ok(at_least <= share <= at_most, f"{name} cover {100 * at_least:.1f} to {100 * at_most:.1f} %")
    return {"coverage": share, "count": len(hits)}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=int(os.environ.get("SPPROF_TRUTH_RUNS", "2")))
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--keep", help="folder in which finished runs are kept and found again")
    parser.add_argument("--json")
    arguments = parser.parse_args()
    profiled.need()
    tap = Tap()
    results, errors = [], []
    with profiled.Profiler() as profiler:
        for seed in range(arguments.first, arguments.first + arguments.runs):
            run = profiled.kept(arguments.keep, seed, lambda seed: one_run(profiler, seed))
            if "error" in run:
                errors.append(run["error"])
            else:
                results += results_of(run)
    tap.ok(not errors, f"nothing is lost in {arguments.runs} runs", errors)
    report = {"runs": arguments.runs, "first_seed": arguments.first, "errors": errors}
    if results:
        widen = arguments.runs < ALL_RUNS
        for kind in KINDS:
            report[" ".join(kind)] = judge_z(tap, results, kind, widen)
            for group in COVERAGE_GROUPS:
                report[f"{' '.join(kind)}, {group[0]}"] = judge_coverage(tap, results, kind, group, widen)
        certain = [r for r in results if r.certain and r.kind == ("total", "blocks")]
        expected, missed = (sum(values) for values in zip(*((r.misses, r.truth - r.samples) for r in certain)))
        tap.note(f"{len(certain)} sites of near certainty: {missed} blocks without a sample, {expected:.1f} expected")
        tap.ok(abs(missed - expected) <= 4 * math.sqrt(expected) + 2,
               "sites that are sampled with near certainty miss as few blocks as they should")
        judge_ranks(tap, results)
        once = [r for r in results if r.site == "site_once" and r.kind == ("live", "bytes")]
        worst = max(abs(r.z) for r in once)
        tap.ok(worst < 5, f"2,000 threads that allocate once bring no bias (|z| at most {worst:.2f})")
    if arguments.json:
        with open(arguments.json, "w", encoding="utf-8") as file:
            json.dump(report, file, indent=1)
    tap.done()


main()
