"""The reference deployment: who may do what at which of the two virtual servers."""
import errno

from client import session
from lab import DEFAULT, RELAY, Lab, expect, wait_for
from sink import Sink

BODY = b'Subject: story\r\n\r\n.leading dot\r\nlast line\r\n'


def test_story():
    with Lab() as lab:
        sink = Sink(lab)
        lab.start_postern()

        s = session(lab, 'internet', DEFAULT)
        s.send_mail('alice@example.org', ['steven@neulan.net'], BODY)
        s.say('MAIL FROM:<alice@example.org>', '250')
        expect(s.say('RCPT TO:<bob@example.com>') == '550 5.7.1 Unable to relay for bob@example.com', 'default relays')
        s.quit()

        for client in ('web', 'farm'):
            s = session(lab, client, RELAY)
            s.send_mail('form@neulan.net', ['bob@example.com'], BODY)
            s.quit()

        s = session(lab, 'vpn', RELAY)
        s.say('MAIL FROM:<someone@neulan.net>', '250')
        s.say('RCPT TO:<bob@example.com>', '550 5.7.1 Unable to relay for bob@example.com')
        s.say('RCPT TO:<steven@neulan.net>', '250')
        s.quit()

        try:
            lab.connect('internet', RELAY)
            expect(False, 'a host outside the VPN got a connection')
        except OSError as e:
            expect(e.errno == errno.ECONNREFUSED, f'wanted a reset, got {e}')

        mails = wait_for('three mails at the next hop', lambda: len(sink.mails) >= 3 and sink.mails)
        for m in mails:
            expect(m.body_from(b'Subject: story') == BODY, f'body changed: {m.data!r}')
            expect(m.data.startswith(b'Received: from client.example.org'), 'no trace header of ours')
        status = lab.ctl_json('status')
        expect(status['packets']['unaccounted'] == 0, f'packets: {status["packets"]}')


def test_story_reload_acts_in_open_sessions():
    with Lab() as lab:
        Sink(lab)
        lab.start_postern()
        web, internet = session(lab, 'web', RELAY), session(lab, 'internet', DEFAULT)
        farm = session(lab, 'farm', RELAY)
        web.say('MAIL FROM:<form@neulan.net>', '250')
        web.say('RCPT TO:<a@example.com>', '250')
        lab.vserver('relay')['relay']['only'] = ['10.12.8.0/24']
        lab.vserver('default')['connections'] = {'all_except': ['198.51.100.0/24']}
        lab.write_config()
        lab.ctl('reload')
        web.say('RCPT TO:<b@example.com>', '550 5.7.1 Unable to relay for b@example.com')
        internet.say('NOOP', '421 4.7.1')
        expect(internet.closed(), 'a session whose source may no longer connect stays open')
        farm.send_mail('d@neulan.net', ['x@example.com'], BODY)


def test_story_bad_reload_changes_nothing():
    with Lab() as lab:
        Sink(lab)
        lab.start_postern()
        web = session(lab, 'web', RELAY)
        default = lab.vserver('default')
        for bad in ({'only': ['198.51.100.0/24']}, {'only': ['10.12.170.300']}, {'all_except': ['10.12.0.0/16']}):
            default['relay'] = bad
            lab.write_config()
            done = lab.ctl('reload', check=False)
            expect(done.returncode == 1 and 'postern.yaml:' in done.stdout + done.stderr, f'reload of {bad}: {done}')
        web.send_mail('form@neulan.net', ['bob@example.com'], BODY)
        expect(lab.ctl_json('status')['epoch'] == 1, 'the epoch moved')
