//! What a face knows of one call besides the tool and its arguments.

use crate::catalog::Caller;

/// Who calls, and what goes along with the call. Made by a face once per request.
#[derive(Debug, Clone)]
pub struct CallContext {
    pub caller: Caller,
}

impl CallContext {
    pub fn new(caller: Caller) -> Self {
        Self { caller }
    }
}
