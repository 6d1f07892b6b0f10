"""Answers on DIR/api.sock what it is told to: the requests it got are in `requests`."""
import os
import socket
import struct
import tempfile
import threading

from spprof import _protobuf

PREAMBLE = struct.Struct("<IHH")


def framed(response, version=1, flags=0):
    data = response if isinstance(response, bytes) else _protobuf.encode("Response", response)
    return PREAMBLE.pack(len(data), version, flags) + data


class FakeDaemon:
    """`answers` are bytes, or lists of Response messages, one after the other; a ping is answered by itself."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.requests = []

    def __enter__(self):
        self.place = tempfile.TemporaryDirectory(prefix="spprof-test-")
        self.directory = self.place.name
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.listener.bind(os.path.join(self.directory, "api.sock"))
        self.listener.listen()
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *exception):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join()
        self.place.cleanup()

    def serve(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            with connection:
                try:
                    self.answer(connection)
                except OSError:
                    pass

    def answer(self, connection):
        with connection.makefile("rb") as stream:
            while preamble := stream.read(PREAMBLE.size):
                size, version, flags = PREAMBLE.unpack(preamble)
                assert (version, flags) == (1, 0)
                request = _protobuf.decode("Request", stream.read(size))
                self.requests.append(request)
                if "ping" in request:
                    connection.sendall(framed({"ping": {"version": "fake", "pid": os.getpid()}}))
                    continue
                answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
                if isinstance(answer, bytes):
                    connection.sendall(answer)
                    return
                for response in answer:
                    connection.sendall(framed(response))
