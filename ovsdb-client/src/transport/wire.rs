//! Messages of JSON-RPC 1.0, and the same in 2.0.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value as Json, json};

use super::TransportError;

/// A message of the server's.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Incoming<'a> {
    /// To be answered with the same.
    Echo { id: &'a str, params: &'a str },
    /// The answer to an echo of the transport's own.
    Alive,
    /// The answer to a request, in JSON-RPC 2.0.
    Reply(String),
    /// `update`, `update2`, `update3`: of the monitor of this name (as JSON), all its parameters.
    Update { monitor: String, params: &'a str },
    /// `monitor_canceled`
    Canceled { monitor: String },
    /// Something that this client did not ask for.
    Other { method: String },
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    method: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    params: Option<&'a RawValue>,
    #[serde(borrow, default)]
    result: Option<&'a RawValue>,
    #[serde(borrow, default)]
    error: Option<&'a RawValue>,
}

/// The first of a notification's parameters.
#[derive(Deserialize)]
struct First(
    Json,
    #[serde(default)] serde::de::IgnoredAny,
    #[serde(default)] serde::de::IgnoredAny,
);

/// The id of the transport's own echoes. jsonrpsee's ids are numbers.
const OWN_ECHO: &str = "\"echo\"";

/// Reads a message.
pub(crate) fn read(bytes: &[u8]) -> Result<Incoming<'_>, TransportError> {
    let error = |what: &dyn std::fmt::Display| {
        TransportError::Message(format!("{what}: {:.200}", String::from_utf8_lossy(bytes)))
    };
    let envelope: Envelope<'_> = serde_json::from_slice(bytes).map_err(|e| error(&e))?;
    let params = envelope.params.map_or("[]", RawValue::get);
    let monitor = || {
        let First(monitor, ..) = serde_json::from_str(params).map_err(|e| error(&e))?;
        Ok::<_, TransportError>(monitor.to_string())
    };
    match (envelope.method.as_deref(), envelope.id) {
        (Some("echo"), Some(id)) => Ok(Incoming::Echo {
            id: id.get(),
            params,
        }),
        (Some("update" | "update2" | "update3"), _) => Ok(Incoming::Update {
            monitor: monitor()?,
            params,
        }),
        (Some("monitor_canceled"), _) => Ok(Incoming::Canceled {
            monitor: monitor()?,
        }),
        (Some(method), _) => Ok(Incoming::Other {
            method: method.to_owned(),
        }),
        (None, Some(id)) if id.get() == OWN_ECHO => Ok(Incoming::Alive),
        (None, Some(id)) => Ok(Incoming::Reply(reply(
            id.get(),
            envelope.result,
            envelope.error,
        ))),
        (None, None) => Err(error(&"neither a method nor an id")),
    }
}

fn reply(id: &str, result: Option<&RawValue>, error: Option<&RawValue>) -> String {
    match error {
        None => {
            let result = result.map_or("null", RawValue::get);
            format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#)
        }
        Some(error) => {
            let error = error.get();
            format!(
                r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":{REFUSED},"message":"refused","data":{error}}}}}"#
            )
        }
    }
}

/// The code of errors: JSON-RPC 1.0 has none. The server's words are the error's data.
pub(crate) const REFUSED: i32 = -32000;

/// A request of jsonrpsee's in the form of 1.0, whose members are all there and no others.
pub(crate) fn request(message: &str) -> Result<String, TransportError> {
    let error = |e: &dyn std::fmt::Display| TransportError::Message(format!("request: {e}"));
    let envelope: Envelope<'_> = serde_json::from_str(message).map_err(|e| error(&e))?;
    let method = envelope.method.ok_or_else(|| error(&"no method"))?;
    let id = envelope.id.map_or("null", RawValue::get);
    let params = envelope.params.map_or("[]", RawValue::get);
    Ok(format!(
        r#"{{"method":{},"params":{params},"id":{id}}}"#,
        json!(method)
    ))
}

/// The answer to an echo.
pub(crate) fn echo_reply(id: &str, params: &str) -> String {
    format!(r#"{{"id":{id},"result":{params},"error":null}}"#)
}

/// An echo of the transport's own.
pub(crate) fn own_echo() -> String {
    format!(r#"{{"method":"echo","params":[],"id":{OWN_ECHO}}}"#)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_lose_what_only_2_0_has() {
        let request = request(
            r#"{"jsonrpc":"2.0","id":3,"method":"transact","params":["D",{"op":"abort"}]}"#,
        );
        assert_eq!(
            request.expect("a request"),
            r#"{"method":"transact","params":["D",{"op":"abort"}],"id":3}"#
        );
    }

    #[test]
    fn messages_are_told_apart() {
        let read = |text: &'static str| read(text.as_bytes()).expect("a message");
        assert_eq!(
            read(r#"{"id":"echo","method":"echo","params":[]}"#),
            Incoming::Echo {
                id: "\"echo\"",
                params: "[]"
            }
        );
        assert_eq!(
            read(r#"{"id":"echo","result":[],"error":null}"#),
            Incoming::Alive
        );
        assert_eq!(
            read(r#"{"id":4,"result":null,"error":null}"#),
            Incoming::Reply(r#"{"jsonrpc":"2.0","id":4,"result":null}"#.into())
        );
        assert_eq!(
            read(r#"{"id":4,"result":null,"error":"canceled"}"#),
            Incoming::Reply(
                r#"{"jsonrpc":"2.0","id":4,"error":{"code":-32000,"message":"refused","data":"canceled"}}"#.into()
            )
        );
        assert_eq!(
            read(r#"{"id":null,"method":"update3","params":["m","t",{}]}"#),
            Incoming::Update {
                monitor: "\"m\"".into(),
                params: r#"["m","t",{}]"#
            }
        );
        assert_eq!(
            read(r#"{"id":null,"method":"monitor_canceled","params":["m"]}"#),
            Incoming::Canceled {
                monitor: "\"m\"".into()
            }
        );
        assert_eq!(
            read(r#"{"id":null,"method":"stolen","params":["l"]}"#),
            Incoming::Other {
                method: "stolen".into()
            }
        );
    }

    #[test]
    fn what_is_no_message_is_told() {
        for text in [
            "{}",
            r#"{"id":null}"#,
            r#"{"method":"update","params":[]}"#,
            "{",
            r#"{"method":1}"#,
        ] {
            assert!(read(text.as_bytes()).is_err(), "{text}");
        }
    }

    #[test]
    fn fuzz_messages() -> Result<(), String> {
        let seeds: [&[u8]; 4] = [
            br#"{"id":null,"method":"update3","params":["m","550e8400-e29b-41d4-a716-446655440000",{"T":{"550e8400-e29b-41d4-a716-446655440000":{"modify":{"c":["map",[["a","b"]]]}}}}]}"#,
            br#"{"id":7,"result":[{"uuid":["uuid","550e8400-e29b-41d4-a716-446655440000"]},{"count":1},{"rows":[{"a":["set",[1,2.5]]}]},null,{"error":"timed out","details":"x"}],"error":null}"#,
            br#"{"id":"echo","method":"echo","params":[]}"#,
            br#"{"id":null,"method":"update","params":["m",{"T":{"550e8400-e29b-41d4-a716-446655440000":{"old":{},"new":{"c":true}}}}]}"#,
        ];
        let words = [
            "method", "update2", "initial", "insert", "delete", "error", "set", "map", "uuid",
            "null",
        ];
        sluice_fuzz::feed("ovsdb-messages", &seeds, &words, |input| {
            sluice_fuzz::trait_of(match read(input) {
                Err(_) => (0, false, false),
                Ok(Incoming::Echo { .. }) => (1, false, false),
                Ok(Incoming::Alive) => (2, false, false),
                Ok(Incoming::Reply(reply)) => {
                    let reply: Result<Json, _> = serde_json::from_str(&reply);
                    let reply = reply.expect("replies are JSON");
                    let answers = reply.get("result").and_then(Json::as_array).cloned();
                    let operations =
                        vec![crate::Operation::Abort; answers.as_ref().map_or(0, Vec::len)];
                    let outcome =
                        crate::outcome::read(&operations, answers.as_deref().unwrap_or(&[]));
                    (3, outcome.is_ok(), answers.is_some())
                }
                Ok(Incoming::Update { params, .. }) => {
                    let update = crate::monitor::read_update(params);
                    (4, update.is_ok(), params.len() > 100)
                }
                Ok(Incoming::Canceled { .. }) => (5, false, false),
                Ok(Incoming::Other { .. }) => (6, false, false),
            })
        })
    }
}
