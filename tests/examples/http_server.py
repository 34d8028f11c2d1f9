#!/usr/bin/env python3
"""http_server.py SERVER - what examples/http-server answers: to well-behaved clients, to slow ones, and to those that try it on."""
import email.utils
import http.client
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

SERVER = sys.argv[1]
BIG = os.urandom(1_500_000)


class Server:
    def __init__(self, directory, *options):
        self.process = subprocess.Popen([SERVER, '-p', '0', *options, directory], stdout=subprocess.PIPE, text=True)
        self.port = int(self.process.stdout.readline().rsplit(':', 1)[1].strip(' /\n'))

    def raw(self, *parts, end=True, timeout=60):
        """Sends the parts, each by itself; gives back all that comes until the server closes."""
        with socket.create_connection(('127.0.0.1', self.port), timeout) as s:
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            data = b''
            try:
                for part in parts:
                    s.sendall(part)
                    if len(parts) > 1:
                        time.sleep(0.002)
                if end:
                    s.shutdown(socket.SHUT_WR)
                while piece := s.recv(65536):
                    data += piece
            except ConnectionError:
                pass
            return data

    def status(self, *parts, **more):
        """A client that gets no CPU for long is dropped like any other slow one: then once more."""
        for _ in range(50):
            data = self.raw(*parts, **more)
            if data:
                break
        assert data.startswith(b'HTTP/1.1 '), data[:100]
        return int(data[9:12])

    def client(self):
        return http.client.HTTPConnection('127.0.0.1', self.port, timeout=60)

    def patient(self, *what):
        """The status of one that may be dropped likewise."""
        for _ in range(50):
            try:
                return self.ask(*what)[0].status
            except (ConnectionError, http.client.HTTPException):
                pass
        raise AssertionError(f'{what}: never answered')

    def ask(self, method, path, body=None, headers={}, client=None, **more):
        c = client or self.client()
        c.request(method, path, body, headers, **more)
        r = c.getresponse()
        data = r.read()
        if not client:
            c.close()
        return r, data

    def stop(self, how=signal.SIGTERM):
        self.process.send_signal(how)
        status = self.process.wait(60)
        assert status == 0, f'status {status} after {how}'


def files(s, directory):
    r, data = s.ask('GET', '/')
    assert (r.status, data) == (200, b'<h1>index</h1>') and r.headers['Content-Type'].startswith('text/html')
    r, data = s.ask('GET', '/big.bin?x=1')
    assert data == BIG and r.headers['Content-Type'] == 'application/octet-stream' and int(r.headers['Content-Length']) == len(BIG)
    r, data = s.ask('HEAD', '/big.bin')
    assert (r.status, data) == (200, b'') and int(r.headers['Content-Length']) == len(BIG)
    assert s.ask('GET', '/empty.txt')[1] == b''
    assert s.ask('GET', '/with%20blank.txt')[1] == b'blank'
    r, _ = s.ask('GET', '/sub')
    assert r.status == 301 and r.headers['Location'] == '/sub/'
    assert s.ask('GET', '/sub/')[1] == b'below'
    # A name that would be a header of its own, were it not coded.
    r, _ = s.ask('GET', '/a%0d%0aX-Bad:%201')
    assert r.status == 301 and r.headers['Location'] == '/a%0D%0AX-Bad%3A%201/' and 'X-Bad' not in r.headers
    r, _ = s.ask('GET', '//sub')
    assert r.status == 301 and r.headers['Location'] == '/sub/'
    for path, status in (('/none', 404), ('/index.html/x', 404), ('/fifo', 403), ('/secret.txt', 403), ('/' + 'x' * 300, 404)):
        if path != '/secret.txt' or os.getuid() != 0:
            assert s.ask('GET', path)[0].status == status, path
    for path in ('/../outside.txt', '/sub/../../outside.txt', '/%2e%2e/outside.txt', '/..%2foutside.txt', '/link', '/linked/outside.txt',
                 '/....//outside.txt', '//../outside.txt', '/sub/%2e%2e/%2e%2e/outside.txt', '/up/outside.txt'):
        data = s.raw(f'GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n'.encode())
        assert int(data[9:12]) in (403, 404) and b'outside' not in data, path
    assert s.ask('GET', '/inside')[1] == b'below'  # a link that stays below is followed


def conditions(s, directory):
    r, _ = s.ask('GET', '/big.bin')
    tag, modified = r.headers['ETag'], r.headers['Last-Modified']
    assert email.utils.parsedate_to_datetime(modified) and email.utils.parsedate_to_datetime(r.headers['Date'])
    for headers, status in (({'If-None-Match': tag}, 304), ({'If-None-Match': f'"x", {tag}'}, 304), ({'If-None-Match': '*'}, 304),
                            ({'If-None-Match': '"other"'}, 200), ({'If-Modified-Since': modified}, 304),
                            ({'If-Modified-Since': 'Thu, 01 Jan 1970 00:00:00 GMT'}, 200), ({'If-Modified-Since': 'nonsense'}, 200),
                            ({'If-None-Match': '"other"', 'If-Modified-Since': modified}, 200)):
        r, data = s.ask('GET', '/big.bin', headers=headers)
        assert r.status == status and len(data) == (len(BIG) if status == 200 else 0), headers
    size = len(BIG)
    for field, status, want in (('bytes=0-0', 206, BIG[:1]), ('bytes=5-99', 206, BIG[5:100]), ('bytes=-7', 206, BIG[-7:]),
                                (f'bytes={size - 3}-', 206, BIG[-3:]), (f'bytes=10-{size * 9}', 206, BIG[10:]),
                                ('bytes=0-1,5-6', 200, BIG), ('lines=1-2', 200, BIG), ('bytes=9-5', 200, BIG),
                                (f'bytes=-{size * 2}', 206, BIG), ('bytes=99999999999999999999-', 416, None), (f'bytes={size}-', 416, None),
                                ('bytes=-0', 416, None)):
        r, data = s.ask('GET', '/big.bin', headers={'Range': field})
        assert r.status == status, (field, r.status)
        if want is not None:
            assert data == want, field
        else:
            assert r.headers['Content-Range'] == f'bytes */{size}'
    r, data = s.ask('GET', '/big.bin', headers={'Range': 'bytes=5-99'})
    assert r.headers['Content-Range'] == f'bytes 5-99/{size}'
    assert s.ask('GET', '/big.bin', headers={'Range': 'bytes=0-1', 'If-Range': tag})[0].status == 206
    assert s.ask('GET', '/big.bin', headers={'Range': 'bytes=0-1', 'If-Range': '"old"'})[1] == BIG
    assert s.ask('GET', '/empty.txt', headers={'Range': 'bytes=0-'})[0].status == 416


def bodies(s, directory):
    c = s.client()
    for size in (0, 1, 100, 16383, 16384, 70000, 1 << 20):
        r, data = s.ask('POST', '/echo', BIG[:size], {'Content-Type': 'text/x-test'}, client=c)
        assert data == BIG[:size] and r.headers['Content-Type'] == 'text/x-test'
        pieces = [BIG[i:min(i + 7000, size)] for i in range(0, size, 7000)]
        r, data = s.ask('PUT', '/echo', iter(pieces), {'Transfer-Encoding': 'chunked'}, client=c, encode_chunked=True)
        assert r.status == 200 and data == BIG[:size], (size, r.status, len(data))
    assert s.patient('POST', '/echo', b'x' * ((1 << 20) + 1)) == 413
    head = b'POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n'
    assert s.raw(head, b'4;name=value\r\nab', b'cd\r\n', b'0\r\nTrailer: x\r\n\r\n').endswith(b'\r\n\r\nabcd')
    assert s.raw(*[bytes([b]) for b in head + b'3\r\nabc\r\n0\r\n\r\n']).endswith(b'\r\n\r\nabc')  # byte by byte
    for bad in (b'x\r\n', b'-1\r\n', b'\r\n', b'3\r\nabcd\r\n0\r\n\r\n', b'3\nabc\r\n', b'123456789\r\n', b'0x3\r\nabc\r\n'):
        assert s.status(head + bad) == 400, bad
    assert s.status(head + b'FFFFFFFF\r\n') == 413
    assert s.status(head + b'200000\r\n') == 413
    assert s.status(head + b'0\r\n' + b'A: b\r\n' * 40 + b'\r\n') == 431
    data = s.raw(b'POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n', b'abc')
    assert data.startswith(b'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK') and data.endswith(b'abc')


def malformed(s, directory):
    good = b'Host: x\r\nConnection: close\r\n\r\n'
    for text, status in (
            (b'GET / HTTP/1.1\r\nConnection: close\r\n\r\n', 400), (b'GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n', 400),
            (b'GET / HTTP/1.1\nHost: x\n\n', 400), (b'GET / HTTP/1.1\r\nHost : x\r\n\r\n', 400), (b'GET / HTTP/1.1\r\nHost: x\r\n y\r\n\r\n', 400),
            (b'GET / HTTP/1.1\r\nHost: x\r\nbad line\r\n\r\n', 400), (b'GET / HTTP/1.1\r\nHost: x\r\nA: \0\r\n\r\n', 400),
            (b'GET / HTTP/1.1\r\nHost: x\r\nA: \x01\r\n\r\n', 400), (b'GET / HTTP/1.1\r\nHost: x\r\nA: b\rc\r\n\r\n', 400),
            (b'GET /\r\n' + good, 400), (b'GET  / HTTP/1.1\r\n' + good, 400), (b'GET / HTTP/1.1 \r\n' + good, 400), (b'G(T / HTTP/1.1\r\n' + good, 400),
            (b'GET x HTTP/1.1\r\n' + good, 400), (b'GET /%zz HTTP/1.1\r\n' + good, 400), (b'GET /%00 HTTP/1.1\r\n' + good, 400),
            (b'GET /% HTTP/1.1\r\n' + good, 400), (b' GET / HTTP/1.1\r\n' + good, 400), (b'GET / FTP/1.1\r\n' + good, 400),
            (b'\x16\x03\x01\x02\x00\x01\x00\r\n\r\n', 400),
            (b'GET / HTTP/2.0\r\n' + good, 505), (b'GET / HTTP/1.2\r\n' + good, 505), (b'BREW / HTTP/1.1\r\n' + good, 501),
            (b'DELETE / HTTP/1.1\r\n' + good, 405), (b'GET /echo HTTP/1.1\r\n' + good, 405),
            (b'POST /echo HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n' + good, 400),
            (b'POST /echo HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n' + good, 400),
            (b'POST /echo HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n' + good, 400),
            (b'POST /echo HTTP/1.0\r\nTransfer-Encoding: chunked\r\n' + good, 400), (b'POST /echo HTTP/1.1\r\nTransfer-Encoding: gzip\r\n' + good, 501),
            (b'POST /echo HTTP/1.1\r\nContent-Length: -1\r\n' + good, 400), (b'POST /echo HTTP/1.1\r\nContent-Length: 1,1\r\n' + good, 400),
            (b'POST /echo HTTP/1.1\r\nContent-Length:\r\n' + good, 400), (b'POST /echo HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n' + good, 413),
            (b'POST /echo HTTP/1.1\r\nExpect: more\r\n' + good, 417),
            (b'GET /' + b'x' * 9000 + b' HTTP/1.1\r\n' + good, 414), (b'GET /' + b'x' * 40000, 414),
            (b'GET / HTTP/1.1\r\n' + b'A: b\r\n' * 2000 + good, 431), (b'GET / HTTP/1.1\r\nA: ' + b'x' * 40000 + b'\r\n' + good, 431),
            (b'GET http://x/ HTTP/1.1\r\n' + good, 200), (b'GET http://x HTTP/1.1\r\n' + good, 400), (b'\r\n\r\nGET / HTTP/1.1\r\n' + good, 200),
            (b'GET / HTTP/1.0\r\n\r\n', 200), (b'GET / HTTP/1.1\r\nHost:\r\nConnection: close\r\n\r\n', 200)):
        got = s.status(text)
        assert got == status, (text[:80], got, status)
    # What follows a request that was refused is not taken for another.
    assert s.raw(b'GET / HTTP/1.1\r\nbad\r\n\r\nGET / HTTP/1.1\r\n' + good).count(b'HTTP/1.1 ') == 1
    # Cut off anywhere: nothing is answered, or the refusal; the server goes on.
    whole = b'POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nabcde'
    for size in range(len(whole)):
        assert b'200 OK' not in s.raw(whole[:size])
    # Noise.
    chance = random.Random(1)
    for _ in range(300):
        text = bytearray(whole * 2)
        for _ in range(chance.randrange(1, 6)):
            text[chance.randrange(len(text))] = chance.choice(b'\r\n \0:%/\xff0aZ')
        s.raw(bytes(text))


def keep_alive(s, directory):
    c = s.client()
    c.connect()
    port = c.sock.getsockname()
    for _ in range(20):
        r, data = s.ask('GET', '/', client=c)
        assert data == b'<h1>index</h1>' and c.sock.getsockname() == port
    one = b'POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n%03d'
    last = b'GET /none HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n'
    # Pipelined: all at once, and cut at any place.
    text = b''.join(one % i for i in range(200)) + last
    for cut in (0, 1, 17, 55, 8191, 12001):
        data = s.raw(*([text[:cut], text[cut:]] if cut else [text]))
        assert [int(part[-3:]) for part in data.split(b'HTTP/1.1 200 OK')[1:-1]] == list(range(199))
        assert data.count(b'HTTP/1.1 200 OK') == 200 and data.count(b'HTTP/1.1 404') == 1
    assert s.raw(b'GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET / HTTP/1.0\r\n\r\n').count(b'<h1>index</h1>') == 2
    assert s.raw(b'GET / HTTP/1.0\r\n\r\nGET / HTTP/1.0\r\n\r\n').count(b'<h1>index</h1>') == 1


def many(directory):
    """Threads that mix it all; the counters come out even."""
    s, failed = Server(directory, '-t', '100'), []

    def one(seed):
        try:
            chance = random.Random(seed)
            c = s.client()
            for _ in range(30):
                size = chance.randrange(40000)
                if chance.random() < 0.5:
                    assert s.ask('POST', '/echo', BIG[:size], client=c)[1] == BIG[:size]
                else:
                    assert s.ask('GET', '/big.bin', headers={'Range': f'bytes={size}-{size + 9999}'}, client=c)[1] == BIG[size:size + 10000]
            c.close()
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=one, args=(i,)) for i in range(24)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert not failed, failed[0]
    # An answer is counted when it is sent: a moment after a client may have it. On one connection, one after the other.
    asking, asked, end = s.client(), 0, time.monotonic() + 60
    while True:
        stats = dict(line.split() for line in s.ask('GET', '/stats', client=asking)[1].decode().splitlines())
        if int(stats['requests']) - asked == 24 * 30:
            break
        assert time.monotonic() < end, (stats, asked)
        asked += 1
        time.sleep(0.01)
    assert (stats['connections'], stats['failures']) == ('25', '0')
    asking.close()
    s.stop()


def slow(directory):
    """A short timeout: who is slow is told so, or dropped; others do not notice."""
    s = Server(directory, '-t', '1')
    idle = [socket.create_connection(('127.0.0.1', s.port)) for _ in range(5)]
    assert s.status(b'GET / HT', end=False) == 408
    assert s.status(b'POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nab', end=False) == 408
    assert s.status(b'POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab', end=False) == 408
    for i in idle:
        i.settimeout(60)
        assert i.recv(1) == b''  # closed without a word
        i.close()
    # One that asks for much and does not read.
    deaf = socket.create_connection(('127.0.0.1', s.port))
    try:
        deaf.sendall(b'GET /big.bin HTTP/1.1\r\nHost: x\r\n\r\n' * 20)
    except ConnectionError:
        pass
    time.sleep(0.1)
    assert s.patient('GET', '/') == 200
    s.stop()  # the deaf one has a second, and is dropped
    deaf.close()


def few_places(directory):
    """Two connections at once: the third waits in the kernel's queue until one ends."""
    s = Server(directory, '-c', '2', '-t', '100')
    a, b = s.client(), s.client()
    assert s.ask('GET', '/', client=a)[0].status == s.ask('GET', '/', client=b)[0].status == 200
    third = socket.create_connection(('127.0.0.1', s.port))
    third.sendall(b'GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n')
    third.settimeout(0.2)
    try:
        third.recv(1)
        raise AssertionError('a third was served')
    except TimeoutError:
        pass
    a.close()
    third.settimeout(60)
    assert third.recv(12) == b'HTTP/1.1 200'
    s.stop()  # also while it waits for a place


def begin_echo(client):
    """A request of which the server has begun to read the body: it said so."""
    client.sendall(b'POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n')
    got = b''
    while not got.endswith(b'\r\n\r\n'):
        piece = client.recv(1)
        assert piece
        got += piece
    assert got == b'HTTP/1.1 100 Continue\r\n\r\n'
    client.sendall(b'ab')


def stopping(directory):
    """A request under way is answered, an idle connection ends at once."""
    for how in (signal.SIGINT, signal.SIGTERM):
        s = Server(directory, '-t', '100')
        idle, busy = s.client(), socket.create_connection(('127.0.0.1', s.port), 60)
        s.ask('GET', '/', client=idle)
        begin_echo(busy)
        s.process.send_signal(how)
        assert idle.sock.recv(1) == b''
        busy.sendall(b'cde')
        data = b''
        while piece := busy.recv(65536):
            data += piece
        assert data.endswith(b'\r\n\r\nabcde') and b'Connection: close' in data
        assert s.process.wait(60) == 0
    # Asked twice: ends at once, and says what it left.
    s = Server(directory, '-t', '100')
    with socket.create_connection(('127.0.0.1', s.port), 60) as busy:
        begin_echo(busy)
        s.process.send_signal(signal.SIGINT)
        time.sleep(0.05)
        while s.process.poll() is None:
            s.process.send_signal(signal.SIGTERM)
            time.sleep(0.05)
        assert s.process.returncode == 1


def refusals(directory):
    for arguments in (['-p', 'x'], ['-p', '70000'], ['-c', '0'], ['-z'], ['a', 'b'], ['-t', '-1']):
        assert subprocess.run([SERVER, *arguments], capture_output=True).returncode == 2, arguments
    run = subprocess.run([SERVER, directory + '/none'], capture_output=True, text=True)
    assert run.returncode == 1 and 'none: No such file' in run.stderr
    with socket.create_server(('127.0.0.1', 0)) as taken:
        run = subprocess.run([SERVER, '-p', str(taken.getsockname()[1]), directory], capture_output=True, text=True)
        assert run.returncode == 1 and 'in use' in run.stderr


with tempfile.TemporaryDirectory() as top:
    directory = top + '/www'
    os.makedirs(directory + '/sub')
    os.mkdir(directory + '/a\r\nX-Bad: 1')
    for name, data in (('index.html', b'<h1>index</h1>'), ('big.bin', BIG), ('empty.txt', b''), ('with blank.txt', b'blank'),
                       ('sub/index.html', b'below'), ('../outside.txt', b'outside'), ('secret.txt', b'secret')):
        with open(f'{directory}/{name}', 'wb') as f:
            f.write(data)
    os.chmod(directory + '/secret.txt', 0)
    os.mkfifo(directory + '/fifo')
    for name, to in (('link', '../outside.txt'), ('linked', '..'), ('up', '../'), ('inside', 'sub/index.html')):
        os.symlink(to, f'{directory}/{name}')
    s = Server(directory, '-t', '100')
    try:
        for case in (files, conditions, bodies, malformed, keep_alive):
            case(s, directory)
        s.stop()
        for case in (many, slow, few_places, stopping, refusals):
            case(directory)
    finally:
        if s.process.poll() is None:
            s.process.kill()
print('good')
