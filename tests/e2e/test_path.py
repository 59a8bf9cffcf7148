"""The path between: fragments, large pings, narrow links, routers that say so and routers that do not. The peer is the kernel.

Fragments come by a tap: behind af_packet the kernel has put IPv4 together before Postern sees it, and cut off what is larger than a frame.
"""
from client import message, session
from lab import CLIENTS, CLIENTS6, DEFAULT, DEFAULT6, RELAY, Lab, expect, ip, wait_for
from sink import Sink

NARROW = 1400
NOOPS = 200  # their replies are more than one segment, and leave together


def status(lab):
    return lab.ctl_json('status')


def narrow(lab, short):
    """What net forwards to this client must fit into NARROW; the client itself knows nothing of it."""
    cable = f'c{list(lab.clients).index(short)}'
    ip('route', 'replace', f'{CLIENTS[short][0]}/32', 'dev', cable, 'mtu', 'lock', NARROW, netns=lab.space('net'))
    ip('-6', 'route', 'replace', f'{CLIENTS6[short]}/128', 'dev', cable, 'mtu', NARROW, netns=lab.space('net'))


def full_segments(lab, short, address):
    """Replies that fill segments arrive, whatever the path."""
    client = session(lab, short, address)
    client.sock.sendall(b'NOOP\r\n' * NOOPS)
    for _ in range(NOOPS):
        client.hear('250', 'NOOP')
    client.quit()


def test_ping_of_4000_octets_is_answered():
    with Lab(device='tap', v6=True) as lab:
        lab.start_postern()
        for short in ('web', 'internet'):
            for address in (DEFAULT, DEFAULT6):
                lab.run(short, 'ping', '-c', '3', '-i', '0.2', '-W', '2', '-s', '4000', address)
        # And where the way back is narrower than our link.
        narrow(lab, 'internet')
        for address in (DEFAULT, DEFAULT6):
            lab.run('internet', 'ping', '-c', '2', '-i', '0.2', '-W', '2', '-s', '4000', address)
        packets = wait_for('sums', lambda: (p := status(lab)['packets'])['unaccounted'] == 0 and p)
        expect(packets['reassembled'] == 16, f'{packets}')


def mail_in_fragments(workers):
    with Lab(device='tap', workers=workers) as lab:
        sink = Sink(lab)
        lab.start_postern()
        # The client lets routers cut, and the router does: three fragments of each segment.
        lab.run('farm', 'sysctl', '-qw', 'net.ipv4.ip_no_pmtu_disc=1')
        ip('route', 'replace', f'{RELAY}/32', 'dev', 'lan', 'mtu', 'lock', '600', netns=lab.space('net'))
        client = session(lab, 'farm', RELAY)
        client.send_mail('a@neulan.net', ['bob@example.com'], message(200000, 'cut'))
        client.quit()
        wait_for('the mail', lambda: len(sink.mails) == 1, 20)
        packets = wait_for('sums', lambda: (p := status(lab)['packets'])['unaccounted'] == 0 and p)
        expect(packets['reassembled'] > 100, f'{packets}')


def test_mail_in_fragments_arrives():
    mail_in_fragments((1,))


def test_mail_in_fragments_arrives_with_two_workers():
    mail_in_fragments((0, 1))


def test_router_that_says_too_big_is_heard():
    with Lab(workers=(0, 1), v6=True) as lab:
        lab.start_postern()
        narrow(lab, 'internet')
        for number, address in enumerate((DEFAULT, DEFAULT6)):
            full_segments(lab, 'internet', address)
            tcp = wait_for('counters', lambda: (t := status(lab)['tcp'])['pmtu_cuts'] > number and t)
            expect(tcp['icmp_errors'] > number, f'{tcp}')
        wait_for('sums', lambda: status(lab)['packets']['unaccounted'] == 0)


def test_router_that_says_nothing_is_found_out():
    with Lab(v6=True) as lab:
        lab.start_postern()
        narrow(lab, 'internet')
        lab.run('net', 'nft', '-f', '-', input='table inet hole { chain out { type filter hook output priority 0;\n'
                'icmp type destination-unreachable drop\nicmpv6 type packet-too-big drop\n}\n}\n')
        for number, address in enumerate((DEFAULT, DEFAULT6)):
            full_segments(lab, 'internet', address)
            tcp = wait_for('counters', lambda: (t := status(lab)['tcp'])['pmtu_cuts'] > number and t)
            expect(tcp['icmp_errors'] == 0, f'{tcp}')
