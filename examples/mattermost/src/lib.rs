//! A channel for Mattermost: its events come over the WebSocket that the host holds,
//! everything else goes over its REST API, version 4.
mod api;
mod gw1;
mod receive;
mod send;
mod words;

use gw1::{error, Error, Payload};
use serde_json::{json, Value};

#[no_mangle]
pub extern "C" fn gw1_init() {
    gw1::init();
}

#[no_mangle]
pub extern "C" fn gw1_handle(op: u32, n: u32) -> i32 {
    gw1::handle(n, |call| {
        let answer = match op {
            gw1::START => start(&call),
            gw1::SOCKET_OPEN => receive::open(&call),
            gw1::SOCKET_MESSAGE => receive::messages(&call),
            gw1::SOCKET_CLOSED => Ok(json!({})),
            gw1::HTTP_REQUEST => return receive::press(&call),
            gw1::SEND | gw1::EDIT => send::send(&call),
            gw1::DELETE => send::delete(&call),
            gw1::REACT => send::react(&call),
            gw1::TYPING => send::typing(&call),
            gw1::RECONCILE => send::reconcile(&call),
            gw1::FETCH => send::fetch(&call),
            gw1::PROBE => probe(&call),
            _ => Err(error("rejected", "this channel does not offer the operation")),
        };
        Ok(Payload { header: answer?, body: vec![] })
    })
}

/// Who the bot is stands in every later call.
fn start(call: &Payload) -> Result<Value, Error> {
    let me = api::get(call, "/users/me")?;
    let name = words::text(&me["username"]);
    Ok(json!({ "as": format!("@{name}"), "session": { "id": me["id"], "name": name }, "webhook": true }))
}

fn probe(call: &Payload) -> Result<Value, Error> {
    let me = api::get(call, "/users/me")?;
    let mut notes = vec![];
    if me["is_bot"] != true {
        notes.push("The token is a person's; make a bot account under Integrations, so that others see whom they talk to.");
    }
    if words::text(&call.header["public"]).is_empty() {
        notes.push("There is no public_url, so that Mattermost cannot tell when somebody presses a button; questions are asked as text.");
    }
    Ok(json!({ "identity": { "account": me["id"], "name": me["username"], "handle": me["username"], "notes": notes } }))
}
