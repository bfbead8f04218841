"""HTTP/1.1 that a server must refuse, or may: request lines, headers and bodies, each as the bytes that are sent."""

from __future__ import annotations

BODY = b'{"model":"test","messages":[{"role":"user","content":"smuggled?"}]}'
CHUNKED_BODY = b"%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY)
LENGTH = b"Content-Length: %d\r\n" % len(BODY)
SECOND = b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n" + LENGTH + b"\r\n" + BODY


def post(*headers: bytes, body: bytes = BODY, line: bytes = b"POST /v1/chat/completions HTTP/1.1\r\n",
         host: bytes = b"Host: x\r\n") -> bytes:
    return line + host + b"".join(headers) + b"\r\n" + body


TE = b"Transfer-Encoding: chunked\r\n"

# Name → the bytes sent. Each must get one 4xx, 501 or 505 with a JSON body and then a close, or just a close.
HOSTILE: dict[str, bytes] = {
    # lengths
    "content-length and transfer-encoding": post(LENGTH, TE, body=CHUNKED_BODY),
    "transfer-encoding and content-length": post(TE, LENGTH, body=CHUNKED_BODY),
    "two different content-lengths": post(b"Content-Length: 5\r\n", LENGTH),
    "two equal content-lengths": post(LENGTH, LENGTH),
    "a list of content-lengths": post(b"Content-Length: 5, 6\r\n"),
    "a list of equal content-lengths": post(b"Content-Length: %d, %d\r\n" % (len(BODY), len(BODY))),
    "negative content-length": post(b"Content-Length: -1\r\n"),
    "content-length with a plus": post(b"Content-Length: +%d\r\n" % len(BODY)),
    "content-length in hexadecimal": post(b"Content-Length: 0x43\r\n"),
    "content-length with a letter": post(b"Content-Length: 67a\r\n"),
    "content-length with a fraction": post(b"Content-Length: 67.0\r\n"),
    "content-length with inner space": post(b"Content-Length: 6 7\r\n"),
    "content-length with underscore": post(b"Content-Length: 6_7\r\n"),
    "empty content-length": post(b"Content-Length: \r\n"),
    "content-length beyond 64 bits": post(b"Content-Length: 18446744073709551683\r\n"),
    "content-length beyond the limit": post(b"Content-Length: 9223372036854775807\r\n"),
    # transfer codings
    "transfer-encoding gzip with length": post(b"Transfer-Encoding: gzip\r\n", LENGTH),
    "transfer-encoding gzip": post(b"Transfer-Encoding: gzip\r\n"),
    "chunked, gzip": post(b"Transfer-Encoding: chunked, gzip\r\n", body=CHUNKED_BODY),
    "gzip, chunked": post(b"Transfer-Encoding: gzip, chunked\r\n", body=CHUNKED_BODY),
    "chunked, chunked": post(b"Transfer-Encoding: chunked, chunked\r\n", body=CHUNKED_BODY),
    "chunked twice": post(TE, TE, body=CHUNKED_BODY),
    "xchunked with length": post(b"Transfer-Encoding: xchunked\r\n", LENGTH),
    "quoted chunked": post(b'Transfer-Encoding: "chunked"\r\n', body=CHUNKED_BODY),
    "chunked with a control character": post(b"Transfer-Encoding: \x0bchunked\r\n", body=CHUNKED_BODY),
    "identity": post(b"Transfer-Encoding: identity\r\n", LENGTH),
    "empty transfer-encoding": post(b"Transfer-Encoding: \r\n", LENGTH),
    "transfer_encoding space colon": post(b"Transfer-Encoding : chunked\r\n", body=CHUNKED_BODY),
    "folded transfer-encoding": post(b"Transfer-Encoding:\r\n chunked\r\n", body=CHUNKED_BODY),
    "HTTP/1.0 with transfer-encoding": post(TE, line=b"POST /v1/chat/completions HTTP/1.0\r\n", body=CHUNKED_BODY),
    # chunks
    "chunk size not hexadecimal": post(TE, body=b"zz\r\n" + BODY + b"\r\n0\r\n\r\n"),
    "chunk size with 0x": post(TE, body=b"0x43\r\n" + BODY + b"\r\n0\r\n\r\n"),
    "negative chunk size": post(TE, body=b"-1\r\n" + BODY + b"\r\n0\r\n\r\n"),
    "chunk size with a plus": post(TE, body=b"+43\r\n" + BODY + b"\r\n0\r\n\r\n"),
    "chunk size beyond 64 bits": post(TE, body=b"10000000000000043\r\n" + BODY + b"\r\n0\r\n\r\n"),
    "space before chunk size": post(TE, body=b" 43\r\n" + BODY + b"\r\n0\r\n\r\n"),
    "empty chunk size": post(TE, body=b"\r\n" + BODY + b"\r\n0\r\n\r\n"),
    "bare LF after chunk size": post(TE, body=b"%x\n" % len(BODY) + BODY + b"\r\n0\r\n\r\n"),
    "bare CR after chunk size": post(TE, body=b"%x\r" % len(BODY) + BODY + b"\r\n0\r\n\r\n"),
    "chunk longer than told": post(TE, body=b"3\r\n" + BODY + b"\r\n0\r\n\r\n"),
    "bare LF after chunk data": post(TE, body=b"%x\r\n" % len(BODY) + BODY + b"\n0\r\n\r\n"),
    "bare LF in a chunk extension": post(TE, body=b"%x;a\nb\r\n" % len(BODY) + BODY + b"\r\n0\r\n\r\n"),
    "NUL in a chunk extension": post(TE, body=b"%x;a\0b\r\n" % len(BODY) + BODY + b"\r\n0\r\n\r\n"),
    "an endless chunk extension": post(TE, body=b"1;" + b"a" * 200_000),
    "endless trailers": post(TE, body=b"0\r\n" + b"X: y\r\n" * 40_000),
    # lines and headers
    "bare LF line ends": post(LENGTH).replace(b"\r\n", b"\n"),
    "bare LF after the request line": SECOND.replace(b"\r\n", b"\n", 1),
    "bare LF after one header": post(b"X-A: 1\n", LENGTH),
    "bare CR in a header value": post(b"X-A: 1\rX-B: 2\r\n", LENGTH),
    "bare CR line end": post(b"X-A: 1\r", LENGTH),
    "obs-fold": post(b"X-A: 1\r\n  folded\r\n", LENGTH),
    "folded first header": post(LENGTH, host=b" Host: x\r\n"),
    "space before colon": post(b"X-A : 1\r\n", LENGTH),
    "space before content-length colon": post(b"Content-Length : %d\r\n" % len(BODY)),
    "empty header name": post(b": value\r\n", LENGTH),
    "header without colon": post(b"JustAName\r\n", LENGTH),
    "header name with a space": post(b"X A: 1\r\n", LENGTH),
    "header name with a parenthesis": post(b"X(A): 1\r\n", LENGTH),
    "header name with UTF-8": post("X-é: 1\r\n".encode(), LENGTH),
    "NUL in a header name": post(b"X\0A: 1\r\n", LENGTH),
    "NUL in a header value": post(b"X-A: 1\0\r\n", LENGTH),
    "control character in a header value": post(b"X-A: \x01\r\n", LENGTH),
    "a huge header": post(b"X-A: " + b"a" * 100_000 + b"\r\n", LENGTH),
    "a huge header name": post(b"X" * 100_000 + b": 1\r\n", LENGTH),
    "too many headers": post(b"A: b\r\n" * 10_000, LENGTH),
    "a huge header without an end": b"GET /healthz HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 300_000,
    # hosts
    "no host": post(LENGTH, host=b""),
    "two hosts": post(b"Host: y\r\n", LENGTH),
    "two equal hosts": post(b"Host: x\r\n", LENGTH),
    "host with a space": post(LENGTH, host=b"Host: x y\r\n"),
    "host with a path": post(LENGTH, host=b"Host: x/y\r\n"),
    "host with user info": post(LENGTH, host=b"Host: user@x\r\n"),
    "host with a bad port": post(LENGTH, host=b"Host: x:99x\r\n"),
    # request lines
    "absolute form of another host": post(LENGTH, line=b"POST http://evil.example/v1/chat/completions HTTP/1.1\r\n"),
    "authority form": post(LENGTH, line=b"POST evil.example:80 HTTP/1.1\r\n"),
    "CONNECT": b"CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example:443\r\n\r\n",
    "TRACE": b"TRACE /v1/chat/completions HTTP/1.1\r\nHost: x\r\n\r\n",
    "an unknown method": post(LENGTH, line=b"SMUGGLE /v1/chat/completions HTTP/1.1\r\n"),
    "a lower case method": post(LENGTH, line=b"post /v1/chat/completions HTTP/1.1\r\n"),
    "a method with a control character": post(LENGTH, line=b"PO\x01ST /v1/chat/completions HTTP/1.1\r\n"),
    "a space in the target": post(LENGTH, line=b"POST /v1/chat completions HTTP/1.1\r\n"),
    "a tab in the request line": post(LENGTH, line=b"POST\t/v1/chat/completions HTTP/1.1\r\n"),
    "NUL in the target": post(LENGTH, line=b"POST /v1/chat/completions\0 HTTP/1.1\r\n"),
    "a fragment in the target": post(LENGTH, line=b"POST /v1/chat/completions#x HTTP/1.1\r\n"),
    "a target that begins with no slash": post(LENGTH, line=b"POST v1/chat/completions HTTP/1.1\r\n"),
    "a huge target": post(LENGTH, line=b"POST /" + b"a" * 100_000 + b" HTTP/1.1\r\n"),
    "HTTP/0.9": b"GET /healthz\r\n\r\n",
    "HTTP/2.0 in the request line": post(LENGTH, line=b"POST /v1/chat/completions HTTP/2.0\r\n"),
    "HTTP/1.2": post(LENGTH, line=b"POST /v1/chat/completions HTTP/1.2\r\n"),
    "HTTP/9.9": post(LENGTH, line=b"POST /v1/chat/completions HTTP/9.9\r\n"),
    "http in lower case": post(LENGTH, line=b"POST /v1/chat/completions http/1.1\r\n"),
    "a version with blanks": post(LENGTH, line=b"POST /v1/chat/completions HTTP/1. 1\r\n"),
    "an answer instead of a request": b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    # other protocols
    "HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00\x00\x00\x04\x00\x00\x00\x00\x00",
    "TLS hello on a plain port": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200),
    "SOCKS": b"\x05\x01\x00",
    "PROXY protocol": b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n" + SECOND,
    "binary garbage": bytes(range(128, 256)) * 10 + b"\r\n\r\n",
    "text garbage": b"hello, is anybody there?\r\n\r\n",
    "NULs": bytes(4096),
}
