# pprof.py - the profiles in Go's own reader: accepted, and the same sums as the report's; numbers of the report against the account.
#
#   pprof.py --gtrace PATH --c PROGRAM
import json
import os
import re
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "e2e"))
sys.dont_write_bytecode = True
import harness  # noqa: E402
from harness import expect  # noqa: E402

PROFILES = ("sync-block", "sched-latency", "syscall-block", "network-block", "alloc", "cpu")


def sums(raw):
    """Of the samples in `go tool pprof -raw`: a count and a value each."""
    count = value = 0
    for line in raw.split("Samples:\n", 1)[1].split("Locations\n", 1)[0].splitlines():
        match = re.match(r"\s*(\d+)\s+(\d+):", line)
        if match:
            count += int(match.group(1))
            value += int(match.group(2))
    return count, value


def cpu_samples(bench, command, env, path, profile, told):
    """As many as the trace has events, each with its goroutine; `pprof -top` adds up to the same."""
    events = [line for line in bench.run([bench.gtrace, "convert", path, "--to", "events", "-o", "-"]).stdout.decode().splitlines() if " CpuSample " in line]
    expect(len(events) == told["count"] > 20, "%d samples in the trace, %d in the profile" % (len(events), told["count"]))
    expect(told["total"] == told["count"] * 200000, "each stands for 200 us: %s" % told)
    raw = subprocess.run([command, "tool", "pprof", "-tags", profile], env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout.decode()
    mine = sum(1 for line in events if not re.search(r" g=0\b", line))
    expect(not mine or "goroutine" in raw and "clerk" in raw and "running" in raw, "the labels are missing: " + raw)
    top = subprocess.run([command, "tool", "pprof", "-top", "-unit=ns", "-nodecount=100000", "-nodefraction=0", profile], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    expect(top.returncode == 0, top.stderr.decode())
    match = re.search(r"accounting for (\d+)ns, 100% of (\d+)ns total", top.stdout.decode())
    expect(match and int(match.group(2)) == told["total"], "pprof -top: " + top.stdout.decode()[:400])
    folded = bench.run([bench.gtrace, "convert", path, "--to", "folded", "--profile", "cpu", "-o", "-"]).stdout.decode()
    expect(sum(int(line.rsplit(" ", 1)[1]) for line in folded.splitlines()) == told["total"], "folded stacks add up to something else")


def main(bench, args):
    command, env = harness.go(harness.newest()[0])
    shop = bench.path()
    subprocess.run([args.gtrace, "convert", os.path.join(HERE, "golden.gtt"), "--to", "gtrace", "-o", shop], check=True)
    recorded, _ = bench.record([args.c, "fsync"], ["-q", "--events=all,-kernel,-samples"], {"CULPRIT_DIR": bench.dir})
    sampled = bench.path()
    run = bench.run(bench.command([args.c, "convoy2"], ["--events=default,samples", "--sample-every=200us"], sampled), {"CULPRIT_DIR": bench.dir})
    refused = re.search(r"without the kernel's events: (.*)", run.stderr.decode())
    if refused:
        print("cpu: no samples: " + refused.group(1))
    for path in (shop, recorded) + (() if refused else (sampled,)):
        report = json.loads(bench.run([args.gtrace, "report", "--json", path]).stdout)
        for profile in PROFILES:
            out = bench.path(".pb.gz")
            run = bench.run([args.gtrace, "convert", path, "-o", out, "--profile", profile])
            expect(run.returncode == 0, run.stderr.decode())
            raw = subprocess.run([command, "tool", "pprof", "-raw", out], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            expect(raw.returncode == 0, "go tool pprof: " + raw.stderr.decode())
            told = report["profiles"][profile]
            expect(sums(raw.stdout.decode()) == (told["count"], told["total"]),
                   "%s: %s by pprof, %s by the report" % (profile, sums(raw.stdout.decode()), told))
            if profile == "cpu" and path == sampled:
                cpu_samples(bench, command, env, path, out, told)
            print("%s: %d samples' sum %d %s" % (profile, told["count"], told["total"], "bytes" if profile == "alloc" else "ns"))
    run = subprocess.run([sys.executable, os.path.join(HERE, "account.py"), "--gtrace", args.gtrace, shop, recorded])
    return run.returncode == 0


if __name__ == "__main__":
    sys.exit(harness.one_test(main))
