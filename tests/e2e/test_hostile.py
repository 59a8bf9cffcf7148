"""Peers that mean harm: floods, hoarders, and changes of configuration at the worst moment. Sessions that exist go on, mail that
got a 250 arrives, and no process dies."""
import os
import random
import socket
import struct
import time

from client import Client, session
from lab import DEFAULT, RELAY, Failed, Lab, expect, wait_for
from sink import Sink

BODY = b'Subject: hostile\r\n\r\nx\r\n'


def sum16(octets):
    octets += b'\0' * (len(octets) % 2)
    total = sum(struct.unpack(f'!{len(octets) // 2}H', octets))
    total = (total >> 16) + (total & 0xffff)
    return ~(total + (total >> 16)) & 0xffff


def syn_frame(mac, source, target, port):
    src, dst = socket.inet_aton(source), socket.inet_aton(target)
    tcp = struct.pack('!HHIIBBHHHBBH', port, 25, random.getrandbits(32), 0, 6 << 4, 2, 65535, 0, 0, 2, 4, 1460)
    check = sum16(src + dst + struct.pack('!BBH', 0, 6, len(tcp)) + tcp)
    head = struct.pack('!BBHHHBBH4s4s', 0x45, 0, 20 + len(tcp), 1, 0, 64, 6, 0, src, dst)
    head = head[:10] + struct.pack('!H', sum16(head)) + head[12:]
    return mac + b'\x02\0\0\0\0\x01\x08\0' + head + tcp[:16] + struct.pack('!H', check) + tcp[18:]


def edge_mac(lab):
    words = lab.run('srv', 'cat', '/sys/class/net/edge0/address').stdout
    return bytes.fromhex(words.strip().replace(':', ''))


def raw_wire(lab):
    with lab.inside('net'):
        wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
        wire.bind(('edge', 0))
    lab.closers.append(wire.close)
    return wire


def expect_alive(lab, pids):
    expect(lab.postern_pids() == pids, f'processes died: {pids} became {lab.postern_pids()}')
    wait_for('every packet accounted for', lambda: lab.ctl_json('status')['packets']['unaccounted'] == 0)


def test_syn_flood_leaves_room_for_others():
    with Lab() as lab:
        Sink(lab)
        lab.start_postern()
        pids, kept, wire, mac = lab.postern_pids(), session(lab, 'web', RELAY), raw_wire(lab), edge_mac(lab)
        for n in range(12000):
            wire.send(syn_frame(mac, f'203.0.113.{n % 250}', DEFAULT, 1024 + n % 50000))
        wait_for('the handshakes that wait fill their share', lambda: lab.ctl_json('status')['workers'][0]['connections'] >= 5000)
        session(lab, 'internet', DEFAULT, timeout=5).send_mail('a@example.org', ['u@neulan.net'], BODY)
        kept.send_mail('form@neulan.net', ['u@example.com'], BODY)
        expect_alive(lab, pids)


def begin_body(client, recipient):
    client.say('MAIL FROM:<form@neulan.net>', '250')
    client.say(f'RCPT TO:<{recipient}>', '250')
    client.say('DATA', '354')
    client.sock.sendall(b'Subject: half\r\n\r\n')


def test_reload_takes_the_vserver_of_a_body_away():
    """A body under way when its virtual server moves or goes: its index of before means nothing in the new policy."""
    with Lab() as lab:
        sink = Sink(lab)
        lab.start_postern()
        pids = lab.postern_pids()
        for change, said in ((lambda v: v.reverse(), 'smtp-relay.neulan.net'), (lambda v: v.remove(lab.vserver('relay')), None)):
            client = session(lab, 'web', RELAY)
            begin_body(client, 'u@example.com')
            change(lab.config['virtual_servers'])
            lab.write_config()
            lab.ctl('reload')
            time.sleep(0.5)
            client.sock.sendall(b'rest\r\n.\r\n')
            client.hear('250 2.6.0', 'the dot after the reload')
            if said:
                expect(said in client.say('EHLO x', '250'), 'the session took the name of another virtual server')
            else:
                client.hear('421 4.3.2', 'the session of a virtual server that is gone')
        wait_for('both mails', lambda: len(sink.mails) == 2, 20)
        wait_for('a log line of the mail', lambda: lab.log('relay').count('u@example.com') >= 2)
        expect_alive(lab, pids)




def test_slow_bodies_leave_buffers_for_others():
    """Sessions that begin a body and go silent hold no buffer that somebody else needs."""
    many = {f'm{n}': (f'10.12.9.{n + 1}', 'routed') for n in range(1)}
    with Lab(clients={'web': ('10.12.170.20', 'lan'), **many}, configure=unlimited) as lab:
        sink = Sink(lab)
        lab.start_postern()
        pids, slow = lab.postern_pids(), []
        for n in range(1100):
            client = Client(lab.connect('m0', DEFAULT))
            client.sock.sendall(b'')
            client.hear('220')
            client.sock.sendall(b'EHLO x\r\nMAIL FROM:<a@example.org>\r\nRCPT TO:<u@neulan.net>\r\nDATA\r\n')
            slow.append(client)
        for client in slow:
            for want in ('250', '250', '250', '354'):
                client.hear(want, 'slow')
            client.sock.sendall(b'.')
        good = session(lab, 'web', RELAY)
        for n in range(5):
            good.send_mail('form@neulan.net', [f'good{n}@example.com'], b'Subject: x\r\n\r\n' + b'y' * 70 + b'\r\n' * 20000)
        wait_for('good mail', lambda: len(sink.mails) == 5, 20)
        expect_alive(lab, pids)


def unlimited(config):
    for vserver in config['virtual_servers']:
        vserver['max_connections_per_client'] = 5000
