//! What comes in: over the socket, from the history after a gap, and from buttons.
use crate::api;
use crate::gw1::{self, emit, error, get, put, Error, Payload};
use crate::words::{emoji, inner, mentions, text, time, unaddressed};
use serde_json::{json, Value};

/// Where the channel is in the stream. It is kept beside the events that it follows.
struct Place {
    seq: i64,            // of the next event of this connection
    cursor: i64,         // when the newest post was made that was handed in
    behind: Vec<Value>,  // [room, since]: what is to be read of the histories
    list: bool,          // it is not known yet which those are
    fresh: bool,         // there was no place before
}

const PLACE: &str = "place";

/// Posts that were made this much earlier than the newest are looked at again: servers of
/// a cluster may tell of them later. Keys make that harmless.
const OVERLAP: i64 = 5000;

/// One call may hand in a hundred events and make sixteen requests, and up to 64 messages
/// come at once.
const MOST_POSTS: usize = 36;
const MOST_ROOMS: usize = 5;

impl Place {
    fn read() -> Place {
        let kept = get(PLACE).and_then(|b| serde_json::from_slice::<Value>(&b).ok());
        let v = kept.clone().unwrap_or_default();
        Place {
            seq: v["seq"].as_i64().unwrap_or(0),
            cursor: v["cursor"].as_i64().unwrap_or(0),
            behind: v["behind"].as_array().cloned().unwrap_or_default(),
            list: v["list"] == true,
            fresh: kept.is_none(),
        }
    }

    fn write(&self) {
        let v = json!({ "seq": self.seq, "cursor": self.cursor, "behind": self.behind, "list": self.list });
        put(PLACE, v.to_string().as_bytes());
    }

    fn is_behind(&self, room: &str) -> bool {
        self.list && !self.fresh || self.behind.iter().any(|b| b[0] == room)
    }
}

/// Mattermost waits for the client to say who it is.
pub fn open(_: &Payload) -> Result<Value, Error> {
    gw1::socket_send(json!({ "after": "commit", "credential": true }), &json!({ "seq": 1, "action": "authentication_challenge", "data": {} }))?;
    Ok(json!({}))
}

pub fn messages(call: &Payload) -> Result<Value, Error> {
    let mut place = Place::read();
    let mut rest = call.body.as_slice();
    for length in call.header["socket"]["messages"].as_array().into_iter().flatten() {
        let (one, more) = rest.split_at((length.as_u64().unwrap_or(0) as usize).min(rest.len()));
        rest = more;
        message(call, &mut place, &serde_json::from_slice(one).unwrap_or_default())?;
    }
    if place.list {
        whats_missing(call, &mut place)?;
    }
    catch_up(call, &mut place)?;
    if !place.behind.is_empty() {
        // What it answers is the occasion to go on.
        gw1::socket_send(json!({ "after": "commit" }), &json!({ "seq": 2, "action": "ping" }))?;
    }
    place.write();
    Ok(json!({}))
}

fn message(call: &Payload, place: &mut Place, m: &Value) -> Result<(), Error> {
    if m["status"] == "FAIL" {
        return match m["error"]["status_code"].as_u64() {
            Some(401) | None => Err(error("unauthorized", "the socket refuses the token")),
            Some(status) => Err(error("transient", format!("the socket answers {status}"))),
        };
    }
    let Some(event) = m["event"].as_str() else { return Ok(()) };
    let seq = m["seq"].as_i64().unwrap_or(0);
    if event == "hello" {
        (place.seq, place.list) = (seq + 1, true);
        return Ok(());
    }
    if seq != place.seq {
        place.list = true; // something was lost on the way
    }
    place.seq = seq + 1;
    let data = &m["data"];
    match event {
        "posted" => posted(call, place, data),
        "post_edited" => edited(call, &inner(&data["post"])),
        "post_deleted" => deleted(call, &inner(&data["post"])),
        "reaction_added" => reaction(call, &inner(&data["reaction"]), text(&m["broadcast"]["channel_id"]), true),
        "reaction_removed" => reaction(call, &inner(&data["reaction"]), text(&m["broadcast"]["channel_id"]), false),
        _ => Ok(()),
    }
}

fn posted(call: &Payload, place: &mut Place, data: &Value) -> Result<(), Error> {
    let post = inner(&data["post"]);
    let room = text(&post["channel_id"]);
    if let Some(kind) = data["channel_type"].as_str() {
        note_room(room, kind);
    }
    if place.is_behind(room) {
        return Ok(()); // it comes with the history, in its order
    }
    place.cursor = place.cursor.max(post["create_at"].as_i64().unwrap_or(0));
    let meant = inner(&data["mentions"]).as_array().is_some_and(|all| all.contains(&call.header["session"]["id"]));
    let handle = text(&data["sender_name"]).trim_start_matches('@').to_string();
    new_post(call, &post, &handle, meant)
}

/// The kind of a room is needed where an event does not say it.
fn note_room(room: &str, kind: &str) {
    let key = format!("room/{room}");
    if get(&key).as_deref() != Some(kind.as_bytes()) {
        put(&key, kind.as_bytes());
    }
}

fn is_direct(call: &Payload, room: &str) -> Result<bool, Error> {
    if let Some(kind) = get(&format!("room/{room}")) {
        return Ok(kind == b"D");
    }
    let found = api::get(call, &format!("/channels/{room}"))?;
    note_room(room, text(&found["type"]));
    Ok(found["type"] == "D")
}

/// Posts of the bot itself, and those that Mattermost writes, such as who joined.
fn passed_over(call: &Payload, post: &Value) -> bool {
    post["user_id"] == call.header["session"]["id"] || !text(&post["type"]).is_empty() || text(&post["id"]).is_empty()
}

fn event(call: &Payload, kind: &str, key: String, at: i64, post: &Value, who: Value, direct: bool, addressed: bool, content: Value) -> Result<(), Error> {
    let me = &call.header["session"]["id"];
    let thread = match text(&post["root_id"]) {
        "" if direct => "",
        "" => text(&post["id"]), // in a room an answer begins a thread
        root => root,
    };
    emit(json!({
        "v": 1, "type": kind, "key": key, "at": time(at), "account": me, "who": who,
        "room": { "direct": direct }, "addressed": direct || addressed, "content": content,
        "where": { "channel": call.header["channel"], "account": me, "conversation": post["channel_id"], "thread": thread },
    }))
}

fn sender(post: &Value, handle: &str) -> Value {
    let bot = text(&post["props"]["from_bot"]) == "true" || text(&post["props"]["from_webhook"]) == "true";
    json!({ "id": post["user_id"], "name": handle, "handle": handle, "bot": bot })
}

fn new_post(call: &Payload, post: &Value, handle: &str, meant: bool) -> Result<(), Error> {
    if passed_over(call, post) {
        return Ok(());
    }
    let name = text(&call.header["session"]["name"]);
    let said = text(&post["message"]);
    let direct = is_direct(call, text(&post["channel_id"]))?;
    let addressed = meant || mentions(said, name) || joined(text(&post["root_id"]));
    if addressed && !direct {
        let root = text(&post["root_id"]);
        join(if root.is_empty() { text(&post["id"]) } else { root });
    }
    let said = unaddressed(said, name);
    let (kind, content) = match said.strip_prefix('/').filter(|c| c.starts_with(|c: char| c.is_ascii_alphabetic())) {
        Some(command) => {
            let (name, args) = command.split_once(char::is_whitespace).unwrap_or((command, ""));
            ("command", json!({ "id": post["id"], "name": name.to_lowercase(), "args": args.trim() }))
        }
        None => ("message", json!({ "id": post["id"], "text": said, "files": files(post) })),
    };
    let key = format!("post/{}", text(&post["id"]));
    event(call, kind, key, post["create_at"].as_i64().unwrap_or(0), post, sender(post, handle), direct, addressed, content)
}

fn files(post: &Value) -> Vec<Value> {
    let known = post["metadata"]["files"].as_array().cloned().unwrap_or_default();
    let ids = post["file_ids"].as_array().cloned().unwrap_or_default();
    ids.iter().map(|id| {
        let f = known.iter().find(|f| f["id"] == *id).unwrap_or(&Value::Null);
        let mime = text(&f["mime_type"]);
        let kind = ["image/", "audio/", "video/"].iter().position(|k| mime.starts_with(k)).map_or("document", |i| ["photo", "audio", "video"][i]);
        json!({ "kind": kind, "ref": id, "name": text(&f["name"]), "mime": mime, "size": f["size"].as_i64().unwrap_or(0) })
    }).collect()
}

fn edited(call: &Payload, post: &Value) -> Result<(), Error> {
    let at = post["edit_at"].as_i64().unwrap_or(0);
    if passed_over(call, post) || at == 0 {
        return Ok(()); // a reaction, a pin or a preview changes posts, too
    }
    let direct = is_direct(call, text(&post["channel_id"]))?;
    let said = unaddressed(text(&post["message"]), text(&call.header["session"]["name"]));
    let content = json!({ "id": post["id"], "text": said, "files": files(post) });
    event(call, "edit", format!("edit/{}/{at}", text(&post["id"])), at, post, sender(post, ""), direct, false, content)
}

fn deleted(call: &Payload, post: &Value) -> Result<(), Error> {
    if passed_over(call, post) {
        return Ok(());
    }
    let direct = is_direct(call, text(&post["channel_id"]))?;
    let at = post["delete_at"].as_i64().filter(|at| *at > 0).or(post["update_at"].as_i64()).unwrap_or(0);
    event(call, "deletion", format!("deletion/{}", text(&post["id"])), at, post, sender(post, ""), direct, false, json!({ "ids": [post["id"]] }))
}

fn reaction(call: &Payload, r: &Value, room: &str, added: bool) -> Result<(), Error> {
    if r["user_id"] == call.header["session"]["id"] || room.is_empty() || text(&r["post_id"]).is_empty() {
        return Ok(());
    }
    let direct = is_direct(call, room)?;
    let (name, at) = (text(&r["emoji_name"]), r["create_at"].as_i64().unwrap_or(0));
    let list = json!([emoji(name)]);
    let content = if added { json!({ "id": r["post_id"], "added": list }) } else { json!({ "id": r["post_id"], "removed": list }) };
    let key = format!("reaction/{}/{}/{name}/{at}/{added}", text(&r["post_id"]), text(&r["user_id"]));
    let place = json!({ "channel_id": room, "id": "", "root_id": "" });
    event(call, "reaction", key, at, &place, json!({ "id": r["user_id"] }), direct, false, content)
}

/// Finds the rooms in which something was said that the channel has not seen.
fn whats_missing(call: &Payload, place: &mut Place) -> Result<(), Error> {
    let rooms = api::get(call, "/users/me/channels")?;
    let newest = |r: &Value| r["last_post_at"].as_i64().unwrap_or(0);
    let rooms = rooms.as_array().cloned().unwrap_or_default();
    place.list = false;
    if place.fresh {
        // What was said before the channel was made is not for it.
        place.cursor = rooms.iter().map(newest).max().unwrap_or(0).max(place.cursor);
        place.fresh = false;
        return Ok(());
    }
    let since = (place.cursor - OVERLAP).max(0);
    for r in rooms.iter().filter(|r| newest(r) > since) {
        let id = text(&r["id"]);
        note_room(id, text(&r["type"]));
        if !place.behind.iter().any(|b| b[0] == id) {
            place.behind.push(json!([id, since]));
        }
    }
    Ok(())
}

/// Reads histories, as many as fit into one call.
fn catch_up(call: &Payload, place: &mut Place) -> Result<(), Error> {
    let mut left = MOST_POSTS;
    for _ in 0..MOST_ROOMS {
        if place.behind.is_empty() || left == 0 {
            break;
        }
        let next = place.behind.remove(0);
        let (room, since) = (text(&next[0]).to_string(), next[1].as_i64().unwrap_or(0));
        let page = match api::get(call, &format!("/channels/{room}/posts?since={since}")) {
            Ok(page) => page,
            Err(e) if e.code == "gone" => continue, // the bot was removed from the room
            Err(e) => return Err(e),
        };
        let mut posts: Vec<Value> = page["posts"].as_object().into_iter().flatten().map(|(_, p)| p.clone()).collect();
        posts.retain(|p| !passed_over(call, p));
        posts.sort_by_key(|p| (changed(p, since), text(&p["id"]).to_string()));
        if posts.len() > left {
            posts.truncate(left);
            let upto = posts.last().map_or(since, |p| changed(p, since) - 1);
            place.behind.insert(0, json!([room, upto.max(since + 1)]));
        }
        left -= posts.len();
        let names = names(call, &posts)?;
        for p in &posts {
            from_history(call, place, p, since, text(&names[text(&p["user_id"])]))?;
        }
    }
    Ok(())
}

/// When a post became what the channel has not seen.
fn changed(post: &Value, since: i64) -> i64 {
    let at = |name: &str| post[name].as_i64().unwrap_or(0);
    if at("create_at") > since { at("create_at") } else { at("update_at") }
}

fn from_history(call: &Payload, place: &mut Place, post: &Value, since: i64, handle: &str) -> Result<(), Error> {
    let made = post["create_at"].as_i64().unwrap_or(0);
    place.cursor = place.cursor.max(made);
    if post["delete_at"].as_i64().unwrap_or(0) > 0 {
        return deleted(call, post);
    }
    if made > since {
        return new_post(call, post, handle, false);
    }
    edited(call, post)
}

/// The names of those who wrote, by their ids.
fn names(call: &Payload, posts: &[Value]) -> Result<Value, Error> {
    let mut ids: Vec<&str> = posts.iter().map(|p| text(&p["user_id"])).collect();
    ids.sort_unstable();
    ids.dedup();
    if ids.is_empty() {
        return Ok(json!({}));
    }
    let users = api::set(call, "POST", "/users/ids", &json!(ids))?;
    let mut all = json!({});
    for u in users.as_array().into_iter().flatten() {
        all[text(&u["id"])] = u["username"].clone();
    }
    Ok(all)
}

/// The threads in which the bot takes part lie in buckets, the newest last.
fn bucket(root: &str) -> String {
    format!("threads/{}", root.get(root.len().saturating_sub(2)..).unwrap_or_default())
}

fn joined(root: &str) -> bool {
    !root.is_empty() && get(&bucket(root)).is_some_and(|b| String::from_utf8_lossy(&b).split(' ').any(|r| r == root))
}

/// Notes that the bot takes part in a thread: what is said there is meant for it.
pub fn join(root: &str) {
    const MOST: usize = 32;
    if root.is_empty() || joined(root) {
        return;
    }
    let kept = get(&bucket(root)).map(|b| String::from_utf8_lossy(&b).into_owned()).unwrap_or_default();
    let mut all: Vec<&str> = kept.split(' ').filter(|r| !r.is_empty()).collect();
    all.push(root);
    put(&bucket(root), all[all.len().saturating_sub(MOST)..].join(" ").as_bytes());
}

/// A button was pressed. The host knows that Mattermost says so by a secret in the
/// context, which this guest never sees.
pub fn press(call: &Payload) -> Result<Payload, Error> {
    let p: Value = serde_json::from_slice(&call.body).unwrap_or_default();
    let (post, user, trigger) = (text(&p["post_id"]), text(&p["user_id"]), text(&p["trigger_id"]));
    if post.is_empty() || user.is_empty() || text(&p["channel_id"]).is_empty() {
        return Err(error("rejected", "it is no press of a button"));
    }
    let direct = text(&p["channel_name"]).contains("__"); // both people's ids, as direct channels are called
    let root = text(&p["context"]["thread"]);
    let at = json!({ "channel_id": p["channel_id"], "id": post, "root_id": root });
    let who = json!({ "id": user, "name": p["user_name"], "handle": p["user_name"] });
    let content = json!({ "id": post, "data": text(&p["context"]["data"]), "query": trigger });
    let key = format!("press/{}", if trigger.is_empty() { post } else { trigger });
    let me = &call.header["session"]["id"];
    emit(json!({
        "v": 1, "type": "press", "key": key, "at": Value::Null, "account": me, "who": who, "room": { "direct": direct },
        "addressed": true, "content": content,
        "where": { "channel": call.header["channel"], "account": me, "conversation": at["channel_id"], "thread": root },
    }))?;
    Ok(Payload { header: json!({ "status": 200 }), body: b"{}".to_vec() })
}
