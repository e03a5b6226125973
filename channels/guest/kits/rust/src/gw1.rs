//! What a guest of Gatehouse says to its host: the interface gw1.
#![allow(dead_code)]
use serde_json::{json, Value};

#[path = "heap.rs"]
mod heap;

#[link(wasm_import_module = "gw")]
extern "C" {
    fn input(ptr: *mut u8, cap: usize) -> usize;
    fn result(ptr: *mut u8, cap: usize) -> usize;
    fn output(ptr: *const u8, len: usize);
    fn call(op: u32, ptr: *const u8, len: usize) -> i64;
}

/// The operations that the host asks for, as `op` of [`handle`].
pub const START: u32 = 1; pub const HTTP_REQUEST: u32 = 2; pub const POLL: u32 = 3; pub const SEND: u32 = 4;
pub const EDIT: u32 = 5; pub const REACT: u32 = 6; pub const TYPING: u32 = 7; pub const SHUTDOWN: u32 = 8;
pub const DELETE: u32 = 9; pub const FETCH: u32 = 10; pub const RECONCILE: u32 = 11; pub const PROBE: u32 = 12;
pub const COMMANDS: u32 = 13; pub const ANSWER: u32 = 14; pub const START_LINK: u32 = 15; pub const TOOL_EXECUTE: u32 = 32;
pub const SOCKET_OPEN: u32 = 48; pub const SOCKET_MESSAGE: u32 = 49; pub const SOCKET_CLOSED: u32 = 50; pub const TIMER: u32 = 51;

/// A header in JSON with a body.
#[derive(Default)]
pub struct Payload {
    pub header: Value,
    pub body: Vec<u8>,
}

/// Why an operation failed. The code says what happens next: "transient",
/// "rate_limited", "ambiguous", "rejected", "format", "unauthorized", "gone" or "other".
pub struct Error {
    pub code: &'static str,
    pub message: String,
    pub retry_after_ms: u64,
}

pub fn error(code: &'static str, message: impl Into<String>) -> Error {
    Error { code, message: message.into(), retry_after_ms: 0 }
}

fn frame(header: &Value, body: &[u8]) -> Vec<u8> {
    let mut all = Vec::with_capacity(512 + body.len());
    all.extend([0; 4]);
    let _ = serde_json::to_writer(&mut all, header); // into memory: it never fails
    let length = all.len() as u32 - 4;
    all[..4].copy_from_slice(&length.to_le_bytes());
    all.extend_from_slice(body);
    all
}

fn unframe(mut bytes: Vec<u8>) -> Payload {
    let Some(length) = bytes.first_chunk::<4>() else { return Payload::default() };
    let body = bytes.split_off(4 + u32::from_le_bytes(*length) as usize);
    Payload { header: serde_json::from_slice(&bytes[4..]).unwrap_or_default(), body }
}

/// Asks the host for something; the error is its refusal, such as -1 for "not granted".
pub fn ask(op: u32, header: &Value, body: &[u8]) -> Result<Payload, i64> {
    let request = frame(header, body);
    let n = unsafe { call(op, request.as_ptr(), request.len()) };
    if n < 0 {
        return Err(n);
    }
    let mut answer = vec![0; n as usize];
    unsafe { result(answer.as_mut_ptr(), answer.len()) };
    Ok(unframe(answer))
}

/// Makes a request. A refusal becomes the error that tells what happened.
pub fn http(request: Value, body: &[u8]) -> Result<Payload, Error> {
    ask(1, &request, body).map_err(|refusal| match refusal {
        -5 => error("transient", "nothing could be sent"),
        -4 => error("ambiguous", "no answer came"),
        -8 => error("unauthorized", "the credential cannot be used"),
        _ => error("rejected", format!("the host refused the request: {refusal}")),
    })
}

/// What the host keeps for this channel. It is stored when the operation succeeds.
pub fn put(key: &str, value: &[u8]) {
    let _ = ask(3, &json!({ "key": key }), value);
}

pub fn get(key: &str) -> Option<Vec<u8>> {
    ask(2, &json!({ "key": key }), &[]).ok().map(|p| p.body)
}

/// Sends a message over the connection that the host holds. `how` is `{"after": "commit"}`, or
/// `{"credential": true}` for the host to put the secret in, or both.
pub fn socket_send(how: Value, message: &Value) -> Result<(), Error> {
    ask(11, &how, message.to_string().as_bytes()).map(|_| ()).map_err(|n| error("transient", format!("the socket takes nothing: {n}")))
}

/// Hands in an event. It counts when the operation succeeds, together with every put.
pub fn emit(event: Value) -> Result<(), Error> {
    ask(4, &event, &[]).map(|_| ()).map_err(|n| error("other", format!("an event was refused: {n}")))
}

/// Where the platform can fetch a file that goes out, if the manifest has `links`; `None`: it cannot.
/// The handle stands in the part's files.
pub fn file_link(handle: &Value) -> Option<String> {
    ask(16, &json!({ "handle": handle }), &[]).ok()?.header["url"].as_str().map(String::from)
}

/// Writes a line into the gateway's log.
pub fn log(text: &str) {
    let _ = ask(5, &json!({ "level": "INFO" }), text.as_bytes());
}

/// Call it from `gw1_init`: a panic then says where it was, and every call finds a heap.
pub fn init() {
    drop(Box::new(0u8));
    std::panic::set_hook(Box::new(|p| log(&p.to_string())));
}

/// Runs one operation; the result is what `gw1_handle` returns.
pub fn handle(n: u32, f: impl FnOnce(Payload) -> Result<Payload, Error>) -> i32 {
    let mut bytes = vec![0; n as usize];
    unsafe { input(bytes.as_mut_ptr(), bytes.len()) };
    let (code, answer) = match f(unframe(bytes)) {
        Ok(p) => (0, frame(&p.header, &p.body)),
        Err(e) => (1, frame(&json!({ "code": e.code, "message": e.message, "retry_after_ms": e.retry_after_ms }), &[])),
    };
    unsafe { output(answer.as_ptr(), answer.len()) };
    code
}
