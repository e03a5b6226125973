"""Drives the emulator with pywa, a client that knows nothing of it.

    go build -o /tmp/cloudtest ./adapters/whatsapp/cloud/cloudtest/cmd/cloudtest
    python3 -m venv /tmp/pywa && /tmp/pywa/bin/pip install pywa==4.5.0
    /tmp/pywa/bin/python adapters/whatsapp/cloud/cloudtest/testdata/crosscheck/crosscheck.py /tmp/cloudtest

It starts the emulator, plays a person through its standard input and a business
through the library, and ends with a status other than 0 when something differs.
"""

import base64
import http.server
import json
import queue
import subprocess
import sys
import threading
import urllib.parse

import httpx
from pywa import WhatsApp, errors, types
from pywa.types import Button, Section, SectionList, SectionRow, URLButton

ADA, BOB = "15550002222", "15550003333"
PIXEL = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==")


class Emulator:
    def __init__(self, program):
        self.process = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.ready = self.read()

    def read(self):
        return json.loads(self.process.stdout.readline())

    def __call__(self, do, **fields):
        self.process.stdin.write(json.dumps({"do": do, **fields}) + "\n")
        self.process.stdin.flush()
        return self.read()

    def close(self):
        self.process.stdin.close()
        return self.process.wait(10)


class Redirected(httpx.Client):
    """The library sets the address of Meta; every call goes to the emulator."""

    def __init__(self, base):
        super().__init__(timeout=30)
        self.base = base

    def request(self, method, url, **keywords):
        if not str(url).startswith("http"):
            version = urllib.parse.urlparse(str(self.base_url)).path.strip("/")
            url = f"{self.base}/{version}/{str(url).lstrip('/')}"
        return super().request(method, url, **keywords)


def expect(what, got, want):
    if got != want:
        raise SystemExit(f"{what}: got {got!r}, want {want!r}")
    print("ok", what)


def raises(what, kind, call):
    try:
        call()
    except kind as error:
        print("ok", what)
        return error
    raise SystemExit(f"{what}: no {kind.__name__}")


class Hook:
    """A business's webhook: what comes is proved and read by the library."""

    def __init__(self):
        self.updates, self.business = queue.Queue(), None
        hook = self

        class Request(http.server.BaseHTTPRequestHandler):
            def answer(self, text, status):
                self.send_response(status)
                self.end_headers()
                self.wfile.write((text or "").encode())

            def do_GET(self):
                query = dict(urllib.parse.parse_qsl(urllib.parse.urlparse(self.path).query))
                self.answer(*hook.business.webhook_challenge_handler(query["hub.verify_token"], query["hub.challenge"]))

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                refused = hook.business.webhook_update_validator(body, self.headers["X-Hub-Signature-256"])
                self.answer(*(refused or hook.business.webhook_update_handler(body)))

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Request)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/"

    def next(self, kind):
        update = self.updates.get(timeout=30)
        if not isinstance(update, kind):
            raise SystemExit(f"got {update!r}, want {kind.__name__}")
        return update


def receiving(wa, emulator, hook):
    said = emulator("say", by=ADA, text="hello")["id"]
    got = hook.next(types.Message)
    expect("a text", (got.id, got.text, got.from_user.wa_id, got.metadata.phone_number_id), (said, "hello", ADA, emulator.ready["number"]))
    emulator("say", by=ADA, text="an answer", reply_to=said)
    expect("a quote", hook.next(types.Message).reply_to_message.message_id, said)
    for kind, mime in (("image", "image/png"), ("document", "application/pdf"), ("voice", "audio/ogg; codecs=opus"), ("sticker", "image/webp"), ("video", "video/mp4")):
        emulator("say", by=ADA, kind=kind, name="a.file", mime=mime, body=base64.b64encode(PIXEL).decode(), text="" if kind in ("voice", "sticker") else "look")
        got = hook.next(types.Message)
        address = wa.get_media_url(got.media.id)
        expect(f"a file: {kind}", (got.media.mime_type, address.file_size, wa.get_media_bytes(address.url)), (mime, len(PIXEL), PIXEL))
        expect(f"its hash: {kind}", address.sha256, got.media.sha256)
    emulator("react", by=ADA, id=said, text="👍")
    got = hook.next(types.Message)
    expect("a reaction", (got.reaction.emoji, got.reaction.message_id), ("👍", said))
    return said


def sending(wa, emulator, hook, said):
    sent = wa.send_message(ADA, "hello *you*", reply_to_message_id=said)
    wa.send_message(ADA, "choose", buttons=[Button("Yes", callback_data="y"), Button("No", callback_data="n")])
    wa.send_message(ADA, "choose one", buttons=SectionList("Choose", sections=[Section("All", [SectionRow(f"Row {i}", callback_data=f"r{i}") for i in range(5)])]))
    wa.send_message(ADA, "a page", buttons=URLButton("Open", url="https://example.com/"))
    wa.send_image(ADA, PIXEL, caption="a picture", mime_type="image/png")
    wa.send_document(ADA, b"%PDF-1.4 x", filename="a.pdf", caption="a document", mime_type="application/pdf")
    wa.send_audio(ADA, b"ID3 x", mime_type="audio/mpeg")
    shown = emulator("shown", by=ADA)["messages"]
    expect("what was shown", [m["Type"] for m in shown], ["text", "interactive", "interactive", "interactive", "image", "document", "audio"])
    expect("the first", (shown[0]["ID"], shown[0]["Text"], shown[0]["ReplyTo"]), (sent.id, "hello *you*", said))
    expect("the files", [base64.b64decode(m["Files"][0]["Body"]) for m in shown[4:]], [PIXEL, b"%PDF-1.4 x", b"ID3 x"])
    emulator("press", by=ADA, id=shown[1]["ID"], text="No")
    expect("a press", (pressed := hook.next(types.CallbackButton)).data, "n")
    expect("of that message", pressed.reply_to_message.message_id, shown[1]["ID"])
    emulator("press", by=ADA, id=shown[2]["ID"], text="Row 3")
    expect("a choice", hook.next(types.CallbackSelection).data, "r3")
    for state in ("sent", "delivered", "read"):
        emulator("status", by=ADA, id=sent.id, text=state)
        got = hook.next(types.MessageStatus)
        expect(state, (got.id, got.status.value, got.from_user.wa_id), (sent.id, state, ADA))
    emulator("status", by=ADA, id=sent.id, text="failed", code=131047)
    expect("failed", isinstance(hook.next(types.MessageStatus).error, errors.ReEngagementMessage), True)
    wa.send_reaction(ADA, "🎉", said)
    expect("a reaction of the bot", emulator("shown", by=ADA, id=said)["reaction"], "🎉")
    wa.remove_reaction(ADA, said)
    expect("taken back", emulator("shown", by=ADA, id=said)["reaction"], "")
    expect("read", wa.mark_message_as_read(said).success, True)
    expect("typing", (wa.indicate_typing(said).success, emulator("shown", by=ADA)["typed"]), (True, 1))


def hiding(wa, emulator, hook):
    emulator("hide", by=BOB, text="bob.b")
    emulator("say", by=BOB, text="who am I")
    got = hook.next(types.Message)
    expect("a hidden number", (got.from_user.wa_id, got.from_user.username), (None, "bob.b"))
    sent = wa.send_message(got.from_user.bsuid, "you are hidden")
    expect("is answered", [m["Text"] for m in emulator("shown", by=BOB)["messages"]], ["you are hidden"])
    emulator("status", by=BOB, id=sent.id, text="read")
    expect("and reads", hook.next(types.MessageStatus).from_user.bsuid, got.from_user.bsuid)


def refusing(wa, emulator):
    raises("the window", errors.ReEngagementMessage, lambda: wa.send_message("15559999999", "hello"))
    raises("too long", errors.WhatsAppError, lambda: wa.send_message(ADA, "x" * 4097))
    raises("a button too many", errors.WhatsAppError, lambda: wa.send_message(ADA, "x", buttons=[Button(str(i), callback_data=str(i)) for i in range(4)]))
    raises("no such file", errors.WhatsAppError, lambda: wa.get_media_url("1"))
    emulator("fail", status=429, code=130429, wait=1)
    raises("too many", errors.RateLimitHit, lambda: wa.send_message(ADA, "x"))
    emulator("fail", status=400, code=131056, wait=1)
    raises("too many to one", errors.TooManyMessages, lambda: wa.send_message(ADA, "x"))
    emulator("fail", status=503)
    expect("a proxy's page", raises("out of order", errors.WhatsAppError, lambda: wa.send_message(ADA, "x")).status_code, 503)


def main(program):
    emulator, hook = Emulator(program), Hook()
    ready = emulator.ready
    wa = WhatsApp(
        phone_id=ready["number"], token=ready["token"], session=Redirected(ready["url"]), server=None, verify_token="verify-me",
        waba_id=ready["business"], app_id=int(ready["app"]), app_secret=ready["app_secret"], continue_handling=True,
    )
    hook.business = wa
    for register in (wa.on_message, wa.on_callback_button, wa.on_callback_selection, wa.on_message_status):
        register()(lambda _, update: hook.updates.put(update))
    number = wa.get_business_phone_number()
    expect("the number", (number.id, number.verified_name), (ready["number"], "Test Shop"))
    key = wa.api.get_app_access_token(int(ready["app"]), ready["app_secret"])["access_token"]
    expect("the webhook", wa.api.set_app_callback_url(int(ready["app"]), key, hook.url, "verify-me", ("messages",))["success"], True)
    said = receiving(wa, emulator, hook)
    sending(wa, emulator, hook, said)
    hiding(wa, emulator, hook)
    refusing(wa, emulator)
    expect("the end", emulator.close(), 0)


if __name__ == "__main__":
    main(*sys.argv[1:])
