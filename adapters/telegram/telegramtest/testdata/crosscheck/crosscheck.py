"""Drives the emulator with python-telegram-bot, a client that knows nothing of it.

    go build -o /tmp/telegramtest ./adapters/telegram/telegramtest/cmd/telegramtest
    python3 -m venv /tmp/ptb && /tmp/ptb/bin/pip install python-telegram-bot==22.8
    /tmp/ptb/bin/python adapters/telegram/telegramtest/testdata/crosscheck/crosscheck.py /tmp/telegramtest

It starts the emulator, plays a person through its control address and a bot
through the library, and ends with a status other than 0 when something differs.
"""

import asyncio
import base64
import json
import subprocess
import sys
import urllib.request

from telegram import InlineKeyboardButton, InlineKeyboardMarkup, InputMediaDocument, LinkPreviewOptions, ReplyParameters
from telegram.constants import MessageLimit, ReactionEmoji
from telegram.error import BadRequest, ChatMigrated, Conflict, Forbidden, InvalidToken, RetryAfter
from telegram.ext import Application, ApplicationBuilder, CallbackQueryHandler, CommandHandler, MessageHandler, MessageReactionHandler, filters

PIXEL = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==")


class Control:
    def __init__(self, address):
        self.address = address

    def __call__(self, verb, **body):
        request = urllib.request.Request(f"{self.address}/{verb}", json.dumps(body).encode(), method="POST")
        with urllib.request.urlopen(request) as response:
            return json.load(response)

    def log(self, after=0):
        with urllib.request.urlopen(f"{self.address}/log?after={after}") as response:
            return json.load(response)


def builder(ready, token=None):
    return ApplicationBuilder().token(token or ready["token"]).base_url(ready["url"] + "/bot").base_file_url(ready["url"] + "/file/bot")


def expect(what, got, want):
    if got != want:
        raise SystemExit(f"{what}: got {got!r}, want {want!r}")
    print("ok", what)


async def raises(what, kind, call, text=""):
    try:
        await call
    except kind as error:
        expect(what, text in str(error), True)
        return error
    raise SystemExit(f"{what}: no {kind.__name__}")


async def sending(bot, control):
    html = await bot.send_message(7, "<b>bold</b> &amp; <a href='https://example.com/'>link</a>", parse_mode="HTML", link_preview_options=LinkPreviewOptions(is_disabled=True))
    expect("html", (html.text, [e.type for e in html.entities]), ("bold & link", ["bold", "text_link"]))
    expect("html again", html.text_html, '<b>bold</b> &amp; <a href="https://example.com/">link</a>')
    marked = await bot.send_message(7, r"*bold* `code` 1\.0", parse_mode="MarkdownV2", reply_parameters=ReplyParameters(html.message_id))
    expect("markdown", (marked.text, marked.reply_to_message.message_id), ("bold code 1.0", html.message_id))
    await raises("unbalanced", BadRequest, bot.send_message(7, "<b>x", parse_mode="HTML"), "Can't parse entities")
    await raises("too long", BadRequest, bot.send_message(7, "x" * (MessageLimit.MAX_TEXT_LENGTH + 1)), "Message is too long")
    edited = await bot.edit_message_text("new", 7, html.message_id)
    expect("edit", (edited.text, edited.edit_date is not None), ("new", True))
    await raises("not modified", BadRequest, bot.edit_message_text("new", 7, html.message_id), "Message is not modified")
    expect("typing", await bot.send_chat_action(7, "typing"), True)
    expect("reaction", await bot.set_message_reaction(7, html.message_id, ReactionEmoji.EYES), True)
    expect("delete", await bot.delete_message(7, marked.message_id), True)
    expect("log", [d["kind"] for d in control.log()], ["sent", "sent", "edited", "acted", "reacted", "deleted"])


async def files(bot, control):
    photo = await bot.send_photo(7, PIXEL, caption="one", filename="a.png")
    expect("photo", (photo.photo[-1].width, photo.caption), (1, "one"))
    document = await bot.send_document(7, b"bytes \x00\xff", filename="a.bin")
    back = await (await bot.get_file(document.document.file_id)).download_as_bytearray()
    expect("byte-true", bytes(back), b"bytes \x00\xff")
    album = await bot.send_media_group(7, [InputMediaDocument(b"1", filename="1.txt"), InputMediaDocument(document.document.file_id)])
    expect("album", (len(album), album[0].media_group_id == album[1].media_group_id), (2, True))
    expect("voice", (await bot.send_voice(7, b"OggS", duration=4)).voice.duration.__class__.__name__ in ("int", "timedelta"), True)


async def errors(bot, control, ready):
    control("user", id=8, name="Eve")
    control("chat", kind="private", members=[8])
    control("user", id=8, name="Eve", blocked=True)
    await raises("blocked", Forbidden, bot.send_message(8, "x"), "bot was blocked by the user")
    group = control("chat", kind="group", id=30, title="G", members=[7])["chat"]
    after = control("migrate", chat=group, user=7)["chat"]
    expect("migrated", (await raises("migrated", ChatMigrated, bot.send_message(group, "x"))).new_chat_id, after)
    control("limits", Token=1)
    await bot.send_message(7, "x")
    await raises("rate limit", RetryAfter, bot.send_message(7, "y"))
    control("limits")
    async with builder(ready, "1:wrong").build().bot as nobody:
        await nobody.get_me()


async def receiving(ready, control):
    got = []

    async def note(update, context):
        message = update.message
        if message and message.document:
            content = await (await message.document.get_file()).download_as_bytearray()
            got.append((message.caption, bytes(content)))
        elif update.callback_query:
            await update.callback_query.answer("noted")
            got.append(update.callback_query.data)
        elif update.message_reaction:
            got.append(update.message_reaction.new_reaction[0].emoji)
        elif message:
            got.append((message.text, message.message_thread_id, getattr(context, "args", None)))

    app: Application = builder(ready).build()
    app.add_handlers([CommandHandler("start", note), CallbackQueryHandler(note), MessageReactionHandler(note), MessageHandler(filters.ALL, note)])
    async with app:
        await app.start()
        wanted = ["message", "callback_query", "message_reaction"]
        await app.bot.get_updates(allowed_updates=wanted)  # before anything happens, since what nobody asked for is not kept
        await app.updater.start_polling(allowed_updates=wanted, drop_pending_updates=True)
        forum = control("chat", kind="forum", id=31, title="F", members=[7])["chat"]
        topic = control("topic", chat=forum, user=7, text="T")["thread"]
        keys = InlineKeyboardMarkup([[InlineKeyboardButton("Go", callback_data="go")]])
        asked = await app.bot.send_message(7, "?", reply_markup=keys)
        control("say", chat=7, user=7, text="/start c0de")
        control("say", chat=forum, user=7, thread=topic, text="/start@gatehouse_test_bot")
        control("say", chat=7, user=7, text="look", files=[{"Name": "a.txt", "Bytes": base64.b64encode(b"content").decode()}])
        control("press", chat=7, user=7, message=asked.message_id, data="go")
        control("react", chat=7, user=7, message=asked.message_id, emoji=["👍"])
        for _ in range(200):
            if len(got) >= 6:
                break
            await asyncio.sleep(0.05)
        await app.updater.stop()
        await app.stop()
    # the message that opens the topic comes first, without a text
    expect("received", got, [(None, topic, None), ("/start c0de", None, ["c0de"]), ("/start@gatehouse_test_bot", topic, []), ("look", b"content"), "go", "👍"])


async def run(binary):
    process = subprocess.Popen([binary, "-until-eof"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        ready = json.loads(process.stdout.readline())
        control = Control(ready["control"])
        control("user", id=7, name="Ada")
        control("chat", kind="private", members=[7])
        async with builder(ready).build().bot as bot:
            expect("me", (bot.username, bot.can_read_all_group_messages), ("gatehouse_test_bot", False))
            await sending(bot, control)
            await files(bot, control)
            expect("commands", await bot.set_my_commands([("help", "what I can do")]), True)
            expect("commands back", (await bot.get_my_commands())[0].command, "help")
            try:
                await errors(bot, control, ready)
                raise SystemExit("a wrong token went through")
            except InvalidToken:
                print("ok wrong token")
        await receiving(ready, control)
        first = asyncio.create_task(one_poll(ready))
        second = asyncio.create_task(one_poll(ready))
        done, pending = await asyncio.wait([first, second], return_when=asyncio.FIRST_COMPLETED)
        expect("two bots", isinstance(done.pop().exception(), Conflict), True)
        control("say", chat=7, user=7, text="end")
        await pending.pop()
    finally:
        process.stdin.close()
        process.wait(10)


async def one_poll(ready):
    async with builder(ready).build().bot as bot:
        return await bot.get_updates(offset=1, timeout=20)


asyncio.run(run(sys.argv[1]))
