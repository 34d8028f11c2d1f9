#!/usr/bin/env python3
# metrics_text.py - a strict reader of Prometheus's text format (0.0.4) finds nothing to say about what PROGRAM prints.
import os
import re
import subprocess
import sys

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
SAMPLE = re.compile(rf'^({NAME})(?:\{{([a-z]+)="((?:[^"\\\n]|\\\\|\\"|\\n)*)"\}})? ([^ ]+)$')
NUMBER = re.compile(r"^[+-]?(\d+(\.\d+)?(e[+-]\d+)?|Inf)$")

text = subprocess.run(sys.argv[1:], stdout=subprocess.PIPE, check=True).stdout.decode()
assert text.endswith("\n"), "the last line has no end"

families = {}  # name -> [type, help, {(suffix, label, value): number}]
current = None
for number, line in enumerate(text[:-1].split("\n"), 1):
    def need(what, say):
        assert what, f"line {number}: {say}: {line}"

    need(line == line.strip() and "  " not in line.split("# HELP")[0], "spaces")
    if line.startswith("#"):
        comment = re.match(rf"^# (HELP|TYPE) ({NAME}) (.+)$", line)
        need(comment, "neither HELP nor TYPE")
        kind, name, rest = comment.groups()
        if kind == "HELP":
            need(name not in families, "a family twice")
            need(re.fullmatch(r"(?:[^\\]|\\\\|\\n)*", rest), "escapes")
            families[name] = current = [None, rest, {}]
        else:
            need(families.get(name) is current and current[0] is None, "TYPE does not follow its HELP")
            need(rest in ("counter", "gauge", "histogram"), "type")
            current[0] = rest
        continue
    sample = SAMPLE.match(line)
    need(sample, "no sample")
    name, label, labelled, value = sample.groups()
    need(NUMBER.match(value), "no number")
    family = next(n for n, f in families.items() if f is current)
    need(name.startswith(family) and current[0], "not of the family before it")
    key = (name[len(family):], label, labelled)
    need(key not in current[2], "twice")
    current[2][key] = float(value)

for name, (kind, _, samples) in families.items():
    assert (kind == "counter") == name.endswith("_total"), f"{name}: {kind}"
    assert re.match(r"(go|gtrace)_[a-z0-9_]+$", name), name
    if kind != "histogram":
        assert list(samples) == [("", None, None)] and min(samples.values()) >= 0, name
        continue
    buckets = [(k[2], v) for k, v in samples.items() if k[0] == "_bucket" and k[1] == "le"]
    assert len(samples) == len(buckets) + 2, f"{name}: what else is there?"
    bounds = [float(b) for b, _ in buckets]
    assert bounds == sorted(set(bounds)) and buckets[-1][0] == "+Inf", f"{name}: boundaries"
    assert [v for _, v in buckets] == sorted(v for _, v in buckets), f"{name}: not cumulative"
    assert samples["_count", None, None] == buckets[-1][1] > 0, f"{name}: count"
    assert samples["_sum", None, None] > 0, f"{name}: sum"

# What Prometheus's collector for Go 1.26 calls them, and which boundaries it keeps.
want = """go_cpu_classes_idle_cpu_seconds_total go_cpu_classes_total_cpu_seconds_total go_cpu_classes_user_cpu_seconds_total
go_gc_stack_starting_size_bytes go_goroutines go_sched_gomaxprocs_threads go_sched_goroutines_created_goroutines_total
go_sched_goroutines_goroutines go_sched_goroutines_not_in_go_goroutines go_sched_goroutines_runnable_goroutines
go_sched_goroutines_running_goroutines go_sched_goroutines_waiting_goroutines go_sched_latencies_seconds
go_sched_threads_total_threads go_sync_mutex_wait_total_seconds_total go_threads""".split()
have = sorted(name for name in families if name.startswith("go_"))
assert have == want, f"{have}"
bounds = [k[2] for k in families["go_sched_latencies_seconds"][2] if k[0] == "_bucket"]
assert bounds == ["6.399999999999999e-08", "6.399999999999999e-07", "7.167999999999999e-06", "8.191999999999999e-05",
                  "0.0009175039999999999", "0.010485759999999998", "0.11744051199999998", "+Inf"], bounds
value = {name: samples.get(("", None, None)) for name, (_, _, samples) in families.items()}
assert value["go_goroutines"] == value["go_sched_goroutines_goroutines"] == 1
assert value["go_threads"] == value["go_sched_threads_total_threads"] >= 2
assert value["go_sync_mutex_wait_total_seconds_total"] > 0

# The man page has each of them.
source = os.environ.get("GTRACE_SOURCE_DIR")
if source:
    defined = re.findall(r'^METRIC\(\w+, "([^"]+)"', open(f"{source}/runtime/metrics.def").read(), flags=re.M)
    page = re.findall(r"^\.BR (/\S+) ", open(f"{source}/docs/man/gt_metrics.3").read().replace("\\-", "-"), flags=re.M)
    assert len(defined) + 2 == len(families) and page == defined, set(page) ^ set(defined)
print(f"{len(families)} families")
