//! A response of one message as a stream of one event, for clients that accept event streams only.

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use http::{HeaderMap, HeaderValue, StatusCode, header};

use crate::json::one_line;
use crate::protocol::media_type::{EVENT_STREAM, JSON, essence};

/// `answer` as a stream of one event, if it is one message.
pub fn of(answer: Response) -> Response {
    let is_message = answer.status() == StatusCode::OK
        && answer.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind == JSON);
    if !is_message {
        return answer;
    }
    let (mut head, body) = answer.into_parts();
    head.headers.remove(header::CONTENT_LENGTH);
    head.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(EVENT_STREAM));
    head.headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    let around =
        |text: &'static str| stream::iter([Ok::<_, axum::Error>(Bytes::from_static(text.as_bytes()))]);
    let message = body.into_data_stream().map(|piece| piece.map(one_line));
    let event = around("event: message\ndata: ").chain(message).chain(around("\n\n"));
    Response::from_parts(head, Body::from_stream(event))
}

/// Whether the client accepts event streams only.
pub fn is_wanted(headers: &HeaderMap) -> bool {
    let accepted =
        headers.get_all(header::ACCEPT).iter().flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    let mut kinds = accepted.map(essence).filter(|kind| !kind.is_empty()).peekable();
    kinds.peek().is_some() && kinds.all(|kind| kind.eq_ignore_ascii_case(EVENT_STREAM.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::json_answer;

    async fn answered(accept: &[&'static str], status: u16, text: &'static str) -> (String, String) {
        let headers = accept.iter().map(|value| (header::ACCEPT, HeaderValue::from_static(value))).collect();
        let answer = json_answer(StatusCode::from_u16(status).unwrap(), Bytes::from_static(text.as_bytes()));
        let answer = if is_wanted(&headers) { of(answer) } else { answer };
        let kind = answer.headers()[header::CONTENT_TYPE].to_str().unwrap().to_owned();
        let body = axum::body::to_bytes(answer.into_body(), 1 << 20).await.unwrap();
        (kind, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn who_takes_events_alone_gets_one_and_everybody_else_the_message() {
        let event = "event: message\ndata: {\"a\": [  ]}\n\n";
        for accept in [&["text/event-stream"][..], &["Text/Event-Stream;q=1"], &["text/event-stream,", ""]] {
            let found = answered(accept, 200, "{\"a\": [\r\n]}").await;
            assert_eq!(found, ("text/event-stream".to_owned(), event.to_owned()), "{accept:?}");
        }
        for accept in [
            &[][..],
            &[""],
            &["*/*"],
            &["application/json"],
            &["text/event-stream, application/json"],
            &["text/event-stream", "application/json"],
            &["text/html"],
        ] {
            assert_eq!(answered(accept, 200, "{}").await, (JSON.to_owned(), "{}".to_owned()), "{accept:?}");
        }
        let refusal = answered(&["text/event-stream"], 404, "{}").await;
        assert_eq!(refusal, (JSON.to_owned(), "{}".to_owned()));
    }
}
