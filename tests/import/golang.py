"""golang.py - the Go toolchains that are at hand, and the newest one's `go tool trace`."""
import os
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "e2e"))
import harness  # noqa: E402

VERSIONS = [version for version in harness.EVERY if harness.minor(version) >= (1, 22)]


class Toolchain:
    def __init__(self, version, root):
        self.version, self.root = version, root
        self.go = os.path.join(root, "bin", "go")
        self.env = dict(os.environ, GOROOT=root, GOTOOLCHAIN="local", GOFLAGS="-buildvcs=false", GOWORK="off", TZ="UTC")

    def minor(self):
        return int(self.version.split(".")[1])

    def trace_tool(self, path):
        return [self.go, "tool", "trace", "-d=parsed", path]


def toolchain(version):
    script = os.path.join(ROOT, "tools", "go-toolchain.sh")
    run = subprocess.run(["sh", script, version], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    return Toolchain(version, run.stdout.decode().strip()) if run.returncode == 0 else None


def newest():
    """The newest: it reads what all wrote. None when it is not here."""
    return toolchain(VERSIONS[-1])
