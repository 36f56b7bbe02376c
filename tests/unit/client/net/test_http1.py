from __future__ import annotations

from itertools import pairwise
from urllib.parse import quote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_bus_client.errors import HttpError, SettingsError
from agent_bus_client.net import http1


@pytest.mark.parametrize(
    ("url", "host", "port", "prefix"),
    [
        ("http://t440:8091", "t440", 8091, ""),
        ("http://t440:8091/", "t440", 8091, ""),
        ("https://bus.example/x/", "bus.example", 443, "/x"),
        ("http://[::1]:80", "::1", 80, ""),
    ],
)
def test_an_address_is_taken_apart(url: str, host: str, port: int, prefix: str) -> None:
    origin = http1.Origin.parse(url)
    assert (origin.host, origin.port, origin.prefix) == (host, port, prefix)


@pytest.mark.parametrize("url", ["t440:8091", "ftp://t440", "http://", "http://x:99999", ""])
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(SettingsError):
        http1.Origin.parse(url)


@given(
    st.from_regex(r"(https?|ftp)://[a-zA-Z0-9.\-\[\]:@ ]{0,12}(:[0-9]{0,6})?/?", fullmatch=True)
    | st.from_regex(r"https?://[a-z0-9.-]{1,9}:[0-9]{1,6}", fullmatch=True)
)
def test_a_plain_address_has_the_parts_that_the_library_finds(url: str) -> None:
    try:
        parts = urlsplit(url)
        port, host = parts.port, parts.hostname
    except ValueError:
        port, host = None, None
    try:
        origin = http1.Origin.parse(url)
    except SettingsError:
        assert not host or parts.scheme == "ftp"
        return
    usual = {"http": 80, "https": 443}[parts.scheme]
    assert (origin.tls, origin.host) == (parts.scheme == "https", host)
    assert (origin.port, origin.prefix) == (port or usual, parts.path.rstrip("/"))


@given(st.text())
def test_a_part_of_an_address_is_quoted_as_the_library_does_it(raw: str) -> None:
    assert http1.quoted(raw) == quote(raw, safe="", errors="replace")


def test_a_head_is_parsed() -> None:
    head = http1.parse_head(b"HTTP/1.1 429 Too Many\r\nRetry-After: 60\r\nX-Y:z")
    assert head.status == 429
    assert head.headers == {"retry-after": "60", "x-y": "z"}


@pytest.mark.parametrize("raw", [b"SSH-2.0-OpenSSH", b"HTTP/2 200", b"HTTP/1.1 abc", b""])
def test_another_protocol_is_refused(raw: bytes) -> None:
    with pytest.raises(HttpError):
        http1.parse_head(raw)


def decode(head: http1.Head, raw: bytes, cuts: list[int]) -> tuple[bytes, bool]:
    decoder = http1.BodyDecoder(head)
    places = sorted({min(cut, len(raw)) for cut in cuts} | {0, len(raw)})
    body = b"".join(decoder.feed(raw[start:end]) for start, end in pairwise(places))
    return body, decoder.done


CUTS = st.lists(st.integers(0, 300), max_size=20)
CHUNKS = st.lists(st.binary(min_size=1, max_size=30), max_size=8)


@given(CHUNKS, CUTS, st.sampled_from([b"", b";x=y"]), st.sampled_from([b"", b"Trailer: 1\r\n"]))
def test_chunks_are_joined_for_any_split(
    chunks: list[bytes], cuts: list[int], extension: bytes, trailer: bytes
) -> None:
    head = http1.Head(200, {"transfer-encoding": "chunked"})
    framed = [b"%x%s\r\n%s\r\n" % (len(chunk), extension, chunk) for chunk in chunks]
    raw = b"".join(framed) + b"0\r\n" + trailer + b"\r\n"
    assert decode(head, raw, cuts) == (b"".join(chunks), True)


@given(st.binary(min_size=1, max_size=200), CUTS)
def test_a_length_ends_the_body_for_any_split(body: bytes, cuts: list[int]) -> None:
    head = http1.Head(200, {"content-length": str(len(body))})
    assert decode(head, body, cuts) == (body, True)
    assert decode(head, body[:-1], cuts) == (body[:-1], False)


def test_broken_chunks_are_refused() -> None:
    decoder = http1.BodyDecoder(http1.Head(200, {"transfer-encoding": "chunked"}))
    with pytest.raises(HttpError):
        decoder.feed(b"zz\r\nabc")


def test_no_content_has_no_body() -> None:
    assert http1.BodyDecoder(http1.Head(204, {})).done
