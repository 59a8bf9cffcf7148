"""Every kind of port, one and two workers, both virtual servers at once."""
import threading

from client import message, session
from lab import DEFAULT, RELAY, Lab, expect, wait_for
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


def exercise(device, workers):
    with Lab(device=device, workers=workers) as lab:
        sink = Sink(lab)
        lab.start_postern()
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
        wait_for('all mails', lambda: len(sink.mails) >= len(sent), 30)
        for mail in sink.mails:
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
