"""Name servers for tests: knotd, which takes dynamic updates, and a scripted one that fails, lies and is late."""
import contextlib
import os
import socket
import struct
import subprocess
import threading

from lab import HOP, expect, wait_for

A, CNAME, SOA, PTR = 1, 5, 6, 12
SERVFAIL, NXDOMAIN = 2, 3
SCRIPTED_PORT = 5353


class Knot:
    """knotd in the namespace of the next hop, with these zones: {name: lines of a zone file}."""

    def __init__(self, lab, zones):
        self.lab, self.dir = lab, lab.path('knot')
        os.mkdir(self.dir)
        config = [f'server:\n    listen: {HOP}@53\n    rundir: {self.dir}\n    user: root:root',
                  f'database:\n    storage: {self.dir}',
                  'acl:\n  - id: update\n    address: 10.12.170.0/24\n    action: update',
                  f'template:\n  - id: default\n    storage: {self.dir}\n    acl: update\n    zonefile-load: whole\n    journal-content: none',
                  'zone:'] + [f'  - domain: {zone}' for zone in zones]
        for zone, lines in zones.items():
            with open(f'{self.dir}/{zone}.zone', 'w') as f:
                f.write(f'$ORIGIN {zone}.\n$TTL 1\n@ SOA ns.{zone}. root.{zone}. 1 60 60 60 1\n@ NS ns.{zone}.\nns A {HOP}\n{lines}')
        with open(f'{self.dir}/knot.conf', 'w') as f:
            f.write('\n'.join(config) + '\n')
        lab.start('hop', 'knotd', '-c', f'{self.dir}/knot.conf', stdout=subprocess.DEVNULL, stderr=open(f'{self.dir}/err', 'w'))
        wait_for('knotd answers', lambda: 'ns.' in lab.run('hop', 'kdig', f'@{HOP}', '+short', '+time=1', '+retry=0',
                                                           list(zones)[0], 'NS', check=False).stdout)

    def update(self, zone, *lines):
        text = '\n'.join([f'server {HOP}', f'zone {zone}', *lines, 'send', ''])
        self.lab.run('hop', 'knsupdate', input=text)


def name(text):
    return b''.join(bytes([len(label)]) + label.encode() for label in text.split('.') if label) + b'\0'


def address(text):
    return socket.inet_aton(text)


def reverse(text):
    return '.'.join(reversed(text.split('.'))) + '.in-addr.arpa'


class Scripted:
    """records: {(name, type): [rdata, ...] or a number, which is an rcode, or None: no answer at all, or octets that are the answer
    behind its header}. What is not there does not exist."""

    def __init__(self, lab, records):
        self.records, self.asked = records, []
        with lab.inside('hop'):
            self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self.tcp = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        for sock in (self.udp, self.tcp):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind((HOP, SCRIPTED_PORT))
            lab.closers.append(sock.close)
        self.tcp.listen(64)
        for target in (self._serve_udp, self._serve_tcp):
            threading.Thread(target=target, daemon=True).start()

    def answer(self, query, most):
        at, labels = 12, []
        while query[at]:
            labels.append(query[at + 1:at + 1 + query[at]].decode('latin-1').lower())
            at += 1 + query[at]
        kind = struct.unpack('>H', query[at + 1:at + 3])[0]
        question, asked = query[12:at + 5], '.'.join(labels)
        self.asked.append((asked, kind))
        found = self.records.get((asked, kind), self.records.get((asked, CNAME), NXDOMAIN))
        if found is None:
            return None
        if isinstance(found, bytes):
            return query[:2] + b'\x84\x00\x00\x01\x00\x01\x00\x00\x00\x00' + question + found
        if isinstance(found, int):
            soa = b'\xc0\x0c' + struct.pack('>HHIH', SOA, 1, 1, 22) + b'\0\0' + struct.pack('>IIIII', 1, 60, 60, 60, 1)
            return query[:2] + bytes([0x84, found, 0, 1, 0, 0, 0, 1, 0, 0]) + question + soa
        if (asked, kind) not in self.records:
            kind = CNAME
        body = b''.join(b'\xc0\x0c' + struct.pack('>HHIH', kind, 1, 1, len(r)) + r for r in found)
        if 12 + len(question) + len(body) > most:
            return query[:2] + b'\x86\x00\x00\x01\x00\x00\x00\x00\x00\x00' + question
        return query[:2] + b'\x84\x00\x00\x01' + struct.pack('>HHH', len(found), 0, 0) + question + body

    def _serve_udp(self):
        with contextlib.suppress(OSError):
            while True:
                query, peer = self.udp.recvfrom(4096)
                with contextlib.suppress(IndexError):
                    reply = self.answer(query, 1200)
                    if reply:
                        self.udp.sendto(reply, peer)

    def _serve_tcp(self):
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self.tcp.accept()
                with contextlib.suppress(OSError, IndexError, struct.error), sock:
                    sock.settimeout(5)
                    length = struct.unpack('>H', sock.recv(2, socket.MSG_WAITALL))[0]
                    reply = self.answer(sock.recv(length, socket.MSG_WAITALL), 65535)
                    if reply:
                        sock.sendall(struct.pack('>H', len(reply)) + reply)


def ask_scripted(config):
    config['dns'] = {'servers': [f'{HOP}:{SCRIPTED_PORT}']}


def expect_asked(server, what, count):
    expect(server.asked.count(what) == count, f'{what}: asked {server.asked.count(what)} times, not {count}: {server.asked}')
