"""One large mail over a long and bad path: into Postern, and into a receiver on the kernel's TCP, over the same path.

A sender in the namespace `far` sits behind relay.c, which gives the path its delay and loses by a seed: the n-th TCP frame of a
direction has the same fate for both receivers. The sender is the kernel's TCP with its default settings, and the congestion
control that is asked for; the kernel's receiver is this file as a program, with default settings as well.

    python3 goodput.py send ADDRESS OCTETS CONGESTION_CONTROL    # prints {"seconds": ..} from 354 to 250
    python3 goodput.py sink ADDRESS
"""
import fcntl
import json
import os
import signal
import socket
import statistics
import struct
import subprocess
import sys
import termios
import time

HERE = os.path.dirname(os.path.abspath(__file__))
FAR, FAR6 = '10.12.170.60', '2001:db8:12::60'
KERNEL, KERNEL6 = '10.12.170.31', '2001:db8:12::31'  # the sink's, beside the next hop
LINK = {'kbit_s': 100000, 'queue_octets': 2000000}  # 100 Mbit/s, and a router that holds 160 ms of it
LINES = b''.join(b'%06d abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ\r\n' % n for n in range(1000))


def body(octets):
    return (LINES * (octets // len(LINES) + 1))[:octets - 2] + b'\r\n'


# --- the programs

def family(address):
    return socket.AF_INET6 if ':' in address else socket.AF_INET


def unacknowledged(sock):
    return struct.unpack('I', fcntl.ioctl(sock, termios.TIOCOUTQ, b'1234'))[0]


def send(address, octets, control):
    sock = socket.socket(family(address))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, control.encode())
    sock.settimeout(600)
    sock.connect((address, 25))
    replies = sock.makefile('rb')

    def hear(want):
        line = replies.readline()
        while line[3:4] == b'-':
            line = replies.readline()
        if not line.startswith(want):
            sys.exit(f'wanted {want!r}, got {line!r}')
    text = body(octets)
    hear(b'220')
    for command, want in ((b'EHLO far.example.org', b'250'), (b'MAIL FROM:<a@example.org>', b'250'),
                          (b'RCPT TO:<steven@neulan.net>', b'250'), (b'DATA', b'354')):
        sock.sendall(command + b'\r\n')
        hear(want)
    start = time.monotonic()
    sock.sendall(text)
    sock.sendall(b'.\r\n')
    while unacknowledged(sock) > 0:
        time.sleep(0.002)
    acknowledged = time.monotonic() - start
    hear(b'250')
    seconds = time.monotonic() - start
    sock.sendall(b'QUIT\r\n')
    hear(b'221')
    print(json.dumps({'seconds': seconds, 'acknowledged': acknowledged, 'used': sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, 16).rstrip(b'\0').decode()}))


def take_mail(sock):
    for reply in (b'220 sink\r\n', b'250 sink\r\n', b'250 ok\r\n', b'250 ok\r\n', b'354 go\r\n'):
        sock.sendall(reply)
        line = b''
        while reply != b'354 go\r\n' and not line.endswith(b'\r\n'):
            line += sock.recv(4096)
    tail = b''
    while not tail.endswith(b'\r\n.\r\n'):
        part = sock.recv(262144)
        if not part:
            return
        tail = (tail + part)[-5:]
    sock.sendall(b'250 taken\r\n')
    sock.recv(100)
    sock.sendall(b'221 bye\r\n')


def sink(address):
    listener = socket.socket(family(address))
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((address, 25))
    listener.listen(8)
    print('ready', flush=True)
    while True:
        sock, _ = listener.accept()
        with sock:
            take_mail(sock)


# --- the path

def wire(lab):
    """Namespace far, and wan where the relay runs; far's cable ends on the LAN of Postern and of the next hop."""
    from lab import ip
    for short in ('far', 'wan'):
        lab._namespace(short)
    lab.run('wan', 'sysctl', '-qw', 'net.ipv6.conf.all.disable_ipv6=1', 'net.ipv6.conf.default.disable_ipv6=1')
    far, wan, net = lab.space('far'), lab.space('wan'), lab.space('net')
    ip('link', 'add', 'eth0', 'netns', far, 'type', 'veth', 'peer', 'name', 'w0', 'netns', wan)
    ip('link', 'add', 'w1', 'netns', wan, 'type', 'veth', 'peer', 'name', 'far', 'netns', net)
    for short, name in (('far', 'eth0'), ('wan', 'w0'), ('wan', 'w1'), ('net', 'far')):
        lab.run(short, 'ethtool', '-K', name, 'tx', 'off', 'tso', 'off', 'gso', 'off', 'gro', 'off', check=False)
        ip('link', 'set', name, 'up', netns=lab.space(short))
    ip('link', 'set', 'far', 'master', 'lan', netns=net)
    ip('addr', 'add', f'{FAR}/24', 'dev', 'eth0', netns=far)
    ip('addr', 'add', f'{KERNEL}/24', 'dev', 'eth0', netns=lab.space('hop'))
    if lab.v6:
        ip('addr', 'add', f'{FAR6}/64', 'dev', 'eth0', 'nodad', netns=far)
        ip('addr', 'add', f'{KERNEL6}/64', 'dev', 'eth0', 'nodad', netns=lab.space('hop'))


class Relay:
    """with Relay(lab, loss_ppm=1000, seed=3) as relay: ...; afterwards .counters."""

    def __init__(self, lab, **settings):
        self.lab, self.settings, self.counters = lab, settings, None

    def __enter__(self):
        from lab import BUILD, Failed
        words = [f'{name}={value}' for name, value in self.settings.items()]
        self.child = self.lab.start('wan', os.path.join(BUILD, 'tests', 'e2e', 'relay'), 'w0', 'w1', *words, stdout=subprocess.PIPE)
        if self.child.stdout.readline() != b'relay: ready\n':
            raise Failed('the relay does not start')
        return self

    def __exit__(self, *_):
        self.child.send_signal(signal.SIGTERM)
        out, _ = self.child.communicate(timeout=10)
        self.counters = json.loads(out)


def start_sink(lab, address):
    child = lab.start('hop', sys.executable, os.path.abspath(__file__), 'sink', address, stdout=subprocess.PIPE)
    child.stdout.readline()
    return child


def seconds_for(lab, address, octets, control, **settings):
    """How long one mail took, and what the relay counted."""
    with Relay(lab, **settings) as relay:
        done = lab.run('far', sys.executable, os.path.abspath(__file__), 'send', address, str(octets), control, timeout=900)
    took = json.loads(done.stdout)
    if os.environ.get('GOODPUT_TRACE'):
        print(took, flush=True)
    return took['seconds'], relay.counters


def compare(lab, ours, theirs, octets, control, seeds, **settings):
    """Runs alternate. MB/s of each run: {'postern': [...], 'linux': [...]}."""
    runs = {'postern': [], 'linux': []}
    for seed in seeds:
        for who, address in (('postern', ours), ('linux', theirs)):
            seconds, _ = seconds_for(lab, address, octets, control, seed=seed, **settings)
            runs[who].append(octets / seconds / 1e6)
    return runs


def ratio(runs):
    return statistics.median(runs['postern']) / statistics.median(runs['linux'])


def text(runs):
    def row(who):
        return f'{who} {statistics.median(runs[who]):.2f} MB/s ({min(runs[who]):.2f} to {max(runs[who]):.2f})'
    return f'{row("postern")}, {row("linux")}, ratio {ratio(runs):.2f}'


if __name__ == '__main__':
    if sys.argv[1] == 'send':
        send(sys.argv[2], int(sys.argv[3]), sys.argv[4])
    else:
        sink(sys.argv[2])
