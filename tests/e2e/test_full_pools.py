"""Every slot and every block taken by peers that only take: what is left of the server is what it promises to those who are there."""
import select
import socket
import struct
import time

from client import Client, session
from lab import DEFAULT, DEFAULT6, RELAY, Lab, expect, wait_for
from sink import Sink
from test_hostile import edge_mac, expect_alive, raw_wire, sum16

BODY = b'Subject: full\r\n\r\nx\r\n'
SLOTS = 1500


def small_table(config):
    config['dataplane']['max_connections'] = SLOTS
    for vserver in config['virtual_servers']:
        vserver['max_connections_per_client'] = 5000


def pressure(lab):
    return lab.ctl_json('status')['workers'][0]['pressure']


class Hoarder:
    """A TCP made of frames: it opens, leaves a hole, and sends all that the window takes behind it."""

    def __init__(self, wire, mac, number):
        self.wire, self.mac, self.source, self.port = wire, mac, f'203.0.113.{number % 250}', 2000 + number

    def send(self, flags, seq, ack, payload=b''):
        src, dst = socket.inet_aton(self.source), socket.inet_aton(DEFAULT)
        tcp = struct.pack('!HHIIBBHHH', self.port, 25, seq, ack, 5 << 4, flags, 65535, 0, 0) + payload
        check = sum16(src + dst + struct.pack('!BBH', 0, 6, len(tcp)) + tcp)
        head = struct.pack('!BBHHHBBH4s4s', 0x45, 0, 20 + len(tcp), 1, 0, 64, 6, 0, src, dst)
        head = head[:10] + struct.pack('!H', sum16(head)) + head[12:]
        self.wire.send(self.mac + b'\x02\0\0\0\0\x01\x08\0' + head + tcp[:16] + struct.pack('!H', check) + tcp[18:])

    def isn(self, listener):
        """The number of the SYN-ACK for us."""
        end = time.monotonic() + 2
        while time.monotonic() < end and select.select([listener], [], [], 0.2)[0]:
            frame = listener.recv(2048)
            if frame[12:14] == b'\x08\0' and len(frame) >= 54 and frame[47] == 0x12 and struct.unpack('!H', frame[36:38])[0] == self.port:
                return struct.unpack('!I', frame[38:42])[0]
        return None

    def hoard(self, listener):
        self.send(2, 100, 0)
        theirs = self.isn(listener)
        if theirs is None:
            return
        self.send(0x10, 101, theirs + 1)
        for n in range(1, 42):
            self.send(0x10, 101 + 1400 * n, theirs + 1, b'h' * 1400)


def listener_of(lab):
    with lab.inside('net'):
        listener = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        listener.bind(('edge', 0))
    lab.closers.append(listener.close)
    return listener


def opened(lab, timeout=2):
    try:
        return lab.connect('internet', DEFAULT, timeout=timeout)
    except OSError:
        return None


def take(lab, count, text, read):
    """So many sessions that say this at most and read no more than the first replies, when any."""
    taken = []
    for _ in range(count):
        sock = opened(lab)
        if sock is None:
            break
        if not read:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        try:
            client = Client(sock)
            client.hear('220')
            sock.setblocking(False)
            sock.send(text)
        except (BlockingIOError, ConnectionResetError):
            pass
        taken.append(sock)
    return taken


def take_everything(lab):
    """Bodies without an end, data behind holes, replies that nobody reads, commands without an end, and silence."""
    held = take(lab, 150, b'EHLO x\r\nMAIL FROM:<a@example.org>\r\nRCPT TO:<u@neulan.net>\r\nDATA\r\nbody', True)
    wire, mac, listener = raw_wire(lab), edge_mac(lab), listener_of(lab)
    for number in range(100):
        Hoarder(wire, mac, number).hoard(listener)
    held += take(lab, 350, b'EHLO client.example.org\r\n' * 1200, False)
    held += take(lab, 150, b'MAIL FROM:<' + b'a' * 400, True)
    while len(held) < SLOTS:
        sock = opened(lab, 0.5)
        if sock is None:
            break
        held.append(sock)
    return held


def expect_answers(lab, kept):
    """All that takes no memory, and the session that is there."""
    for short in ('web', 'net'):
        lab.run(short, 'ip', 'neigh', 'flush', 'all')
    lab.run('web', 'ping', '-c', '2', '-i', '0.2', '-W', '3', RELAY)
    lab.run('web', 'ping', '-6', '-c', '2', '-i', '0.2', '-W', '3', DEFAULT6)
    lab.ctl('status', timeout=5)
    kept.say('NOOP', '250')


def test_full_pools_keep_what_is_there_and_come_free_again():
    with Lab(configure=small_table, v6=True) as lab:
        sink = Sink(lab)
        lab.start_postern()
        pids, kept = lab.postern_pids(), session(lab, 'web', RELAY)
        held = take_everything(lab)
        wait_for('nobody is let in any more', lambda: pressure(lab)['level'] in ('refuse', 'reset'), 5)
        expect(len(held) > SLOTS / 2, f'only {len(held)} sessions were had')
        # Until there is room for somebody new those that are there are served.
        end, late = time.monotonic() + 60, None
        while late is None and time.monotonic() < end:
            expect_answers(lab, kept)
            late = opened(lab, 1)
        expect(late is not None, f'nobody new got in within a minute: {pressure(lab)}')
        late.close()
        seen = pressure(lab)
        expect(all(seen['raised'][level] >= 1 for level in ('prune', 'shrink', 'cookies', 'refuse', 'reset')), f'pressure: {seen}')
        expect(seen['reset'] > 0 and seen['pruned'] > 0, f'pressure: {seen}')
        wait_for('room for mail', lambda: pressure(lab)['level'] == 'none', 60, 0.5)
        kept.send_mail('form@neulan.net', ['kept@example.com'], BODY)
        session(lab, 'internet', DEFAULT, timeout=10).send_mail('a@example.org', ['new@neulan.net'], BODY)
        wait_for('both mails', lambda: len(sink.mails) == 2, 20)
        expect_alive(lab, pids)
