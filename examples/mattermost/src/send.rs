//! What goes out.
use crate::api;
use crate::gw1::{error, http, Error, Payload};
use crate::receive::join;
use crate::words::{emoji_name, text, time};
use serde_json::{json, Value};

/// Posts a part, or changes a post that was sent before.
pub fn send(call: &Payload) -> Result<Value, Error> {
    let part = &call.header["part"];
    // The key lets reconcile find the post; the host puts a secret of the channel's own
    // into each button's context.
    let props = json!({ "gatehouse_key": part["key"], "attachments": attachments(call, part) });
    if let Some(id) = part["replaces"].as_str().filter(|id| !id.is_empty()) {
        let post = api::set(call, "PUT", &format!("/posts/{id}/patch"), &json!({ "message": part["text"], "props": props }))?;
        return receipt(&post, "update_at");
    }
    let room = text(&part["to"]["conversation"]);
    let files = upload(call, part, room)?;
    let root = text(&part["to"]["thread"]);
    let body = json!({ "channel_id": room, "message": text(&part["text"]), "root_id": root, "file_ids": files, "props": props });
    let post = api::make(call, "POST", "/posts", &body)?;
    join(root);
    receipt(&post, "create_at")
}

fn receipt(post: &Value, at: &str) -> Result<Value, Error> {
    let id = text(&post["id"]);
    if id.is_empty() {
        return Err(error("ambiguous", "the answer has no post"));
    }
    Ok(json!({ "receipt": { "id": id, "at": time(post[at].as_i64().unwrap_or(0)) } }))
}

/// Buttons stand in an attachment. Mattermost calls the channel's webhook for each press.
fn attachments(call: &Payload, part: &Value) -> Value {
    let buttons = part["buttons"].as_array().cloned().unwrap_or_default();
    let public = text(&call.header["public"]).trim_end_matches('/');
    if buttons.is_empty() || public.is_empty() {
        return json!([]);
    }
    let actions: Vec<Value> = buttons.iter().enumerate().map(|(i, b)| {
        let context = json!({ "data": text(&b["data"]), "thread": text(&part["to"]["thread"]) });
        let style = match text(&b["style"]) { "danger" => "danger", "primary" => "primary", _ => "default" };
        json!({ "id": format!("b{i}"), "type": "button", "name": b["label"], "style": style, "integration": { "url": format!("{public}/action"), "context": context } })
    }).collect();
    json!([{ "fallback": "buttons", "actions": actions }])
}

/// Uploads a part's files, which the host streams. A file that is in no post is removed
/// by Mattermost, so that doing it twice does no harm.
fn upload(call: &Payload, part: &Value, room: &str) -> Result<Vec<Value>, Error> {
    part["files"].as_array().into_iter().flatten().map(|f| {
        let name = Some(text(&f["name"])).filter(|n| !n.is_empty()).unwrap_or("file");
        let form = json!([{ "name": "channel_id", "value": room }, { "name": "files", "file": f["handle"], "as": name, "mime": text(&f["mime"]) }]);
        let answer = api::request(json!({ "method": "POST", "url": api::url(call, "/files"), "form": form, "repeatable": true, "timeout_ms": 55_000 }), &[])?;
        match &answer["file_infos"][0]["id"] {
            Value::String(id) => Ok(json!(id)),
            _ => Err(error("transient", "the answer names no file")),
        }
    }).collect()
}

pub fn delete(call: &Payload) -> Result<Value, Error> {
    api::set(call, "DELETE", &format!("/posts/{}", text(&call.header["id"])), &json!({}))?;
    Ok(json!({}))
}

/// Sets the bot's reaction; without an emoji it takes away what is there.
pub fn react(call: &Payload) -> Result<Value, Error> {
    let (post, me) = (text(&call.header["id"]), text(&call.header["session"]["id"]));
    let wanted = text(&call.header["emoji"]);
    let name = emoji_name(wanted);
    if name.is_none() && !wanted.is_empty() {
        return Err(error("rejected", "this emoji has no name here"));
    }
    let all = api::get(call, &format!("/posts/{post}/reactions"))?;
    for r in all.as_array().into_iter().flatten() {
        if r["user_id"] == me && r["emoji_name"].as_str() != name {
            api::set(call, "DELETE", &format!("/users/{me}/posts/{post}/reactions/{}", text(&r["emoji_name"])), &json!({}))?;
        }
    }
    if let Some(name) = name {
        api::set(call, "POST", "/reactions", &json!({ "user_id": me, "post_id": post, "emoji_name": name }))?;
    }
    Ok(json!({}))
}

pub fn typing(call: &Payload) -> Result<Value, Error> {
    let at = &call.header["at"];
    api::set(call, "POST", "/users/me/typing", &json!({ "channel_id": at["conversation"], "parent_id": text(&at["thread"]) }))?;
    Ok(json!({}))
}

/// Looks among the newest posts for the one that carries a part's key.
pub fn reconcile(call: &Payload) -> Result<Value, Error> {
    let part = &call.header["part"];
    let page = api::get(call, &format!("/channels/{}/posts?per_page=100", text(&part["to"]["conversation"])))?;
    for (_, post) in page["posts"].as_object().into_iter().flatten() {
        if post["user_id"] == call.header["session"]["id"] && post["props"]["gatehouse_key"] == part["key"] && !part["key"].is_null() {
            return receipt(post, "create_at");
        }
    }
    Ok(json!({}))
}

/// The host saves the content, past this guest.
pub fn fetch(call: &Payload) -> Result<Value, Error> {
    let id = text(&call.header["file"]["ref"]);
    if id.is_empty() || !id.chars().all(|c| c.is_ascii_alphanumeric()) {
        return Err(error("rejected", "it is no file of Mattermost"));
    }
    let request = json!({ "url": api::url(call, &format!("/files/{id}")), "save": true, "repeatable": true, "timeout_ms": 55_000 });
    let answer = http(request, &[])?;
    match answer.header["file"].as_str() {
        Some(handle) => Ok(json!({ "file": handle })),
        None => api::check(&answer.header, &answer.body).map(|_| json!({})).and(Err(error("gone", "there is no such file"))),
    }
}
