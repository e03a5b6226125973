package telegramtest_test

import (
	"bytes"
	"context"
	"image"
	"image/png"
	"io"
	"strings"
	"testing"

	"github.com/go-telegram/bot"
	"github.com/go-telegram/bot/models"
	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-chat/gatehouse/adapters/telegram/telegramtest"
)

func picture(t *testing.T, width, height int) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := png.Encode(&out, image.NewGray(image.Rect(0, 0, width, height))); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func download(t *testing.T, b *bot.Bot, id string) []byte {
	t.Helper()
	file, err := b.GetFile(deadline(t), &bot.GetFileParams{FileID: id})
	if err != nil {
		t.Fatal(err)
	}
	resp, err := httpClient.Get(b.FileDownloadLink(file))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	content, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != 200 {
		t.Fatal(resp.Status, err)
	}
	return content
}

func TestLibraryReadsWhatPeopleSend(t *testing.T) {
	srv := telegramtest.NewServer(t)
	ada := srv.User(7, "Ada")
	chat := srv.Private(ada)
	photo, doc, voice := picture(t, 800, 600), []byte("%PDF-1.7"), []byte("OggS...")
	chat.Photo(ada, photo, telegramtest.WithCaption("look @all"))
	chat.Document(ada, "plan.pdf", "application/pdf", doc)
	chat.Voice(ada, voice, 3)
	chat.Album(ada, []telegramtest.Attachment{{Kind: "photo", Bytes: photo}, {Kind: "photo", Bytes: photo}}, telegramtest.WithCaption("both"))

	got := make(chan *models.Message, 10)
	b := client(t, srv, bot.WithNotAsyncHandlers(), bot.WithDefaultHandler(func(_ context.Context, _ *bot.Bot, u *models.Update) {
		got <- u.Message
	}))
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		b.Start(ctx)
	}()
	defer func() {
		cancel()
		<-done
	}()
	m := <-got
	if len(m.Photo) != 3 || m.Caption != "look @all" || m.CaptionEntities[0].Type != "mention" {
		t.Fatalf("%+v", m)
	}
	best := m.Photo[2]
	if best.Width != 800 || !bytes.Equal(download(t, b, best.FileID), photo) {
		t.Errorf("%+v", best)
	}
	if bytes.Equal(download(t, b, m.Photo[0].FileID), photo) {
		t.Error("the small photo has the bytes of the large one")
	}
	m = <-got
	if m.Document.FileName != "plan.pdf" || m.Document.MimeType != "application/pdf" || !bytes.Equal(download(t, b, m.Document.FileID), doc) {
		t.Errorf("%+v", m.Document)
	}
	m = <-got
	if m.Voice.Duration != 3 || m.Voice.MimeType != "audio/ogg" || !bytes.Equal(download(t, b, m.Voice.FileID), voice) {
		t.Errorf("%+v", m.Voice)
	}
	first, second := <-got, <-got
	if first.MediaGroupID == "" || first.MediaGroupID != second.MediaGroupID || first.Caption != "both" || second.Caption != "" {
		t.Errorf("%+v %+v", first, second)
	}
}

func TestLibrarySendsFiles(t *testing.T) {
	srv := telegramtest.NewServer(t)
	srv.Private(srv.User(7, "Ada"))
	b := client(t, srv)
	ctx := deadline(t)
	photo := picture(t, 100, 50)
	upload := func(name string, content []byte) *models.InputFileUpload {
		return &models.InputFileUpload{Filename: name, Data: bytes.NewReader(content)}
	}
	sent, err := b.SendPhoto(ctx, &bot.SendPhotoParams{ChatID: 7, Photo: upload("a.png", photo), Caption: "<i>hi</i>", ParseMode: models.ParseModeHTML})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.SendDocument(ctx, &bot.SendDocumentParams{ChatID: 7, Document: upload("a.txt", []byte("text"))}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.SendVoice(ctx, &bot.SendVoiceParams{ChatID: 7, Voice: upload("v.ogg", []byte("voice")), Duration: 9}); err != nil {
		t.Fatal(err)
	}
	album, err := b.SendMediaGroup(ctx, &bot.SendMediaGroupParams{ChatID: 7, Media: []models.InputMedia{
		&models.InputMediaPhoto{Media: "attach://one.png", MediaAttachment: bytes.NewReader(photo), Caption: "first"},
		&models.InputMediaPhoto{Media: sent.Photo[len(sent.Photo)-1].FileID},
	}})
	if err != nil || len(album) != 2 || album[0].MediaGroupID == "" {
		t.Fatal(album, err)
	}
	if _, err := b.EditMessageCaption(ctx, &bot.EditMessageCaptionParams{ChatID: 7, MessageID: sent.ID, Caption: "ho"}); err != nil {
		t.Fatal(err)
	}

	type row struct {
		Kind, Name, MIME, Content, Text string
		Entities                        []entity
	}
	var got []row
	for _, d := range srv.Delivered() {
		f := d.Files[0]
		content := string(f.Bytes)
		if content == string(photo) {
			content = "photo"
		}
		got = append(got, row{f.Kind, f.Name, f.MIME, content, d.Text, d.Entities})
	}
	want := []row{
		{"photo", "a.png", "image/jpeg", "photo", "hi", []entity{{Type: "italic", Length: 2}}},
		{"document", "a.txt", "text/plain", "text", "", nil},
		{"voice", "v.ogg", "audio/ogg", "voice", "", nil},
		{"photo", "one.png", "image/jpeg", "photo", "first", nil},
		{"photo", "a.png", "image/jpeg", "photo", "", nil},
		{"photo", "a.png", "image/jpeg", "photo", "ho", nil},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestLibraryErrors(t *testing.T) {
	srv := telegramtest.NewServer(t)
	ada := srv.User(7, "Ada")
	group := srv.Group(5, "G", ada)
	next := group.Migrate(ada)
	b := client(t, srv)
	ctx := deadline(t)
	_, err := b.SendMessage(ctx, &bot.SendMessageParams{ChatID: group.ID(), Text: "x"})
	if migrate, ok := err.(*bot.MigrateError); !ok || int64(migrate.MigrateToChatID) != next.ID() { //nolint:errorlint // the library returns it bare
		t.Errorf("%T %v", err, err)
	}
	srv.Fail("sendMessage", telegramtest.TooManyRequests(5e9))
	_, err = b.SendMessage(ctx, &bot.SendMessageParams{ChatID: next.ID(), Text: "x"})
	if limited, ok := err.(*bot.TooManyRequestsError); !ok || limited.RetryAfter != 5 { //nolint:errorlint // the library returns it bare
		t.Errorf("%T %v", err, err)
	}
}

func TestFileLimits(t *testing.T) {
	srv := telegramtest.NewServer(t, telegramtest.WithUploadLimit(12<<20)) // 50 MB take their time
	ada := srv.User(7, "Ada")
	chat := srv.Private(ada)
	big := make([]byte, 20<<20+1)
	m := chat.Document(ada, "big.bin", "", big)
	doc := done[[]update](t, srv, "getUpdates", nil)[0].Message.Document
	if doc.Size != len(big) || m.ID == 0 {
		t.Fatalf("%+v", doc)
	}
	if got := refused(t, srv, "getFile", params{"file_id": doc.FileID}); got != "Bad Request: file is too big" {
		t.Error(got)
	}
	cases := []struct {
		name, method, field string
		content             string
		want                string
	}{
		{"photo that is none", "sendPhoto", "photo", "text", "Bad Request: IMAGE_PROCESS_FAILED"},
		{"thin photo", "sendPhoto", "photo", string(picture(t, 2100, 100)), "Bad Request: PHOTO_INVALID_DIMENSIONS"},
		{"large photo", "sendPhoto", "photo", string(big[:11<<20]), "Bad Request: file of size 11534336 bytes is too big for a photo; the maximum size is 10485760 bytes"},
		{"empty", "sendDocument", "document", "", "Bad Request: file must be non-empty"},
		{"too large", "sendDocument", "document", strings.Repeat("x", 12<<20+1), "Request Entity Too Large"},
		{"far too large", "sendDocument", "document", strings.Repeat("x", 14<<20), "Request Entity Too Large"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			contentType, body := form(t, map[string]string{"chat_id": "7"}, map[string]string{c.field: c.content})
			a := post(t, srv, c.method, contentType, body)
			if a.Description != c.want {
				t.Errorf("got %q", a.Description)
			}
		})
	}
	long := params{"chat_id": 7, "document": doc.FileID, "caption": strings.Repeat("x", 1025)}
	if got := refused(t, srv, "sendDocument", long); got != "Bad Request: message caption is too long" {
		t.Error(got)
	}
}

func TestAlbumIsAllOrNothing(t *testing.T) {
	srv := telegramtest.NewServer(t)
	ada := srv.User(7, "Ada")
	srv.Private(ada).Document(ada, "a.txt", "", []byte("x"))
	id := done[[]update](t, srv, "getUpdates", nil)[0].Message.Document.FileID
	item := func(kind, media string) params { return params{"type": kind, "media": media} }
	for want, media := range map[string][]params{
		"Bad Request: wrong file identifier/HTTP URL specified":       {item("document", id), item("document", "nonsense")},
		"Bad Request: document can't be mixed with other media types": {item("document", id), item("video", id)},
		"Bad Request: there are no messages to send":                  {},
		"Bad Request: can't parse InputMedia: media not found":        {item("document", "attach://missing")},
	} {
		if got := refused(t, srv, "sendMediaGroup", params{"chat_id": 7, "media": media}); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	if len(srv.Delivered()) != 0 {
		t.Error("a part of a broken album was sent")
	}
}

func TestFileFaults(t *testing.T) {
	srv := telegramtest.NewServer(t)
	ada := srv.User(7, "Ada")
	srv.Private(ada).Document(ada, "a.txt", "", []byte("content"))
	id := done[[]update](t, srv, "getUpdates", nil)[0].Message.Document.FileID
	path := done[struct {
		Path string `json:"file_path"`
	}](t, srv, "getFile", params{"file_id": id}).Path
	srv.Fail("file", telegramtest.ShortRead())
	resp, err := httpClient.Get(srv.URL() + "/file/bot" + srv.Token() + "/" + path)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if content, err := io.ReadAll(resp.Body); err == nil {
		t.Errorf("read %q without an error", content)
	}
}
