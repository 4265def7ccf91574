//! How the work on a request ends.

use std::pin::Pin;

use bytes::Bytes;

use super::fault::Fault;

/// The end of a request.
#[derive(Debug)]
pub enum Finished {
    Result(Bytes),
    Fault(Fault),
    /// A client that cancels a request expects no answer.
    Cancelled,
}

impl From<Result<Bytes, Fault>> for Finished {
    fn from(outcome: Result<Bytes, Fault>) -> Self {
        match outcome {
            Ok(result) => Self::Result(result),
            Err(fault) => Self::Fault(fault),
        }
    }
}

/// The work on a request. Dropping it cancels the request at its server.
pub type Work = Pin<Box<dyn Future<Output = Finished> + Send>>;
