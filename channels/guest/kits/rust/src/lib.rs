//! A channel for a small chat platform: it polls for messages and sends answers.
mod gw1;

use gw1::{emit, error, get, http, put, Error, Payload};
use serde_json::{json, Value};

#[no_mangle]
pub extern "C" fn gw1_init() {
    gw1::init();
}

#[no_mangle]
pub extern "C" fn gw1_handle(op: u32, n: u32) -> i32 {
    gw1::handle(n, |call| match op {
        gw1::START => Ok(header(json!({ "as": "@echo" }))),
        gw1::POLL => poll(call),
        gw1::SEND | gw1::EDIT => send(call),
        _ => Err(error("rejected", "this channel does not offer the operation")),
    })
}

fn header(header: Value) -> Payload {
    Payload { header, body: vec![] }
}

/// A request of the platform: {token} stands for the secret, which the host puts in.
fn request(call: &Payload, method: &str) -> Value {
    let base = call.header["config"]["base_url"].as_str().unwrap_or_default();
    json!({ "method": "POST", "url": format!("{base}/bot{{token}}/{method}"), "headers": { "content-type": "application/json" } })
}

/// What a status means for what happens next.
fn check(response: &Value, body: &[u8]) -> Result<Value, Error> {
    let answer: Value = serde_json::from_slice(body).unwrap_or_default();
    let code = match response["status"].as_u64().unwrap_or(0) {
        200 if answer.is_object() => return Ok(answer),
        400 => "format",
        401 => "unauthorized",
        410 => "gone",
        413 | 422 => "rejected",
        429 => "rate_limited",
        503 => "transient",
        _ => "ambiguous",
    };
    let wait = answer["wait"].as_u64().unwrap_or(0) * 1000;
    Err(Error { retry_after_ms: wait, ..error(code, format!("status {}", response["status"])) })
}

/// The host makes the long poll and calls again with the response.
fn poll(call: Payload) -> Result<Payload, Error> {
    let ask = &call.header["poll"];
    if ask["response"].is_null() {
        let offset = get("offset").and_then(|v| String::from_utf8(v).ok()).and_then(|v| v.parse().ok()).unwrap_or(0u64);
        let wait = if ask["quick"] == true { 0 } else { 20 };
        let body = serde_json::to_vec(&json!({ "offset": offset, "wait": wait })).unwrap_or_default();
        return Ok(Payload { header: json!({ "request": request(&call, "poll") }), body });
    }
    let answer = check(&ask["response"], &call.body)?;
    for update in answer["updates"].as_array().into_iter().flatten() {
        if update["kind"] == "message" {
            emit(event(&call, update))?;
        }
        put("offset", (update["id"].as_u64().unwrap_or(0) + 1).to_string().as_bytes());
    }
    Ok(header(json!({})))
}

fn event(call: &Payload, u: &Value) -> Value {
    let text = u["text"].as_str().unwrap_or_default();
    let (kind, content) = match text.strip_prefix('/') {
        Some(command) => {
            let (name, args) = command.split_once(' ').unwrap_or((command, ""));
            ("command", json!({ "id": u["message"], "name": name.to_lowercase(), "args": args }))
        }
        None => ("message", json!({ "id": u["message"], "text": text })),
    };
    json!({
        "v": 1, "type": kind, "key": format!("message/{}", u["message"].as_str().unwrap_or_default()),
        "at": u["at"], "account": "echo", "who": u["from"], "room": { "direct": u["direct"] == true },
        "where": { "channel": call.header["channel"], "account": "echo", "conversation": u["chat"] },
        "addressed": u["direct"] == true || u["mention"] == true, "content": content,
    })
}

fn send(call: Payload) -> Result<Payload, Error> {
    let part = &call.header["part"];
    let method = if part["replaces"].is_string() { "edit" } else { "send" };
    let body = json!({
        "key": part["key"], "chat": part["to"]["conversation"], "text": part["text"],
        "plain": part["plain"] == true, "message": part["replaces"].as_str().unwrap_or_default(),
    });
    let response = http(request(&call, method), &serde_json::to_vec(&body).unwrap_or_default())?;
    let answer = check(&response.header, &response.body)?;
    Ok(header(json!({ "receipt": { "id": answer["message"] } })))
}
