# cgroup.py - a cgroup of a test's own, with a CPU quota; where none can be made, the test is skipped.
import os
import time

import harness


class Quota:
    """with Quota(20000, 100000) as group: group.command(...) runs with 20 ms of CPU time in each 100."""

    def __init__(self, quota_us, period_us):
        self.quota, self.period = quota_us, period_us

    def __enter__(self):
        v2 = not os.path.exists("/sys/fs/cgroup/cpu/cpu.cfs_quota_us")
        self.path = "/sys/fs/cgroup/%sgtrace-report-%d" % ("" if v2 else "cpu/", os.getpid())
        try:
            os.mkdir(self.path)
        except OSError as error:
            raise harness.Skip("no cgroup can be made: %s" % error)
        try:
            if v2:
                self.write("cpu.max", "%d %d" % (self.quota, self.period))
            else:
                self.write("cpu.cfs_period_us", str(self.period))
                self.write("cpu.cfs_quota_us", str(self.quota))
        except OSError as error:
            self.__exit__()
            raise harness.Skip("no CPU quota can be set: %s" % error)
        return self

    def write(self, name, text):
        with open(os.path.join(self.path, name), "w") as file:
            file.write(text)

    def command(self, command):
        return ["sh", "-c", 'echo $$ >%s/cgroup.procs && exec "$@"' % self.path, "sh"] + list(command)

    def throttled_ns(self):
        """How long it was held back until now, by the kernel's count."""
        with open(self.path + "/cpu.stat") as file:
            stat = dict(line.split() for line in file)
        return int(stat["throttled_time"]) if "throttled_time" in stat else int(stat["throttled_usec"]) * 1000

    def __exit__(self, *_):
        for _ in range(200):  # the last process of it is gone in a moment
            try:
                os.rmdir(self.path)
                return
            except OSError:
                time.sleep(0.05)
