"""What is allowed and seldom done, and nonsense from operators: bodies of every odd kind, a thousand recipients, clients with unusual
options; posternctl with words that mean nothing. What got a 250 arrives once, octet for octet."""
import collections
import subprocess

from client import session
from lab import RELAY, Lab, expect, wait_for
from sink import Sink

BODIES = {
    'empty': b'',
    'blank': b'\r\n',
    'no-header': b'no header here\r\n',
    'dots': b'.\r\n..\r\n...\r\n.a\r\n. \r\n',
    'line-998': b'Subject: x\r\n\r\n' + b'y' * 998 + b'\r\n',
    'dot-and-998': b'Subject: x\r\n\r\n.' + b'z' * 997 + b'\r\n',
    '8bit': b'Subject: \xe4\xf6\r\n\r\n' + bytes(range(0x80, 0x100)) * 3 + b'\r\n',
    'spaces': b'Subject: x\r\n\r\n  lead \t trail \t \r\n\t\r\n \r\n',
    'controls': b'Subject: x\r\n\r\n' + bytes(c for c in range(1, 32) if c not in (10, 13)) + b'\x7f\r\n',
    'folded': b'Subject: a\r\n b\r\n\tc\r\nX-Empty:\r\n\r\n',
    'like-smtp': b'Subject: x\r\n\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\nQUIT\r\n',
    'blank-lines': b'\r\n' * 5000,
}


def test_odd_bodies_arrive_octet_for_octet():
    with Lab() as lab:
        sink = Sink(lab)
        lab.start_postern()
        client = session(lab, 'web', RELAY)
        for name, body in BODIES.items():
            client.send_mail('form@neulan.net', [f'{name}@example.com'], body)
        client.quit()
        for mail in sink.settled(len(BODIES)):
            name = mail.recipients[0].split('@')[0]
            # Above the client's octets are only the trace headers: one Received:, folded.
            head, found, _ = mail.data.partition(BODIES[name]) if BODIES[name] else (mail.data, True, b'')
            expect(found and mail.data.endswith(BODIES[name]), f'{name} changed: {mail.data[-300:]!r}')
            top = mail.data[:len(mail.data) - len(BODIES[name])]
            expect(top.startswith(b'Received: ') and top.endswith(b'\r\n') and b'\r\n\r\n' not in top, f'{name}: above it stands {top!r}')


def test_thousand_recipients():
    with Lab() as lab:
        sink = Sink(lab)
        lab.start_postern()
        client = session(lab, 'web', RELAY, timeout=60)
        client.sock.sendall(b'MAIL FROM:<form@neulan.net> BODY=8BITMIME SIZE=100\r\n' +
                            b''.join(b'RCPT TO:<r%d@example.com>\r\n' % i for i in range(1001)) + b'DATA\r\n')
        client.hear('250 2.1.0')
        for i in range(1000):
            client.hear('250 2.1.5', f'recipient {i}')
        client.hear('452 4.5.3', 'the one too many')
        client.hear('354')
        client.send_data(b'Subject: all\r\n\r\nx\r\n')
        wait_for('all recipients', lambda: sum(len(m.recipients) for m in list(sink.mails)) >= 1000, 30)
        got = collections.Counter(r for m in sink.mails for r in m.recipients)
        expect(got == collections.Counter(f'r{i}@example.com' for i in range(1000)), f'{len(got)} recipients, most {got.most_common(1)}')


SMTPLIB = f'''
import smtplib
s = smtplib.SMTP("{RELAY}", 25, timeout=20)
s.ehlo()
text = b"Subject: lib\\r\\n\\r\\n\\xe4 no final line end"
s.sendmail("form@neulan.net", ["lib@example.com"], text, mail_options=["BODY=8BITMIME"])
for option, code in ("SIZE=999999999", 552), ("FROB=1", 555), ("SIZE=1 SIZE=2", 501), ("BODY=BINARYMIME", 501):
    got = s.mail("form@neulan.net", option.split())
    assert got[0] == code, (option, got)
s.sendmail("form@neulan.net", ["after@example.com"], text)
s.quit()
'''


def test_clients_with_unusual_options():
    with Lab() as lab:
        sink = Sink(lab)
        lab.start_postern()
        lab.run('web', 'python3', '-c', SMTPLIB)
        lab.run('web', 'swaks', '--server', RELAY, '--from', '<>', '--to', 'null@example.com', '--pipeline', '--helo', '[10.12.170.20]',
                '--data', 'Subject: s\\n\\nx')
        lab.run('web', 'curl', '-sS', '--crlf', f'smtp://{RELAY}/client.example.org', '--mail-from', 'form@neulan.net', '--mail-rcpt',
                'curl1@example.com', '--mail-rcpt', 'curl2@example.com', '-T', '-', input='Subject: c\n\nno final line end')
        names = {'lib', 'after', 'null', 'curl1', 'curl2'}
        wait_for('all mails', lambda: {r.split('@')[0] for m in list(sink.mails) for r in m.recipients} >= names, 20)
        lib = next(m for m in sink.mails if m.recipients == ['lib@example.com'])
        expect(lib.body_from(b'Subject: lib') == b'Subject: lib\r\n\r\n\xe4 no final line end\r\n', f'{lib.data!r}')
        expect(next(m for m in sink.mails if m.recipients == ['null@example.com']).sender == '', 'the null sender became another')
        expect(sum(len(m.recipients) for m in sink.mails) == len(names), 'a mail came twice, or one that was refused')


NONSENSE = [
    [], ['frobnicate'], ['status', 'now'], ['reload', '/nonexistent'], ['reload', '/dev/zero'], ['reload', '/'], ['reload', 'a', 'b'],
    ['stop', 'please'], ['vserver'], ['vserver', 'drain'], ['vserver', 'drain', 'nobody'], ['vserver', 'explode', 'relay'],
    ['queue'], ['queue', 'list', '--limit', 'many'], ['queue', 'list', '--limit', '-1'], ['queue', 'show'], ['queue', 'show', 'zzz'],
    ['queue', 'delete'], ['queue', 'delete', '--sender'], ['queue', 'hold', '--client', 'here'], ['get', 'nothing'], ['set'],
    ['set', 'log.level'], ['set', 'log.level', '9'], ['set', 'limits.errors', '-1'], ['set', 'limits.errors', '99999999999999999999'],
    ['set', 'delivery.concurrency', 'x'], ['log'], ['log', 'burn'], ['explain'], ['explain', '--vserver', 'relay'],
    ['explain', '--vserver', 'nobody', '--client', '10.1.1.1'], ['explain', '--vserver', 'relay', '--client', '10.1.1'],
    ['explain', '--vserver', 'relay', '--client', '10.1.1.1', '--recipient', ''], ['steering', '--nic', 'abacus'],
    ['diff'], ['diff', '/nonexistent'], ['who-can-relay', '--vserver', 'nobody'], ['--frob'], ['--socket'], ['status', '--\x1b[31m'],
    ['get', 'x' * 70000], ['queue', 'show', '\xff\x00'.replace('\x00', '')],
]


def test_nonsense_from_an_operator_is_answered():
    with Lab() as lab:
        lab.start_postern()
        pids = lab.postern_pids()
        for words in NONSENSE:
            done = lab.ctl(*words, check=False)
            shown = ' '.join(words)[:60]
            expect(done.returncode in (1, 2), f'posternctl {shown}: exit {done.returncode}: {done.stdout}{done.stderr}')
            expect(done.stderr or done.stdout, f'posternctl {shown}: says nothing')
            expect('\x1b' not in done.stderr + done.stdout, f'posternctl {shown}: moves the cursor')
        gone = subprocess.run([lab.ctl.__globals__['BUILD'] + '/posternctl', '--socket', '/nonexistent', 'status'], capture_output=True, text=True)
        expect(gone.returncode == 2 and 'No such file' in gone.stderr, f'without a server: {gone}')
        expect(lab.postern_pids() == pids and lab.ctl_json('status')['epoch'] == 1, 'a process died, or something changed')
