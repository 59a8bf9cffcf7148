"""IPv6 with the kernel as peer: mail, ping, who is let in, and what the server says of a v6 client."""
from client import session
from lab import CLIENTS6, DEFAULT, DEFAULT6, RELAY6, Lab, expect, wait_for
from sink import Sink

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
        expect(f' {CLIENTS6["web"]} ' in lab.log('relay'), f'log: {lab.log("relay")}')


def test_v6_client_outside_is_refused():
    with Lab(v6=True) as lab:
        lab.start_postern()
        try:
            lab.connect('internet', RELAY6)
            expect(False, 'a client outside the VPN has a connection')
        except ConnectionRefusedError:
            pass
        status = lab.ctl_json('status')
        expect(status['drops'].get('conn_refused') == 1, f'drops: {status["drops"]}')
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
