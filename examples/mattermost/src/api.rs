//! Requests, and what their answers mean for what happens next.
use crate::gw1::{error, http, Error, Payload};
use crate::words::text;
use serde_json::{json, Value};

/// The address of a method. The host puts the token in.
pub fn url(call: &Payload, path: &str) -> String {
    format!("{}/api/v4{path}", text(&call.header["config"]["base_url"]).trim_end_matches('/'))
}

pub fn get(call: &Payload, path: &str) -> Result<Value, Error> {
    request(json!({ "url": url(call, path), "repeatable": true }), &[])
}

/// Doing it twice is not the same as once.
pub fn make(call: &Payload, method: &str, path: &str, body: &Value) -> Result<Value, Error> {
    request(json!({ "method": method, "url": url(call, path), "headers": { "content-type": "application/json" } }), body.to_string().as_bytes())
}

/// Doing it twice is the same as once.
pub fn set(call: &Payload, method: &str, path: &str, body: &Value) -> Result<Value, Error> {
    let headers = json!({ "content-type": "application/json" });
    request(json!({ "method": method, "url": url(call, path), "headers": headers, "repeatable": true }), body.to_string().as_bytes())
}

pub fn request(request: Value, body: &[u8]) -> Result<Value, Error> {
    let answer = http(request, body)?;
    check(&answer.header, &answer.body)
}

/// Mattermost answers an error with `{id, message, status_code}`. Only the id is repeated:
/// the message may hold what was sent.
pub fn check(response: &Value, body: &[u8]) -> Result<Value, Error> {
    let status = response["status"].as_u64().unwrap_or(0);
    let answer: Value = serde_json::from_slice(body).unwrap_or_default();
    if status / 100 == 2 && (body.is_empty() || !answer.is_null()) {
        return Ok(if answer.is_null() { response.clone() } else { answer });
    }
    let id: String = text(&answer["id"]).chars().filter(|c| c.is_ascii_alphanumeric() || "._".contains(*c)).take(80).collect();
    let code = match status {
        401 => "unauthorized",
        403 | 404 => "gone",
        400 | 413 | 422 => "rejected",
        429 => "rate_limited",
        501 => "rejected",
        503 => "transient",
        _ => "ambiguous",
    };
    let mut e = error(code, format!("status {status} {id}"));
    if status == 429 {
        e.retry_after_ms = 1000 * wait(&response["headers"]);
    }
    Err(e)
}

/// How many seconds Mattermost wants to be left alone.
fn wait(headers: &Value) -> u64 {
    let seconds = |name: &str| text(&headers[name]).parse::<u64>().ok();
    seconds("retry-after").or(seconds("x-ratelimit-reset")).unwrap_or(1).clamp(1, 600)
}
