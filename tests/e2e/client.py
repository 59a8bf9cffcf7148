"""An SMTP client that says exactly what a test wants said, and reads replies as they are."""
import os
import socket

from lab import Failed, expect


class Client:
    """One session. lines are sent as they are given; a reply is its text, lines joined by \\n, without line ends."""

    def __init__(self, sock):
        self.sock, self.buffer, self.dialogue = sock, b'', []

    def reply(self):
        lines = []
        while True:
            while b'\r\n' not in self.buffer:
                part = self.sock.recv(65536)
                if not part:
                    raise Failed(f'closed in the middle of a reply; so far: {lines} {self.buffer!r}')
                self.buffer += part
            line, self.buffer = self.buffer.split(b'\r\n', 1)
            lines.append(line.decode('utf-8', 'replace'))
            self.dialogue.append('S: ' + lines[-1])
            if len(line) < 4 or line[3:4] != b'-':
                return '\n'.join(lines)

    def say(self, line, want=None):
        """Send one command and read its reply; want: how the reply has to begin."""
        self.dialogue.append('C: ' + line)
        self.sock.sendall(line.encode() + b'\r\n')
        return self.hear(want, line)

    def hear(self, want=None, about='greeting'):
        reply = self.reply()
        expect(want is None or reply.startswith(want), f'{about!r}: wanted {want!r}, got {reply!r}')
        return reply

    def closed(self):
        """True when the peer has nothing more to say, by FIN or RST."""
        try:
            return self.sock.recv(1) == b''
        except ConnectionResetError:
            return True

    def hello(self, name='client.example.org'):
        self.hear('220 ')
        return self.say(f'EHLO {name}', '250')

    def send_mail(self, sender, recipients, data, want='250 2.6.0'):
        """data: octets with CRLF line ends, not dot-stuffed. The reply to the final dot."""
        self.say(f'MAIL FROM:<{sender}>', '250 2.1.0')
        for recipient in recipients:
            self.say(f'RCPT TO:<{recipient}>', '250 2.1.5')
        self.say('DATA', '354')
        return self.send_data(data, want)

    def send_data(self, data, want='250 2.6.0'):
        self.sock.sendall(stuff(data) + b'.\r\n')
        self.dialogue.append(f'C: ({len(data)} octets and the final dot)')
        return self.hear(want, 'final dot')

    def quit(self):
        self.say('QUIT', '221')
        self.sock.close()


def stuff(data):
    expect(data.endswith(b'\r\n') or not data, 'a message ends with CRLF')
    data = data.replace(b'\r\n.', b'\r\n..')
    return b'.' + data if data.startswith(b'.') else data


def session(lab, short, address, **more):
    client = Client(lab.connect(short, address, **more))
    client.hello()
    return client


def message(octets, number=0, seed=None):
    """About so many octets of mail that cannot be mistaken for another: dots at line starts, long lines, 8-bit text."""
    head = (f'X-Test: {number}\r\nFrom: <sender@example.org>\r\nTo: <user@neulan.net>\r\nSubject: number {number}\r\n'
            f'Date: Tue, 24 Nov 2026 08:00:00 +0000\r\nMessage-ID: <{number}.{octets}@example.org>\r\n\r\n').encode()
    noise = (seed or os.urandom)(min(octets, 65536)).hex().encode()
    lines, size, at = [b'.', b'..', b'.leading dot', b'', 'gr\u00fc\u00dfe'.encode(), b'x' * 900], 0, 0
    room = max(0, octets - len(head))
    out = []
    while size < room:
        line = lines[at % 6] if at < 12 else noise[(at * 70) % max(1, len(noise) - 76):][:76]
        out.append(line)
        size += len(line) + 2
        at += 1
    return head + b''.join(line + b'\r\n' for line in out)
