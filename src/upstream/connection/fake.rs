//! A connection for tests, which records messages and answers no request.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use serde_json::Value;

use crate::upstream::connection::{CloseSignal, Connection, OutgoingMessage};
use crate::upstream::era_cache::EraCache;
use crate::upstream::error::RequestError;
use crate::upstream::message::Reply;
use crate::upstream::progress::Progress;
use crate::upstream::request::Request;

/// The messages sent over the connection so far.
#[derive(Debug, Default)]
pub struct RecordingConnection {
    messages: Mutex<Vec<Bytes>>,
    /// The requests that were sent: method and name.
    requests: Mutex<Vec<(String, String)>>,
    end: CloseSignal,
    era: EraCache,
}

impl RecordingConnection {
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    pub fn requests(&self) -> Vec<(String, String)> {
        self.requests.lock().unwrap().clone()
    }

    pub fn messages(&self) -> Vec<Value> {
        let messages = self.messages.lock().unwrap();
        messages.iter().map(|message| serde_json::from_slice(message).unwrap()).collect()
    }
}

impl Connection for RecordingConnection {
    fn send(&self, outgoing: OutgoingMessage) -> BoxFuture<'static, Result<(), RequestError>> {
        self.respond(outgoing.message);
        Box::pin(async { Ok(()) })
    }

    fn respond(&self, message: Bytes) {
        self.messages.lock().unwrap().push(message);
    }

    fn request<'a>(
        &'a self,
        request: Request<'a>,
        _: Option<Arc<Progress>>,
    ) -> BoxFuture<'a, Result<Reply, RequestError>> {
        let name = request.name().unwrap_or_default().to_owned();
        self.requests.lock().unwrap().push((request.method().to_owned(), name));
        Box::pin(std::future::pending())
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }

    fn end(&self) -> &CloseSignal {
        &self.end
    }

    fn era(&self) -> &EraCache {
        &self.era
    }
}
