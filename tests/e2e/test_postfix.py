"""Postfix as the sender: 50 connections, mails from 1 KB to 5 MB, each once and octet for octet at the next hop."""
import contextlib
import os
import random
import shutil

import lab as lab_module
from client import message
from lab import RELAY, Failed, Lab, Skipped, expect, wait_for
from sink import Sink

MAIN_CF = '''\
compatibility_level = 3.6
queue_directory = {dir}/queue
data_directory = {dir}/data
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
mail_owner = postfix
setgid_group = postdrop
myhostname = sender.example.org
mynetworks = 127.0.0.0/8
inet_interfaces = loopback-only
inet_protocols = ipv4
smtp_bind_address = 10.12.170.20
relayhost = [{relay}]:25
default_destination_concurrency_limit = 50
initial_destination_concurrency = 50
smtp_connection_cache_on_demand = no
maximal_queue_lifetime = 1h
minimal_backoff_time = 1s
maximal_backoff_time = 2s
queue_run_delay = 2s
message_size_limit = 20000000
maillog_file = {dir}/maillog
maillog_file_prefixes = {dir}
default_process_limit = 120
smtp_address_preference = ipv4
smtp_tls_security_level = none
lmtp_host_lookup = native
smtp_host_lookup = native
smtp_dns_support_level = disabled
alias_maps =
local_recipient_maps =
bounce_queue_lifetime = 1h
'''

HOLD = 'defer_transports = smtp\n'  # until all mails are there, so that 50 connections have something to do

MASTER_CF = '''\
smtp      inet  n       -       n       -       -       smtpd
pickup    unix  n       -       n       60      1       pickup
cleanup   unix  n       -       n       -       0       cleanup
qmgr      unix  n       -       n       300     1       qmgr
rewrite   unix  -       -       n       -       -       trivial-rewrite
bounce    unix  -       -       n       -       0       bounce
defer     unix  -       -       n       -       0       bounce
trace     unix  -       -       n       -       0       bounce
smtp      unix  -       -       n       -       -       smtp
relay     unix  -       -       n       -       -       smtp
error     unix  -       -       n       -       -       error
retry     unix  -       -       n       -       -       error
local     unix  -       n       n       -       -       local
proxymap  unix  -       -       n       -       -       proxymap
tlsmgr    unix  -       -       n       1000?   1       tlsmgr
anvil     unix  -       -       n       -       1       anvil
scache    unix  -       -       n       -       1       scache
postlog   unix-dgram n  -       n       -       1       postlogd
'''


def start_postfix(lab):
    place = lab.path('postfix')
    etc = lab.path('postfix-etc')
    os.makedirs(place + '/queue')
    os.makedirs(place + '/data')
    os.makedirs(etc)
    shutil.chown(place + '/data', 'postfix')
    with open(etc + '/main.cf', 'w') as f:
        f.write(MAIN_CF.format(dir=place, relay=RELAY) + HOLD)
    with open(etc + '/master.cf', 'w') as f:
        f.write(MASTER_CF)
    lab.run('web', 'postfix', '-c', etc, 'start', timeout=60)
    lab.closers.append(lambda: lab.run('web', 'postfix', '-c', etc, 'stop', check=False))
    return etc


def release(lab, etc):
    with open(etc + '/main.cf') as f:
        text = f.read()
    with open(etc + '/main.cf', 'w') as f:
        f.write(text.replace(HOLD, ''))
    lab.run('web', 'postfix', '-c', etc, 'reload')
    lab.run('web', 'postqueue', '-c', etc, '-f')


@contextlib.contextmanager
def speechless(lab):
    """Postfix connects, but what it says is lost until the block ends; TCP repeats it then. Else sessions are over before fifty are open."""
    lab.run('web', 'nft', 'add table ip gate; add chain ip gate out { type filter hook output priority 0; }; '
            f'add rule ip gate out ip daddr {RELAY} tcp dport 25 tcp flags & psh == psh drop')
    try:
        yield
    finally:
        lab.run('web', 'nft', 'delete table ip gate')


def arrived(lab, etc, sink, count):
    try:
        return sink.settled(count, 900 if lab_module.FULL else 60, 0.5)
    except Failed as error:
        queue = lab.run('web', 'postqueue', '-c', etc, '-p', check=False).stdout
        with open(lab.path('postfix/maillog')) as f:
            raise Failed(f'{error}; Postfix says:\n{queue[-2000:]}\n{"".join(f.readlines()[-20:])}') from None


def hand_in(lab, data):
    """To Postfix by SMTP on its own loopback, so that the octets are ours to the last."""
    script = f'''
import smtplib, glob
s = smtplib.SMTP("127.0.0.1", 25, timeout=60)
for path in sorted(glob.glob({data!r} + "/*")):
    number = path.rsplit("/", 1)[1]
    s.sendmail("form@neulan.net", [number + "@example.com"], open(path, "rb").read())
s.quit()
'''
    lab.run('web', 'python3', '-c', script, timeout=1200)


def test_postfix_with_fifty_connections():
    if not shutil.which('postfix') or not shutil.which('nft'):
        raise Skipped('Postfix or nft is not installed')
    count = 5000 if lab_module.FULL else 250
    rng = random.Random(5)
    with Lab() as lab:
        etc = start_postfix(lab)
        sink = Sink(lab)
        lab.start_postern()
        sent, data = {}, lab.path('data')
        os.mkdir(data)
        for n in range(count):
            size = 5000000 if n % 125 == 124 else rng.choice((1000, 1000, 2000, 10000, 50000, 200000))
            sent[str(n)] = message(size, n, seed=rng.randbytes)
            with open(f'{data}/{n}', 'wb') as f:
                f.write(sent[str(n)])
        hand_in(lab, data)
        with speechless(lab):
            release(lab, etc)
            wait_for('fifty connections', lambda: lab.ctl_json('status')['vservers']['relay']['open'] == 50, 40)
        for mail in arrived(lab, etc, sink, count):
            name = mail.recipients[0].split('@')[0]
            expect(mail.body_from(b'X-Test: ') == sent.pop(name, None), f'mail {name} changed or came twice')
        expect(not sent, f'missing {list(sent)}')
        status = lab.ctl_json('status')
        print(f'      | {count} mails, {status["tcp"]}', flush=True)
        expect(lab.stop_postern() == 0, 'no orderly stop')
