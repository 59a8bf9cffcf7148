"""A next hop for tests: an SMTP server that keeps what it got and answers as a test wants. Standard library only."""

import asyncio
import threading


class Peer:
    """Listens on 127.0.0.1:port (0: any). Behaviour is set by attributes, at any time."""

    def __init__(self, port=0):
        self.mails = []              # (sender, [recipients], octets after dot-unstuffing)
        self.commands = []           # of all connections
        self.greeting = b"220 peer.example.net ESMTP\r\n"
        self.offers = [b"PIPELINING", b"8BITMIME", b"SIZE 100000000"]
        self.ehlo = True             # False: 502
        self.rcpt = lambda address: b"250 2.1.5 ok\r\n"
        self.final = lambda sender: b"250 2.0.0 queued\r\n"
        self.script = None           # octets to say instead of everything, once connected; then close
        self.connections = 0
        self.sources = set()         # addresses of clients
        self.peak = 0
        self.now = 0
        self._loop = asyncio.new_event_loop()
        started = threading.Event()
        threading.Thread(target=self._run, args=(port, started), daemon=True).start()
        started.wait()

    def _run(self, port, started):
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(
            asyncio.start_server(self._client, "127.0.0.1", port, limit=1 << 26, backlog=512))
        self.server = server
        self.port = server.sockets[0].getsockname()[1]
        started.set()
        self._loop.run_forever()

    def close(self):
        done = threading.Event()

        def stop():
            self.server.close()
            done.set()
        self._loop.call_soon_threadsafe(stop)
        done.wait()

    async def _client(self, reader, writer):
        self.connections += 1
        self.sources.add(writer.get_extra_info("peername")[0])
        self.now += 1
        self.peak = max(self.peak, self.now)
        try:
            await self._session(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self.now -= 1
            writer.close()

    async def _session(self, reader, writer):
        if self.script is not None:
            writer.write(self.script)
            await writer.drain()
            await asyncio.sleep(0.2)
            return
        writer.write(self.greeting)
        sender, rcpts = None, []
        while True:
            line = await reader.readline()
            if not line:
                return
            assert line.endswith(b"\r\n"), line
            self.commands.append(line)
            verb = line[:4].upper()
            if verb == b"EHLO":
                writer.write(self._ehlo())
            elif verb == b"HELO" or verb == b"NOOP":
                writer.write(b"250 ok\r\n")
            elif verb == b"MAIL":
                sender, rcpts = line[line.index(b"<") + 1:line.rindex(b">")], []
                writer.write(b"250 2.1.0 ok\r\n")
            elif verb == b"RCPT":
                address = line[line.index(b"<") + 1:line.rindex(b">")]
                answer = self.rcpt(address)
                if answer.startswith(b"2"):
                    rcpts.append(address)
                writer.write(answer)
            elif verb == b"DATA":
                if not rcpts:
                    writer.write(b"554 no valid recipients\r\n")
                    continue
                writer.write(b"354 go\r\n")
                body = await self._body(reader)
                answer = self.final(sender)
                if answer is None:
                    return
                if answer.startswith(b"2"):
                    self.mails.append((sender, list(rcpts), body))
                writer.write(answer)
            elif verb == b"RSET":
                sender, rcpts = None, []
                writer.write(b"250 ok\r\n")
            elif verb == b"QUIT":
                writer.write(b"221 bye\r\n")
                return
            else:
                writer.write(b"500 what?\r\n")
            await writer.drain()

    def _ehlo(self):
        if not self.ehlo:
            return b"502 old\r\n"
        lines = [b"peer.example.net"] + self.offers
        return b"".join(b"250-" + l + b"\r\n" for l in lines[:-1]) + b"250 " + lines[-1] + b"\r\n"

    async def _body(self, reader):
        lines = []
        while True:
            line = await reader.readline()
            if not line:
                raise ConnectionError
            # Only CRLF.CRLF ends a mail; a bare CR or LF inside would be a bug of the sender.
            assert line.endswith(b"\r\n") and b"\r" not in line[:-2], line
            if line == b".\r\n":
                return b"".join(lines)
            lines.append(line[1:] if line.startswith(b".") else line)
