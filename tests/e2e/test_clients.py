"""Real clients: each sends one mail, and the next hop has it octet for octet."""
import os
import shutil
import subprocess
import time

from client import Client, message, session, stuff
from lab import BUILD, RELAY, Lab, Skipped, expect, wait_for
from sink import Sink

TEXT = 'Subject: one\r\n\r\nline one\r\n.dot\r\nlast\r\n'


def sent_by(function, subject=b'Subject: one'):
    with Lab() as lab:
        sink = Sink(lab)
        lab.start_postern()
        function(lab)
        (mail,) = sink.settled(1)
        expect(mail.recipients == ['bob@example.com'], f'recipients {mail.recipients}')
        return mail


def test_swaks():
    mail = sent_by(lambda lab: lab.run('web', 'swaks', '--server', RELAY, '--from', 'form@neulan.net', '--to', 'bob@example.com',
                                       '--data', 'Subject: one\\n\\nline one\\n.dot\\nlast'))
    expect(mail.body_from(b'Subject: one').startswith(TEXT.encode()), f'{mail.data!r}')


def test_curl():
    mail = sent_by(lambda lab: lab.run('web', 'curl', '-sS', f'smtp://{RELAY}', '--mail-from', 'form@neulan.net', '--mail-rcpt',
                                       'bob@example.com', '-T', '-', input=TEXT))
    expect(mail.body_from(b'Subject: one') == TEXT.encode(), f'{mail.data!r}')


def test_msmtp():
    mail = sent_by(lambda lab: lab.run('web', 'msmtp', f'--host={RELAY}', '--from=form@neulan.net', '--auth=off', '--tls=off',
                                       'bob@example.com', input=TEXT.replace('\r\n', '\n')))
    expect(mail.body_from(b'Subject: one') == TEXT.encode(), f'{mail.data!r}')


SMTPLIB = f'''
import smtplib
s = smtplib.SMTP("{RELAY}", 25, timeout=20)
s.sendmail("form@neulan.net", ["bob@example.com"], {TEXT!r})
s.quit()
'''


def test_smtplib():
    mail = sent_by(lambda lab: lab.run('web', 'python3', '-c', SMTPLIB))
    expect(mail.body_from(b'Subject: one') == TEXT.encode(), f'{mail.data!r}')


NODE = f'''
const mailer = require("nodemailer");
mailer.createTransport({{host: "{RELAY}", port: 25, secure: false, ignoreTLS: true}}).sendMail(
  {{envelope: {{from: "form@neulan.net", to: "bob@example.com"}}, raw: {TEXT!r}}},
  (error, info) => {{ console.log(error ? String(error) : info.response); process.exit(error ? 1 : 0); }});
'''


def test_nodemailer():
    place = os.path.join(BUILD, 'node')
    if not os.path.isdir(os.path.join(place, 'node_modules', 'nodemailer')):
        if not shutil.which('npm'):
            raise Skipped('no npm')
        os.makedirs(place, exist_ok=True)
        done = subprocess.run(['npm', 'install', '--no-save', '--no-audit', '--no-fund', '--prefix', place, 'nodemailer'],
                              capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL)
        if done.returncode:
            raise Skipped(f'npm cannot install nodemailer: {done.stderr[:200]}')
    mail = sent_by(lambda lab: lab.run('web', 'node', '-e', NODE, env={**os.environ, 'NODE_PATH': place + '/node_modules'}))
    expect(mail.body_from(b'Subject: one') == TEXT.encode(), f'{mail.data!r}')


def test_typist():
    """A person typing: one octet a packet."""
    def type_it(lab):
        client, typed = Client(lab.connect('web', RELAY)), []

        def type_line(text, want):
            typed.append(len(text) + 2)
            for octet in text.encode() + b'\r\n':
                client.sock.sendall(bytes([octet]))
                time.sleep(0.002)
            client.hear(want, text)
        client.hear('220')
        type_line('EHLO me', '250')
        type_line('MAIL FROM:<form@neulan.net>', '250')
        type_line('RCPT TO:<bob@example.com>', '250')
        type_line('DATA', '354')
        type_line(TEXT.replace('\r\n.', '\r\n..') + '.', '250 2.6.0')
        type_line('QUIT', '221')
        packets = lab.ctl_json('status')['packets']['received']
        expect(packets > sum(typed), f'{sum(typed)} octets typed in {packets} packets')
    mail = sent_by(type_it)
    expect(mail.body_from(b'Subject: one') == TEXT.encode(), f'{mail.data!r}')


def test_every_size_arrives_octet_for_octet():
    sizes = [0, 1, 500, 1459, 1460, 1461, 16383, 16384, 16385, 65536, 1000000, 5000000]
    with Lab() as lab:
        sink = Sink(lab)
        lab.start_postern()
        client = session(lab, 'web', RELAY, timeout=60)
        sent = {}
        for number, size in enumerate(sizes):
            sent[number] = message(size, number)
            client.send_mail('form@neulan.net', ['bob@example.com'], sent[number])
        client.quit()
        for mail in sink.settled(len(sizes)):
            body = mail.body_from(b'X-Test: ')
            number = int(body.split(b'\r\n', 1)[0].split(b' ')[1])
            expect(body == sent.pop(number), f'mail {number} changed on its way')
        expect(not sent, f'missing: {sorted(sent)}')


def test_message_over_the_limit_is_refused_and_the_session_goes_on():
    def small(config):
        config['virtual_servers'][1]['max_message'] = '64KiB'
    with Lab(configure=small) as lab:
        sink = Sink(lab)
        lab.start_postern()
        client = session(lab, 'web', RELAY)
        client.send_mail('form@neulan.net', ['bob@example.com'], message(100000), '552 5.3.4')
        client.say('MAIL FROM:<form@neulan.net> SIZE=100000', '552 5.3.4')
        client.send_mail('form@neulan.net', ['bob@example.com'], TEXT.encode())
        wait_for('the small mail', lambda: len(sink.mails) == 1)


def test_pipelined_dialogue_in_one_packet():
    with Lab() as lab:
        sink = Sink(lab)
        lab.start_postern()
        client = session(lab, 'web', RELAY)
        client.sock.sendall(b'MAIL FROM:<form@neulan.net>\r\nRCPT TO:<bob@example.com>\r\nRCPT TO:<b%c@neulan.net>\r\nDATA\r\n')
        for want in ('250', '250', '550', '354'):
            client.hear(want)
        client.sock.sendall(stuff(TEXT.encode()) + b'.\r\nQUIT\r\n')
        client.hear('250 2.6.0')
        client.hear('221')
        wait_for('the mail', lambda: len(sink.mails) == 1)
