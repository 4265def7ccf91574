//! What a face knows of one call besides the tool and its arguments.

use crate::catalog::Caller;
use crate::upstream::CallerHeaders;

/// Who calls, and what goes along with the call. Made by a face once per request.
#[derive(Debug, Clone)]
pub struct CallContext {
    pub caller: Caller,
    /// Headers of the caller that may go along. Each server that is called for this request, the inner one of
    /// `call_tool` too, gets what its own entry lets through, and nothing else.
    pub forwarded: CallerHeaders,
}

impl CallContext {
    pub fn new(caller: Caller) -> Self {
        Self { caller, forwarded: CallerHeaders::default() }
    }
}
