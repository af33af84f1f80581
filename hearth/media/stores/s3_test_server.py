#!/usr/bin/env python3
"""A small S3 in memory for tests: PUT and GET of objects in one bucket, path style.

It checks AWS Signature Version 4 by itself, from what came over the wire and from Amazon's description: nothing of Hearth's
code or of a library has a part in it. GET /public/{bucket}/{key} needs no signature, as a public bucket's address.

  s3_test_server.py BUCKET REGION ACCESS_KEY SECRET_KEY     prints its port and serves until standard input ends
"""
import datetime
import hashlib
import hmac
import http.server
import re
import sys
import threading
import urllib.parse

BUCKET, REGION, ACCESS_KEY, SECRET_KEY = sys.argv[1:5]
SKEW_MAX = datetime.timedelta(minutes=15)
OBJECTS = {}  # key: (bytes, content type, cache control)


class Refused(Exception):
    def __init__(self, status, code, detail=""):
        super().__init__(code)
        self.status, self.code, self.detail = status, code, detail


def uri_encode(text):
    return "".join(chr(b) if chr(b).isascii() and (chr(b).isalnum() or chr(b) in "-._~/") else f"%{b:02X}" for b in text.encode())


def mac(key, text):
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def canonical_query(query):
    pairs = [(part.partition("=")[0], part.partition("=")[2]) for part in query.split("&") if part]
    return "&".join(f"{name}={value}" for name, value in sorted(pairs))


def check_signature(request, path, query, body):
    given = request.headers.get("Authorization", "")
    match = re.fullmatch(r"AWS4-HMAC-SHA256 Credential=([^/]+)/(\d{8})/([^/]+)/s3/aws4_request, ?SignedHeaders=([a-z0-9;-]+), ?"
                         r"Signature=([0-9a-f]{64})", given)
    if not match:
        raise Refused(403, "AccessDenied")
    access_key, day, region, names, signature = match.groups()
    if access_key != ACCESS_KEY:
        raise Refused(403, "InvalidAccessKeyId")
    if region != REGION:
        raise Refused(400, "AuthorizationHeaderMalformed", f"the region '{region}' is wrong; expecting '{REGION}'")
    names = names.split(";")
    wanted = {"host"} | {n.lower() for n in request.headers if n.lower().startswith("x-amz-") or n.lower() == "content-type"}
    if names != sorted(names) or not wanted <= set(names):
        raise Refused(403, "AccessDenied", "a header is not signed")
    moment = request.headers["x-amz-date"]
    when = datetime.datetime.strptime(moment, "%Y%m%dT%H%M%SZ").replace(tzinfo=datetime.timezone.utc)
    if abs(when - datetime.datetime.now(datetime.timezone.utc)) > SKEW_MAX or not moment.startswith(day):
        raise Refused(403, "RequestTimeTooSkewed")
    body_hash = hashlib.sha256(body).hexdigest()
    if request.headers["x-amz-content-sha256"] != body_hash:
        raise Refused(400, "XAmzContentSHA256Mismatch")

    headers = "".join(f"{name}:{' '.join(request.headers[name].split())}\n" for name in names)
    canonical = "\n".join([request.command, uri_encode(urllib.parse.unquote(path)), canonical_query(query), headers, ";".join(names), body_hash])
    scope = f"{day}/{region}/s3/aws4_request"
    to_sign = "\n".join(["AWS4-HMAC-SHA256", moment, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    key = ("AWS4" + SECRET_KEY).encode()
    for part in (day, region, "s3", "aws4_request"):
        key = mac(key, part)
    if not hmac.compare_digest(mac(key, to_sign).hex(), signature):
        # As Amazon does: an answer that quotes the access key and what was signed.
        raise Refused(403, "SignatureDoesNotMatch", f"<AWSAccessKeyId>{ACCESS_KEY}</AWSAccessKeyId><StringToSign>{to_sign}</StringToSign>")


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status, body=b"", headers=None):
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def handle_request(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        path, _, query = self.path.partition("?")
        try:
            is_public = path.startswith("/public/") and self.command == "GET"
            if is_public:
                path = path.removeprefix("/public")
            else:
                check_signature(self, path, query, body)
            bucket, _, key = urllib.parse.unquote(path).removeprefix("/").partition("/")
            if bucket != BUCKET:
                raise Refused(404, "NoSuchBucket")
            if self.command == "PUT":
                OBJECTS[key] = (body, self.headers.get("Content-Type", ""), self.headers.get("Cache-Control", ""))
                self.answer(200)
            elif key in OBJECTS:
                stored, content_type, cache_control = OBJECTS[key]
                self.answer(200, stored, {"Content-Type": content_type, "Cache-Control": cache_control})
            else:
                raise Refused(404, "NoSuchKey")
        except Refused as refused:
            text = f"<?xml version=\"1.0\"?><Error><Code>{refused.code}</Code><Message>{refused.detail}</Message></Error>"
            self.answer(refused.status, text.encode(), {"Content-Type": "application/xml"})

    do_GET = do_PUT = handle_request


def main():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_address[1], flush=True)
    sys.stdin.read()


main()
