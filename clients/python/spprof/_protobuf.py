"""Protocol buffers' wire format, as much of it as api.proto uses (https://protobuf.dev/programming-guides/encoding).

A message is a dict from field names to values; absent fields are absent. Enums are numbers. Unknown fields are
skipped, so that a newer daemon may say more; everything else that the tables don't allow is an error. Pure functions;
any thread.
"""
import struct
from typing import Any, Dict, Iterator, List, Tuple

from ._schema import MESSAGES, Field

Message = Dict[str, Any]
Tables = Dict[str, Dict[int, Field]]

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_WIRE_TYPES = {"int32": _VARINT, "uint32": _VARINT, "uint64": _VARINT, "bool": _VARINT, "enum": _VARINT,
               "double": _FIXED64, "string": _BYTES, "bytes": _BYTES, "message": _BYTES}
_MAX_DEPTH = 16  # messages within messages; api.proto has four


class ProtocolError(RuntimeError):
    """What came is no message of this protocol."""


def _varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _encode_value(field: Field, value: Any, tables: Tables) -> bytes:
    _, kind, name, _ = field
    if _WIRE_TYPES[kind] == _VARINT:
        return _varint(int(value))
    if kind == "double":
        return struct.pack("<d", value)
    if kind == "message":
        data = encode(name, value, tables)
    else:
        data = value.encode() if kind == "string" else bytes(value)
    return _varint(len(data)) + data


def encode(name: str, message: Message, tables: Tables = MESSAGES) -> bytes:
    """The bytes of a message of the type `name`. KeyError: it has no such field."""
    numbers = {field[0]: number for number, field in tables[name].items()}
    out = bytearray()
    for key, value in message.items():
        number = numbers[key]
        field = tables[name][number]
        for item in value if field[3] else [value]:
            out += _varint(number << 3 | _WIRE_TYPES[field[1]]) + _encode_value(field, item, tables)
    return bytes(out)


def _read_varint(data: memoryview, at: int) -> Tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            raise ProtocolError("a message ends within a number")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & (1 << 64) - 1, at
    raise ProtocolError("a number has more than 64 bits")


def _take(data: memoryview, at: int, size: int) -> Tuple[memoryview, int]:
    if size > len(data) - at:
        raise ProtocolError("a field is longer than its message")
    return data[at:at + size], at + size


def _fields(data: memoryview) -> Iterator[Tuple[int, int, Any]]:
    """(number, wire type, raw value): a number for varints, bytes for the others."""
    at = 0
    while at < len(data):
        tag, at = _read_varint(data, at)
        number, wire_type = tag >> 3, tag & 7
        raw: Any
        if wire_type == _VARINT:
            raw, at = _read_varint(data, at)
        elif wire_type == _BYTES:
            size, at = _read_varint(data, at)
            raw, at = _take(data, at, size)
        elif wire_type in (_FIXED64, _FIXED32):
            raw, at = _take(data, at, 8 if wire_type == _FIXED64 else 4)
        else:
            raise ProtocolError(f"wire type {wire_type} is not in use")
        if number == 0:
            raise ProtocolError("a field has the number 0")
        yield number, wire_type, raw


def _decode_number(kind: str, raw: int) -> Any:
    if kind == "bool":
        return raw != 0
    if kind in ("int32", "enum"):
        raw &= (1 << 32) - 1
        return raw - (1 << 32) if raw >> 31 else raw
    return raw & (1 << 32) - 1 if kind == "uint32" else raw


def _decode_value(field: Field, raw: Any, depth: int) -> Any:
    _, kind, name, _ = field
    if _WIRE_TYPES[kind] == _VARINT:
        return _decode_number(kind, raw)
    if kind == "double":
        return struct.unpack("<d", raw)[0]
    if kind == "message":
        return _decode(name, raw, depth + 1)
    return bytes(raw) if kind == "bytes" else bytes(raw).decode("utf-8", "replace")


def _packed(field: Field, raw: memoryview) -> List[Any]:
    """The values of a repeated number field that are told in one piece, as proto3 does by default."""
    values: List[Any] = []
    at = 0
    while at < len(raw):
        if field[1] == "double":
            piece, at = _take(raw, at, 8)
            values.append(struct.unpack("<d", piece)[0])
        else:
            number, at = _read_varint(raw, at)
            values.append(_decode_number(field[1], number))
    return values


def _decode(name: str, data: memoryview, depth: int) -> Message:
    if depth > _MAX_DEPTH:
        raise ProtocolError("messages are nested too deeply")
    message: Message = {}
    for number, wire_type, raw in _fields(data):
        field = MESSAGES[name].get(number)
        if field is None:
            continue
        key, kind, _, repeated = field
        if repeated and wire_type == _BYTES and _WIRE_TYPES[kind] != _BYTES:
            message.setdefault(key, []).extend(_packed(field, raw))
            continue
        if wire_type != _WIRE_TYPES[kind]:
            raise ProtocolError(f"{name}.{key} is of another type than it should be")
        value = _decode_value(field, raw, depth)
        if repeated:
            message.setdefault(key, []).append(value)
        else:
            message[key] = value
    return message


def decode(name: str, data: bytes) -> Message:
    """The message of the type `name` in these bytes. ProtocolError: it is none."""
    return _decode(name, memoryview(data), 0)
