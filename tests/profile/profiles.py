#!/usr/bin/env python3
"""profiles.py PROGRAM CASE [MALLOC] - runs a case of profiles.c, and reads what it wrote by a decoder of its own.

With pprof as the case: go tool pprof must take every file; 77 when there is none."""
import gzip
import os
import re
import shutil
import subprocess
import sys
import tempfile


def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value, at


def fields(data):
    at = 0
    while at < len(data):
        tag, at = varint(data, at)
        if tag & 7 == 0:
            value, at = varint(data, at)
        elif tag & 7 == 2:
            size, at = varint(data, at)
            value = data[at:at + size]
            assert len(value) == size
            at += size
        else:
            raise ValueError(f'wire type {tag & 7}')
        yield tag >> 3, value


def message(data):
    out = {}
    for number, value in fields(data):
        out.setdefault(number, []).append(value)
    return out


def packed(data):
    at = 0
    while at < len(data):
        value, at = varint(data, at)
        yield value - (1 << 64) if value >> 63 else value


class Profile:
    """samples: (names from the innermost, values, labels)."""

    def __init__(self, path):
        top = message(gzip.decompress(open(path, 'rb').read()))
        strings = [s.decode() for s in top[6]]
        assert strings[0] == ''
        self.types = [tuple(strings[message(t)[f][0]] for f in (1, 2)) for t in top[1]]
        self.default = strings[top.get(14, [0])[0]]
        self.period_type = tuple(strings[message(top[11][0])[f][0]] for f in (1, 2))
        self.period = top.get(12, [0])[0]
        self.duration = top.get(10, [0])[0]
        functions = {}
        for f in map(message, top.get(5, [])):
            functions[f[1][0]] = (strings[f.get(2, [0])[0]], strings[f.get(4, [0])[0]])
        mappings = {}
        for m in map(message, top.get(3, [])):
            mappings[m[1][0]] = (m[2][0], m[3][0])
            assert m[2][0] < m[3][0]
        locations = {}
        for l in map(message, top.get(4, [])):
            lines = [message(line) for line in l.get(4, [])]
            locations[l[1][0]] = [functions[line[1][0]][0] for line in lines]
            if 2 in l:
                low, high = mappings[l[2][0]]
                assert low <= l[3][0] < high
        self.samples = []
        for s in map(message, top.get(2, [])):
            names = [name for i in packed(s.get(1, [b''])[0]) for name in locations[i]]
            values = list(packed(s[2][0]))
            assert len(values) == len(self.types)
            labels = {}
            for label in map(message, s.get(3, [])):
                labels[strings[label[1][0]]] = strings[label[2][0]] if 2 in label else label.get(3, [0])[0]
            self.samples.append((names, values, labels))

    def sum(self, index, *names, leaf=False, **labels):
        """Of samples that have all these functions on their stacks."""
        return sum(v[index] for n, v, l in self.samples
                   if all(name in (n[:1] if leaf else n) for name in names)
                   and all(l.get(k) == x for k, x in labels.items()))


def expect(what, got, low, high=None):
    high = low if high is None else high
    if not low <= got <= high:
        raise AssertionError(f'{what}: {got}, not {low}' + (f' to {high}' if high != low else ''))


def check_cpu(at, said):
    p = Profile(f'{at}/cpu.pb.gz')
    assert p.types == [('samples', 'count'), ('cpu', 'nanoseconds')] and p.period_type == ('cpu', 'nanoseconds')
    expect('period', p.period, 10_000_000)
    expect('duration is there', p.duration > 0, True)
    three, one = p.sum(0, 'burn_three'), p.sum(0, 'burn_one')
    used = int(said['cpu'][0])
    for names, values, labels in p.samples:
        expect('cpu is samples times period', values[1], values[0] * p.period)
        if 'burner' in names and 'on_urg' not in names:  # stopped there, it is nobody's
            assert labels.get('name') == 'burner' and labels.get('goroutine', 0) > 1, labels
    expect('outer frames are trimmed', sum('gt__entry' in n for n, _, _ in p.samples), 0)
    # By chance: the caller tries again.
    return used * 0.6 < p.sum(1) < used * 1.4 and 2 * one < three < 4.5 * one


def check_waits(at, said):
    block, mutex = Profile(f'{at}/block.pb.gz'), Profile(f'{at}/mutex.pb.gz')
    for p in block, mutex:
        assert p.types == [('contentions', 'count'), ('delay', 'nanoseconds')]
        assert p.period_type == ('contentions', 'count')
    leaves = {'wait_recv': 'gt__chan_recv', 'wait_send': 'gt__chan_send', 'wait_select': 'gt_select_n',
              'wait_mutex': 'gt_mutex_lock', 'wait_rlock': 'gt_rwmutex_rlock', 'wait_cond': 'gt_cond_wait',
              'wait_wg': 'gt_wg_wait'}
    for name, leaf in leaves.items():
        count, least, most = map(int, said[name])
        at_leaf = [s for s in block.samples if s[0][0] == leaf and name in s[0]]
        expect(f'block: {name}: contentions', sum(v[0] for _, v, _ in at_leaf), count)
        expect(f'block: {name}: delay', sum(v[1] for _, v, _ in at_leaf), least, most)
    for name, leaf in ('wake_mutex', 'gt_mutex_unlock'), ('wake_rlock', 'gt_rwmutex_unlock'):
        count, least, most = map(int, said[name.replace('wake', 'wait')])
        assert all(n[0] == leaf for n, _, _ in mutex.samples if name in n)
        expect(f'mutex: {name}: contentions', mutex.sum(0, name), count)
        expect(f'mutex: {name}: delay', mutex.sum(1, name), least, most)
    text = open(f'{at}/block.txt').read()
    assert text.startswith('--- contention:\ncycles/second=1000000000\n'), text
    assert re.search(r'^\d+ 5 @( 0x[0-9a-f]+)+\n#\t0x[0-9a-f]+\tgt_mutex_lock\t', text, re.M), text
    text = open(f'{at}/mutex.txt').read()
    assert text.startswith('--- mutex:\ncycles/second=1000000000\nsampling period=0\n'), text
    return True


def check_goroutines(at, said):
    p = Profile(f'{at}/goroutine.pb.gz')
    assert p.types == [('goroutine', 'count')]
    expect('goroutines', p.sum(0), 140)
    expect('deep', p.sum(0, 'wait_deep', name='deep'), 100)
    expect('without a name', p.sum(0, 'wait_deep'), 130)
    expect('sleepers', p.sum(0, 'gt_sleep', 'sleep_long', 'sleeper'), 7)
    expect('spinner', p.sum(0, 'spinner'), 1)
    expect('in a system call', p.sum(0, 'read_blocking', 'reader'), 1)
    expect('itself', p.sum(0, 'gt_profile_write', 'goroutines', 'go_main'), 1)
    for names, values, labels in p.samples:
        if 'wait_deep' in names:
            expect('depth', names.count('wait_deep'), 4 if labels else 7)
    since = Profile(f'{at}/since.pb.gz')
    expect('less deep', since.sum(0, 'wait_deep'), -130)
    expect('more sleepers', since.sum(0, 'sleep_long'), 5)
    expect('less spinners', since.sum(0, 'spinner'), -1)
    expect('duration is there', since.duration > 0, True)
    text = open(f'{at}/goroutine1.txt').read()
    assert text.startswith('goroutine profile: total 140\n100 @ 0x'), text
    assert '# labels: {"name":"deep"}\n' in text and re.search(r'\n#\t0x[0-9a-f]+\tsleep_long\t.*profiles\.c:\d+\n', text), text
    text = open(f'{at}/goroutine2.txt').read()
    expect('debug=2', len(re.findall(r'^goroutine \d+ \[', text, re.M)), 140)
    assert re.search(r'^goroutine \d+ \[chan receive\]: deep\ngt__chan_recv\(\.\.\.\)\n\t.*chan\.c:\d+\n', text, re.M), text
    assert re.search(r'^goroutine \d+ \[sleep\]: sleeper\n', text, re.M), text
    assert re.search(r'^goroutine \d+ \[syscall\]: reader\n', text, re.M), text
    assert '\ncreated by goroutine 1\n' in text
    threads = Profile(f'{at}/threadcreate.pb.gz')
    assert threads.types == [('threadcreate', 'count')] and threads.sum(0) >= 1
    assert open(f'{at}/threadcreate.txt').read().startswith('threadcreate profile: total ')
    return True


def check_heap(at, said):
    p = Profile(f'{at}/heap.pb.gz')
    assert p.types == [('alloc_objects', 'count'), ('alloc_space', 'bytes'), ('inuse_objects', 'count'), ('inuse_space', 'bytes')]
    assert p.period_type == ('space', 'bytes') and p.default == 'inuse_space'
    expect('period', p.period, 1)
    for name in 'keep', 'grown':
        count, size = map(int, said[name])
        expect(f'{name}: objects', p.sum(2, name), count)
        expect(f'{name}: bytes', p.sum(3, name), size)
    expect('grown: allocated, with the small ones', p.sum(0, 'grown'), 20)
    expect('dropped: in use', p.sum(2, 'drop'), 0)
    expect('dropped: allocated', p.sum(0, 'drop'), int(said['drop'][0]))
    assert Profile(f'{at}/allocs.pb.gz').default == 'alloc_space'
    since = Profile(f'{at}/heap-since.pb.gz')
    expect('since: bytes', since.sum(3, 'grown'), -int(said['grown'][1]))
    expect('since: kept', since.sum(2, 'keep'), 0)
    sampled = Profile(f'{at}/heap-sampled.pb.gz')
    expect('sampled: period', sampled.period, 32768)
    # Some 870 samples of 1000: what is missing is guessed; six sigma are 25 percent.
    expect('sampled: objects', sampled.sum(2, 'drop'), 750, 1250)
    expect('freed', Profile(f'{at}/heap-freed.pb.gz').sum(3, 'drop'), 0)
    text = open(f'{at}/heap.txt').read()
    assert re.match(r'heap profile: \d+: \d+ \[\d+: \d+\] @ heap/2\n', text) and '\n# Mallocs = ' in text, text
    return True


def run(program, case, at, malloc):
    environment = dict(os.environ)
    if case == 'waits':
        environment['GOMAXPROCS'] = '1'
    if malloc:
        environment.update(LD_PRELOAD=malloc, GT_HEAP_RATE='1')
    done = subprocess.run([program, case, at], env=environment, stdout=subprocess.PIPE, timeout=1500)  # the storm is long with GTRACE_RUNS=long
    if done.returncode != 0:
        raise AssertionError(f'{case}: status {done.returncode}')
    return {line.split()[0]: line.split()[1:] for line in done.stdout.decode().splitlines()}


def pprof(program, malloc):
    go = shutil.which('go')
    # Built, perhaps, by the first call; found once, for each call looks whether it must be built.
    if go:
        subprocess.run([go, 'tool', 'pprof', '-h'], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    tool = subprocess.run([go, 'tool', '-n', 'pprof'], stdout=subprocess.PIPE).stdout.decode().strip() if go else ''
    if not os.path.exists(tool):
        print('no go tool pprof here')
        return 77
    with tempfile.TemporaryDirectory() as at:
        for case in 'cpu', 'waits', 'goroutines':
            run(program, case, at, None)
        if malloc:
            run(program, 'heap', at, malloc)
        want = {'cpu.pb.gz': 'burn', 'block.pb.gz': 'gt_select_n', 'mutex.pb.gz': 'gt_mutex_unlock', 'goroutine.pb.gz': 'wait_deep',
                'since.pb.gz': 'wait_deep', 'threadcreate.pb.gz': '', 'heap.pb.gz': 'keep', 'allocs.pb.gz': 'drop',
                'heap-since.pb.gz': 'grown', 'heap-sampled.pb.gz': 'drop'}
        for name in sorted(os.listdir(at)):
            if not name.endswith('.gz'):
                continue
            for how in '-top', '-traces', '-raw':
                done = subprocess.run([tool, how, f'{at}/{name}'], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
                text = done.stdout.decode()
                if done.returncode != 0 or want.get(name, '') not in text or 'no space left' in text:
                    print(f'go tool pprof {how} {name}: status {done.returncode}\n{text}')
                    return 1
        top = subprocess.run([tool, '-top', f'{at}/goroutine.pb.gz'], stdout=subprocess.PIPE).stdout.decode()
        assert 'of 140 total' in top, top
        # Go's own reader of text takes ours.
        for name in 'goroutine1.txt', 'block.txt', 'mutex.txt', 'threadcreate.txt', 'heap.txt':
            if not os.path.exists(f'{at}/{name}'):
                continue
            done = subprocess.run([tool, '-raw', program, f'{at}/{name}'], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            if done.returncode != 0:
                print(f'{name}: {done.stdout.decode()}')
                return 1
    return 0


def main():
    program, case = sys.argv[1:3]
    malloc = sys.argv[3] if len(sys.argv) > 3 else None
    if case == 'pprof':
        return pprof(program, malloc)
    check = {'cpu': check_cpu, 'waits': check_waits, 'goroutines': check_goroutines, 'heap': check_heap}.get(case)
    for _ in range(30):
        with tempfile.TemporaryDirectory() as at:
            said = run(program, case, at, malloc)
            if not check or check(at, said):
                return 0
    print(f'{case}: thirty times not what chance allows')
    return 1


sys.exit(main())
