"""Long and bad paths in real time: our TCP and the kernel's, each as sender and as receiver, through relay.c."""
import json
import os

import goodput
from client import Client
import lab as lab_module
from lab import BUILD, DEFAULT, DEFAULT6, Lab, expect, wait_for
from sink import Sink

BAD = {'delay_us': 20000, 'jitter_us': 2000, 'loss_ppm': 10000, 'duplicate_ppm': 5000, 'corrupt_ppm': 5000, 'reorder_ppm': 10000,
       'reorder_us': 8000, 'kbit_s': 50000, 'queue_octets': 200000}


def hand_in(lab, address, name, octets):
    client = Client(lab.connect('far', address, timeout=60))
    client.hello()
    text = f'X-Name: {name}\r\n'.encode() + goodput.body(octets)
    client.send_mail('a@example.org', ['steven@neulan.net'], text)
    client.say('QUIT', '221')
    return text


def test_bad_path_brings_every_octet_from_the_kernel():
    with Lab(clients={}, v6=True) as lab:
        goodput.wire(lab)
        sink = Sink(lab)
        lab.start_postern()
        for number, address in enumerate((DEFAULT, DEFAULT6)):
            with goodput.Relay(lab, seed=7 + number, **BAD) as relay:
                texts = {f'{number}-{n}': hand_in(lab, address, f'{number}-{n}', 20000 + 700000 * n) for n in range(3)}
            counted = relay.counters
            expect(all(counted[k] > 0 for k in ('lost', 'doubled', 'corrupted')), f'the path was good: {counted}')
            wait_for('the mails at the next hop', lambda: len(sink.mails) == 3 * (number + 1), 60)
            for mail in sink.mails[3 * number:]:
                text = mail.body_from(b'X-Name: ')
                expect(text == texts[text[8:text.index(b'\r\n')].decode()], 'a mail is not what was sent')
        drops = lab.ctl_json('status')['drops']
        expect(drops.get('tcp_checksum', 0) > 0, f'no checksum was wrong: {drops}')


def test_bad_path_takes_every_octet_to_the_kernel():
    """postern-load sends with our TCP, over a port of its own, to a next hop on the kernel's."""
    with Lab(clients={}) as lab:
        goodput.wire(lab)
        sink = Sink(lab)
        lab.run('far', 'ip', 'addr', 'flush', 'dev', 'eth0')
        lab.run('far', 'ip', 'link', 'set', 'eth0', 'arp', 'off')
        with goodput.Relay(lab, seed=11, **BAD) as relay:
            done = lab.run('far', os.path.join(BUILD, 'postern-load'), '--to', '10.12.170.30:25', '--device', 'net_af_packet0,iface=eth0',
                           '--sources', goodput.FAR, '--size', '3000,60000,600000', '--connections', '4', '--count', '24', '--json', '--quiet',
                           check=False, timeout=120)
        expect(done.returncode == 0, f'{done.stdout} {done.stderr[-400:]}')
        out = json.loads(done.stdout)
        expect(out['mails'] == 24 and out['failed'] == 0, f'{out}')
        expect(relay.counters['lost'] > 0 and relay.counters['corrupted'] > 0, f'the path was good: {relay.counters}')
        expect(len(sink.mails) == 24, f'{len(sink.mails)} of 24 mails')
        for size in (3000, 60000, 600000):
            digests = {mail.digest for mail in sink.mails if abs(len(mail.data) - size) < 200}
            expect(len(digests) == 1, f'{len(digests)} kinds of mails of {size} octets')


def test_large_mail_is_as_fast_as_into_the_kernel():
    """100 ms there and back, 0, 0.1 and 1 % of loss each way, 50 MB with --full; a short one need only be in its region."""
    octets, seeds, least = (50000000, range(1, 6), 0.8) if lab_module.FULL else (6000000, range(1, 2), 0.3)
    with Lab(clients={}, v6=True) as lab:
        goodput.wire(lab)
        pairs = {'v4': (DEFAULT, goodput.KERNEL), 'v6': (DEFAULT6, goodput.KERNEL6)}
        for _, theirs in pairs.values():
            goodput.start_sink(lab, theirs)
        lab.start_postern()
        for family, (ours, theirs) in pairs.items():
            for loss_ppm in ((0, 1000, 10000) if lab_module.FULL else (10000,)):
                runs = goodput.compare(lab, ours, theirs, octets, 'bbr', seeds, delay_us=50000, loss_ppm=loss_ppm, **goodput.LINK)
                ratio = goodput.ratio(runs)
                print(f'      | {family}, {loss_ppm / 10000:g} % lost: {goodput.text(runs)}', flush=True)
                expect(ratio >= least, f'{family}, {loss_ppm} ppm: {ratio:.2f} of the kernel: {runs}')
