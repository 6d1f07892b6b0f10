"""Questions to spprofd over DIR/api.sock: framing, errors and where DIR is (proto/spprof/v1/api.proto).

One connection per question: nothing is kept open that a fork could share. The daemon is not believed further than
needed: lengths are checked before anything is read for them. Any thread.
"""
import os
import socket
import struct
from contextlib import closing
from typing import Iterator, List, Optional

from ._protobuf import Message, ProtocolError, decode, encode
from ._schema import ENUMS

_PREAMBLE = struct.Struct("<IHH")  # length, version, flags
_VERSION = 1
_RESPONSE_LIMIT = 1 << 20
_CONNECT_SECONDS = 5.0
# Nothing said for so long: more than the longest wait for names that can be asked for.
_SILENCE_SECONDS = 60.0

SNAPSHOT_LIMIT = 512 << 20  # twice what the daemon makes at most


class DaemonError(RuntimeError):
    """spprofd refused; `code` is one of api.proto's Error.Code."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code

    @property
    def is_unknown_process(self) -> bool:
        codes = ENUMS["Error.Code"]
        return self.code in (codes["NO_SUCH_PROCESS"], codes["NOT_ATTACHED"])


class NoDaemonError(RuntimeError):
    """No spprofd answers where it was looked for."""


def socket_dirs(named: Optional[str] = None) -> List[str]:
    """The directories to look in, in this order; one if it is named, here or by SPPROF_SOCKET."""
    named = named or os.environ.get("SPPROF_SOCKET")
    if named:
        return [os.path.abspath(named)]
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    dirs = ["/run/spprofd"]
    if runtime.startswith("/"):
        dirs.append(runtime + "/spprofd")
    dirs += [f"/run/user/{os.geteuid()}/spprofd", f"/tmp/spprofd-{os.geteuid()}"]
    return list(dict.fromkeys(dirs))


def _peer_uid(connection: socket.socket) -> int:
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("iII"))
    return int(struct.unpack("iII", credentials)[1])


def _connect(directory: str, trusted: bool) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        connection.settimeout(_CONNECT_SECONDS)
        connection.connect(directory + "/api.sock")
        # Anyone may make /tmp/spprofd-UID.
        if not trusted and _peer_uid(connection) not in (0, os.geteuid()):
            raise PermissionError(f"the spprofd in {directory} is another user's")
        connection.settimeout(_SILENCE_SECONDS)
        return connection
    except BaseException:
        connection.close()
        raise


def _receive(connection: socket.socket, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        piece = connection.recv(min(size - len(data), 1 << 18))
        if not piece:
            raise ProtocolError("spprofd has closed the connection in the middle of an answer")
        data += piece
    return bytes(data)


def _receive_response(connection: socket.socket) -> Message:
    size, version, flags = _PREAMBLE.unpack(_receive(connection, _PREAMBLE.size))
    if size > _RESPONSE_LIMIT or version != _VERSION or flags != 0:
        raise ProtocolError("what answers does not speak spprofd's protocol")
    return decode("Response", _receive(connection, size))


def _responses(connection: socket.socket, kind: str, request: Message) -> Iterator[Message]:
    message = encode("Request", {kind: request})
    connection.sendall(_PREAMBLE.pack(len(message), _VERSION, 0) + message)
    more = True
    while more:
        response = _receive_response(connection)
        if "error" in response:
            error = response["error"]
            raise DaemonError(error.get("code", 0), error.get("message", "") or "spprofd refused without a reason")
        if kind not in response:
            raise ProtocolError("spprofd answers another question than was asked")
        yield response[kind]
        more = response.get("more", False)


class Client:
    """Asks the daemon of one directory. Holds no connection; may be shared by threads and survives forks."""

    def __init__(self, directory: str, trusted: bool = True) -> None:
        self.directory = directory
        self.trusted = trusted

    def ask(self, kind: str, request: Message) -> List[Message]:
        """The answer's messages. NoDaemonError, DaemonError, ProtocolError."""
        try:
            with closing(_connect(self.directory, self.trusted)) as connection:
                return list(_responses(connection, kind, request))
        except OSError as error:
            raise NoDaemonError(f"no spprofd answers in {self.directory}: {error.strerror or error}") from error

    def ping(self) -> Message:
        return self.ask("ping", {})[0]

    def stats(self, pid: int) -> Message:
        return self.ask("stats", {"pid": pid})[0]

    def mark(self, pid: int, name: str = "") -> int:
        """The id of a border in the process's samples; from there on spprofd knows what a window has freed."""
        return int(self.ask("mark", {"pid": pid, "name": name})[0].get("id", 0))

    def snapshot(self, request: Message) -> bytes:
        """The file that a SnapshotRequest asks for."""
        try:
            with closing(_connect(self.directory, self.trusted)) as connection:
                data = bytearray()
                for piece in _responses(connection, "snapshot", request):
                    data += piece.get("data", b"")
                    if len(data) > SNAPSHOT_LIMIT:
                        raise ProtocolError("spprofd's answer does not end")
                return bytes(data)
        except OSError as error:
            raise NoDaemonError(f"no spprofd answers in {self.directory}: {error.strerror or error}") from error


def find(named: Optional[str] = None) -> Client:
    """The first daemon that answers. NoDaemonError: none does."""
    trusted = bool(named or os.environ.get("SPPROF_SOCKET"))
    directories = socket_dirs(named)
    for directory in directories:
        client = Client(directory, trusted)
        try:
            client.ping()
            return client
        except NoDaemonError:
            continue
    raise NoDaemonError(f"no spprofd answers in {' or '.join(directories)}: start one with `spprofd`")
