"""VLANs and QinQ: each is a port of its own on one device."""
import contextlib
import select
import socket
import struct
import threading

from client import message, session
from lab import DEFAULT, RELAY, Lab, expect, ip, wait_for
from sink import Sink

ETH_P_ALL, SOL_PACKET, PACKET_AUXDATA, PACKET_IGNORE_OUTGOING = 3, 263, 8, 23
TP_STATUS_VLAN_VALID, TP_STATUS_VLAN_TPID_VALID = 1 << 4, 1 << 6

VLAN, QINQ = '10.13.0', '10.14.0'


def tag(number, kind=0x8100):
    return struct.pack('!HH', kind, number)


def tagged(config):
    device = config['ports'][0]['device']
    config['ports'] += [{'device': device, 'vlan': 100, 'addresses': [f'{VLAN}.5/24']},
                        {'device': device, 'vlan': [300, 7], 'addresses': [f'{QINQ}.5/24']}]
    config['own_networks'] += ['10.13.0.0/16', '10.14.0.0/16']
    config['virtual_servers'][1]['listen'] += [f'{VLAN}.5', f'{QINQ}.5']
    config['virtual_servers'][1]['connections']['only'] += ['10.13.0.0/16', '10.14.0.0/16']
    config['virtual_servers'][1]['relay']['only'] += ['10.13.0.0/24', '10.14.0.0/24']


class Tagger:
    """Cables of `web` whose frames are tagged on the LAN, for kernels without VLAN devices: {interface: tags as octets}."""

    def __init__(self, lab, cables):
        self.by_tags = {}
        self.running = True
        with lab.inside('net'):
            self.trunk = self._open('edge')
            for name, tags in cables.items():
                self.by_tags[tags] = self._open(name)
        ip('link', 'set', 'edge', 'mtu', 1600, netns=lab.space('net'))
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()
        lab.closers.append(self.close)

    @staticmethod
    def _open(name):
        sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        sock.bind((name, 0))
        sock.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
        sock.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
        return sock

    @staticmethod
    def _frame(sock):
        """A frame as it was on the wire: the kernel takes the outer tag off and tells it beside."""
        frame, side, _, _ = sock.recvmsg(4096, 256)
        for level, kind, data in side:
            if (level, kind) == (SOL_PACKET, PACKET_AUXDATA):
                status, *_, tci, tpid = struct.unpack('=IIIHHHH', data[:20])
                if status & TP_STATUS_VLAN_VALID:
                    tpid = tpid if status & TP_STATUS_VLAN_TPID_VALID else 0x8100
                    return frame[:12] + struct.pack('!HH', tpid, tci) + frame[12:]
        return frame

    def _run(self):
        tags_of = {sock: tags for tags, sock in self.by_tags.items()}
        while self.running:
            for sock in select.select([self.trunk, *tags_of], [], [], 0.1)[0]:
                frame = self._frame(sock)
                with contextlib.suppress(OSError):
                    if sock is self.trunk:
                        for tags, cable in self.by_tags.items():
                            if tags and frame[12:12 + len(tags)] == tags:
                                cable.send(frame[:12] + frame[12 + len(tags):])
                    else:
                        self.trunk.send(frame[:12] + tags_of[sock] + frame[12:])

    def close(self):
        self.running = False
        self.thread.join()


def wire(lab):
    for name, address in (('v100', f'{VLAN}.20/24'), ('v300', f'{QINQ}.20/24'), ('v200', '10.15.0.20/24')):
        lab._veth('web', name, f't{name}', bridge=False, address=address)
    Tagger(lab, {'tv100': tag(100), 'tv300': tag(300, 0x88a8) + tag(7), 'tv200': tag(200)})


def mail_over_all(device, workers):
    with Lab(device=device, workers=workers, configure=tagged) as lab:
        sink = Sink(lab)
        lab.start_postern()
        wire(lab)
        for address in (RELAY, f'{VLAN}.5', f'{QINQ}.5'):
            client = session(lab, 'web', address)
            client.send_mail('a@neulan.net', ['bob@example.com'], message(200000, address))
            client.quit()
        wait_for('mail from each VLAN', lambda: len(sink.mails) == 3, 20)
        # The largest packets pass in both directions; two tags leave less of a device that has no room for them.
        for address, port in zip((DEFAULT, f'{VLAN}.5', f'{QINQ}.5'), lab.ctl_json('status')['ports']):
            expect(port['mtu'] in (1500, 1496, 1492), f'{port}')
            lab.run('web', 'ping', '-c', '2', '-i', '0.2', '-W', '2', '-M', 'do', '-s', str(port['mtu'] - 28), address)
        status = wait_for('sums', lambda: (s := lab.ctl_json('status'))['packets']['unaccounted'] == 0 and s)
        expect([p['vlan'] for p in status['ports']] == ['', '100', '300.7'], f'{status["ports"]}')


def test_mail_over_tagged_and_double_tagged_frames():
    mail_over_all('af_packet', [1])


def test_mail_over_vlans_of_a_tap_with_two_workers():
    mail_over_all('tap', [0, 1])


def test_other_vlans_are_dropped_by_name():
    with Lab(configure=tagged) as lab:
        lab.start_postern()
        wire(lab)
        # Right addresses in the wrong VLAN: nothing comes back, not even ARP.
        lab.run('web', 'ip', 'addr', 'add', f'{VLAN}.21/32', 'dev', 'v200')
        lab.run('web', 'ip', 'route', 'add', f'{VLAN}.5/32', 'dev', 'v200')
        lab.run('web', 'ping', '-c', '2', '-i', '0.2', '-W', '1', f'{VLAN}.5', check=False)
        drops = lab.ctl_json('status')['drops']
        expect(drops.get('eth_vlan', 0) >= 2, f'{drops}')
        # An address of another VLAN is not answered here.
        lab.run('web', 'ip', 'route', 'replace', f'{VLAN}.5/32', 'dev', 'v300')
        answered = lab.run('web', 'arping', '-c', '1', '-w', '1', '-I', 'v300', f'{VLAN}.5', check=False)
        expect(answered.returncode != 0, 'ARP was answered in another VLAN')
