"""IPv6 with the kernel as peer: mail, ping, who is let in, and what the server says of a v6 client."""
import subprocess

from client import session
from lab import CLIENTS6, DEFAULT, DEFAULT6, RELAY6, Lab, expect, ip, wait_for
from sink import Sink

PATIENT = True
BODY = b'Subject: over v6\r\n\r\nx\r\n'


def test_mail_over_v6_is_delivered():
    with Lab(v6=True) as lab:
        sink = Sink(lab)
        lab.start_postern()
        session(lab, 'internet', DEFAULT6).send_mail('a@example.org', ['steven@neulan.net'], BODY)
        session(lab, 'web', RELAY6).send_mail('form@neulan.net', ['bob@example.com'], BODY)
        session(lab, 'internet', DEFAULT).send_mail('a@example.org', ['four@neulan.net'], BODY)
        wait_for('three mails', lambda: len(sink.mails) == 3)
        trace = {mail.recipients[0]: mail.data.decode() for mail in sink.mails}
        expect(f'[IPv6:{CLIENTS6["web"]}]' in trace['bob@example.com'], f'Received: {trace["bob@example.com"]}')
        expect('[198.51.100.7]' in trace['four@neulan.net'], f'Received: {trace["four@neulan.net"]}')
        wait_for('its line of the log', lambda: f' {CLIENTS6["web"]} ' in lab.log('relay'))


def test_v6_client_outside_is_refused():
    with Lab(v6=True) as lab:
        lab.start_postern()
        try:
            lab.connect('internet', RELAY6)
            expect(False, 'a client outside the VPN has a connection')
        except ConnectionRefusedError:
            pass
        status = lab.ctl_json('status')
        expect(status['drops'].get('conn_refused', 0) >= 1, f'drops: {status["drops"]}')
        wait_for('the refusal in the log', lambda: CLIENTS6['internet'] in lab.log('relay'))
        vpn = session(lab, 'vpn', RELAY6)
        vpn.say('MAIL FROM:<someone@neulan.net>', '250')
        vpn.say('RCPT TO:<bob@example.com>', '550 5.7.1 Unable to relay')


def test_ping6_is_answered():
    with Lab(v6=True) as lab:
        lab.start_postern()
        for short, options in (('web', ()), ('internet', ('-s', '1400'))):
            lab.run(short, 'ping', '-6', '-c', '3', '-i', '0.2', '-W', '3', *options, DEFAULT6)
        mac = lab.run('srv', 'cat', '/sys/class/net/edge0/address').stdout.strip().split(':')
        own = f'fe80::{int(mac[0], 16) ^ 2:02x}{mac[1]}:{mac[2]}ff:fe{mac[3]}:{mac[4]}{mac[5]}%eth0'
        lab.run('web', 'ping', '-6', '-c', '1', '-W', '3', own)


def capture(lab, short, interface, *expression):
    """tcpdump in a namespace; the function it returns gives the text so far."""
    path = lab.path(f'wire-{short}')
    with open(path, 'wb') as out:
        dump = lab.start(short, 'tcpdump', '-i', interface, '-lnne', *expression, stdout=out, stderr=subprocess.PIPE)
    while b'listening on' not in dump.stderr.readline():
        pass

    def text():
        with open(path, errors='replace') as f:
            return f.read()
    return text


def stderr(lab):
    with open(lab.path('posternd.err')) as f:
        return f.read()


def port(lab):
    return lab.ctl_json('status')['ports'][0]


def states(lab):
    return {a['address']: a['state'] for a in port(lab)['addresses']}


def test_addresses_are_probed_and_announced_on_the_wire():
    with Lab(v6=True) as lab:
        wire = capture(lab, 'net', 'edge', 'arp or ip6')
        lab.start_postern()
        wait_for('all addresses ours', lambda: set(states(lab).values()) == {'ours'})
        expect(len(states(lab)) == 5, f'addresses: {states(lab)}')
        for what in (':: > ff02::1:ff00:5: ICMP6, neighbor solicitation, who has 2001:db8:12::5',   # RFC 4862
                     '2001:db8:12::5 > ff02::1: ICMP6, neighbor advertisement, tgt is 2001:db8:12::5',
                     'who-has 10.12.170.5 tell 0.0.0.0',                                        # RFC 5227
                     'who-has 10.12.170.5 tell 10.12.170.5',
                     'HBH ICMP6, multicast listener report v2, 3 group record(s)'):
            wait_for(f'{what!r} on the wire', lambda: what in wire())


def test_address_that_another_host_has_is_reported_and_over_v6_not_used():
    with Lab(v6=True) as lab:
        sink = Sink(lab)
        for space, address in (('hop', '10.12.170.5/24'), ('hop', '2001:db8:12::74/64')):
            ip('addr', 'add', address, 'dev', 'eth0', *(['nodad'] if ':' in address else []), netns=lab.space(space))
        lab.start_postern()
        wait_for('two addresses taken', lambda: (states(lab)[DEFAULT], states(lab)[RELAY6]) == ('taken', 'taken'))
        mac = lab.run('hop', 'cat', '/sys/class/net/eth0/address').stdout.strip()
        expect({a.get('other') for a in port(lab)['addresses'] if a['state'] == 'taken'} == {mac}, f'{port(lab)["addresses"]}')
        for line in (f'address {DEFAULT} is taken by {mac}: used all the same',
                     f'address {RELAY6} is taken by {mac}: not used until it is free'):
            wait_for(f'{line!r} on stderr', lambda: line in stderr(lab))
        session(lab, 'internet', DEFAULT6).send_mail('a@example.org', ['steven@neulan.net'], BODY)
        wait_for('mail over the address that is ours', lambda: len(sink.mails) == 1)


def test_gateway_and_neighbours_that_go_and_come():
    with Lab(v6=True) as lab:
        lab.start_postern()
        gateways = lambda: {g['address']: g['state'] for g in port(lab)['gateways']}
        both = {'10.12.170.1', '2001:db8:12::1'}
        wait_for('both gateways reachable', lambda: set(gateways().items()) == {(g, 'reachable') for g in both})
        kept = session(lab, 'internet', DEFAULT6)
        ip('link', 'set', 'lan', 'down', netns=lab.space('net'))
        wait_for('both gateways unreachable', lambda: set(gateways().values()) == {'unreachable'}, 70)
        ip('link', 'set', 'lan', 'up', netns=lab.space('net'))
        ip('addr', 'replace', '2001:db8:12::1/64', 'dev', 'lan', 'nodad', netns=lab.space('net'))
        wait_for('both gateways reachable again', lambda: set(gateways().values()) == {'reachable'}, 20)
        kept.say('NOOP', '250')
        for gateway in both:
            wait_for(f'the end of {gateway} on stderr', lambda: f'gateway {gateway} is reachable again' in stderr(lab))
            expect(f'gateway {gateway} is unreachable' in stderr(lab), stderr(lab))
