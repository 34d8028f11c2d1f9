#!/usr/bin/env python3
# interrupted.py SIGNAL: a conversion that waits for the rest of its input is ended by a signal: what it began is gone.
import os
import signal
import subprocess
import sys
import time

number = signal.Signals["SIG" + sys.argv[1]]
run = subprocess.Popen(["gtrace", "convert", "-", "--to", "gtrace", "-o", "interrupted.gtrace"], stdin=subprocess.PIPE, preexec_fn=lambda: signal.signal(number, signal.SIG_DFL))
while not os.path.exists("interrupted.gtrace.partial"):
    if run.poll() is not None:
        sys.exit("it ended by itself: %d" % run.returncode)
    time.sleep(0.01)
run.send_signal(number)
print("%s: %s" % (number.name, "ended by it" if run.wait() == -number else "status %d" % run.returncode))
