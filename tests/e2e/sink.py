"""A next hop that keeps every mail exactly as it came over the wire, with faults on request."""
import hashlib
import socket
import threading
import time

from lab import Failed, wait_for

SETTLE_S = 0.7  # after the last mail, for one that comes twice


class Mail:
    """One accepted mail. data: octets between DATA and the final dot, dots unstuffed; None when only digests are kept."""

    def __init__(self, sender, recipients, data, when):
        self.sender, self.recipients, self.data, self.when = sender, recipients, data, when
        self.digest = hashlib.sha256(data).hexdigest()

    def body_from(self, mark):
        """Everything from the line that begins with mark, which is where the client's own octets begin."""
        at = self.data.find(mark)
        return self.data[at:] if at >= 0 else None


class Sink:
    """Answers SMTP on (address, port) in one namespace of a lab; mails gather in .mails.

    mode: 'accept'; 'defer' or 'refuse' every RCPT (451, 550); 'defer_data', 'refuse_data' after the dot;
    'drop' closes after the dot without an answer. .delay_s is slept before the answer to the dot.
    on_mail(mail): called instead of keeping the mail in memory.
    """

    def __init__(self, lab, short='hop', address='10.12.170.30', port=25, on_mail=None):
        self.lab, self.short, self.where = lab, short, (address, port)
        self.mails, self.mode, self.delay_s, self.on_mail = [], 'accept', 0.0, on_mail
        self.rcpt_modes = {}  # address: mode, stronger than .mode
        self.connections = 0
        self._lock, self._listener, self._open = threading.Lock(), None, set()
        lab.closers.append(self.stop)
        self.start()

    def start(self):
        with self.lab.inside(self.short):
            self._listener = socket.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind(self.where)
        self._listener.listen(128)
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()
        return self

    def stop(self):
        """As when the machine goes down: nothing listens, open connections break."""
        listener, self._listener = self._listener, None
        if listener:
            listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        for sock in list(self._open):
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def _accept(self, listener):
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock):
        self._open.add(sock)
        sock.settimeout(120)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            _Session(self, sock).run()
        except OSError:
            pass
        finally:
            self._open.discard(sock)
            sock.close()

    def settled(self, count, seconds=30, step=0.05):
        """All mails, when as many as expected have come and no more come for a while."""
        wait_for(f'{count} mails', lambda: len(self.mails) >= count, seconds, step)
        time.sleep(SETTLE_S)
        if len(self.mails) > count:
            raise Failed(f'{len(self.mails)} mails arrived, {count} were sent')
        return list(self.mails)

    def keep(self, mail):
        with self._lock:
            if self.on_mail:
                self.on_mail(mail)
            else:
                self.mails.append(mail)


class _Session:
    def __init__(self, sink, sock):
        self.sink, self.sock, self.buffer = sink, sock, bytearray()
        self.sender, self.recipients = None, []

    def run(self):
        self.say('220 hop.neulan.net ESMTP sink')
        while True:
            line = self.line()
            if line is None:
                return
            verb = line[:4].upper()
            if verb == b'QUIT':
                self.say('221 2.0.0 bye')
                return
            if verb == b'DATA':
                if not self.data():
                    return
            else:
                self.command(verb, line)

    def command(self, verb, line):
        if verb in (b'EHLO', b'HELO'):
            self.reset()
            self.say('250-hop.neulan.net\r\n250-PIPELINING\r\n250-SIZE 0\r\n250-8BITMIME\r\n250 ENHANCEDSTATUSCODES')
        elif verb == b'MAIL':
            self.reset()
            self.sender = line.split(b'<', 1)[1].split(b'>', 1)[0].decode('utf-8', 'replace')
            self.say('250 2.1.0 ok')
        elif verb == b'RCPT':
            address = line.split(b'<', 1)[1].rsplit(b'>', 1)[0].decode('utf-8', 'replace')
            mode = self.sink.rcpt_modes.get(address, self.sink.mode)
            if mode == 'defer':
                self.say('451 4.3.0 not now')
            elif mode == 'refuse':
                self.say('550 5.1.1 nobody here')
            else:
                self.recipients.append(address)
                self.say('250 2.1.5 ok')
        elif verb == b'RSET':
            self.reset()
            self.say('250 2.0.0 ok')
        elif verb == b'NOOP':
            self.say('250 2.0.0 ok')
        else:
            self.say('502 5.5.1 what?')

    def reset(self):
        self.sender, self.recipients = None, []

    def data(self):
        if not self.recipients:
            self.say('554 5.5.1 no valid recipients')
            return True
        self.say('354 go on')
        data = self.until_dot()
        if data is None:
            return False
        mode = self.sink.mode
        if self.sink.delay_s:
            time.sleep(self.sink.delay_s)
        if mode == 'drop':
            return False
        if mode == 'defer_data':
            self.say('451 4.3.0 try later')
        elif mode == 'refuse_data':
            self.say('554 5.6.0 do not like it')
        else:
            self.sink.keep(Mail(self.sender, self.recipients, data, time.time()))
            self.say('250 2.0.0 kept')
        self.reset()
        return True

    def say(self, text):
        self.sock.sendall(text.encode() + b'\r\n')

    def more(self):
        part = self.sock.recv(1 << 18)
        self.buffer += part
        return bool(part)

    def line(self):
        while (end := self.buffer.find(b'\r\n')) < 0:
            if not self.more():
                return None
        line = bytes(self.buffer[:end])
        del self.buffer[:end + 2]
        return line

    def until_dot(self):
        if self.buffer[:3] == b'.\r\n':
            del self.buffer[:3]
            return b''
        seen = 0
        while (end := self.buffer.find(b'\r\n.\r\n', seen)) < 0:
            seen = max(0, len(self.buffer) - 4)
            if not self.more():
                return None
            if len(self.buffer) < 3:
                continue
            if self.buffer[:3] == b'.\r\n':
                del self.buffer[:3]
                return b''
        data = bytes(self.buffer[:end + 2])
        del self.buffer[:end + 5]
        data = data.replace(b'\r\n..', b'\r\n.')
        return data[1:] if data.startswith(b'..') else data
