"""Every kind of port, one and two workers, both virtual servers at once."""
import os
import shutil
import subprocess
import threading

from client import message, session
from lab import DEFAULT, RELAY, Lab, Skipped, expect, wait_for
from sink import Sink

SIZES = (100, 3000, 40000, 300000)
ROUNDS = 3


def send(lab, short, address, recipient, sent, errors):
    try:
        for _ in range(ROUNDS):
            client = session(lab, short, address, timeout=30)
            for size in SIZES:
                number = f'{short}-{len(sent)}'
                sent[number] = message(size, number)
                client.send_mail('a@neulan.net', [recipient], sent[number])
            client.quit()
    except Exception as e:
        errors.append(f'{short} to {address}: {e}')


MEMIF = f'net_memif0,role=server,id=0,socket=@postern-ports-{os.getpid()}'


def on_memif(config):
    config['ports'][0]['device'] = MEMIF


def memif_cable(lab):
    """testpmd, which passes frames between the other end of the memif and edge0, so that kernel peers reach it."""
    other = MEMIF.replace('net_memif0,role=server', 'net_memif1,role=client')
    cable = lab.start('srv', 'dpdk-testpmd', '--no-huge', '-m', '256', '--no-shconf', '--no-telemetry', '--no-pci', '--iova-mode=va', '-l', '0,1',
                      f'--vdev={other}', '--vdev=net_af_packet1,iface=edge0', '--', '--forward-mode=io', '--auto-start', '--total-num-mbufs=8192',
                      '--no-lsc-interrupt', stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    lab.closers.append(cable.stdin.close)
    wait_for('a link to the memif', lambda: 'link up' in lab.ctl('status').stdout)


def exercise(device, workers, **more):
    with Lab(device=device, workers=workers, **more) as lab:
        sink = Sink(lab)
        lab.start_postern()
        if more:
            memif_cable(lab)
        flows = [('web', RELAY, 'bob@example.com'), ('farm', RELAY, 'eve@example.com'), ('internet', DEFAULT, 'steven@neulan.net'),
                 ('vpn', RELAY, 'steven@neulan.net')]
        sents, errors = [{} for _ in flows], []
        threads = [threading.Thread(target=send, args=(lab, *flow, sent, errors)) for flow, sent in zip(flows, sents)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        expect(not errors, '; '.join(errors))
        sent = {k: v for one in sents for k, v in one.items()}
        expect(len(sent) == len(flows) * len(SIZES) * ROUNDS, 'not all were sent')
        for mail in sink.settled(len(sent)):
            body = mail.body_from(b'X-Test: ')
            number = body.split(b'\r\n', 1)[0].split(b' ')[1].decode()
            expect(body == sent.pop(number, None), f'{number} changed or came twice')
        status = wait_for('sums', lambda: (s := lab.ctl_json('status'))['packets']['unaccounted'] == 0 and s)
        if len(workers) > 1:
            expect(all(w['handled'] > 50 for w in status['workers']), f'a worker had nothing to do: {status["workers"]}')


def test_af_packet_one_worker():
    exercise('af_packet', [1])


def test_af_packet_two_workers():
    exercise('af_packet', [0, 1])


def test_af_xdp_one_worker():
    exercise('af_xdp', [1])


def test_af_xdp_two_workers():
    exercise('af_xdp', [0, 1])


def test_tap_one_worker():
    exercise('tap', [1])


def test_tap_two_workers():
    exercise('tap', [0, 1])


def test_memif_one_worker():
    if not shutil.which('dpdk-testpmd'):
        raise Skipped('dpdk-testpmd is not installed')
    exercise('af_packet', [1], configure=on_memif)
