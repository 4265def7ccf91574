//! `?profile=NAME`: a client that can be given nothing but an address chooses by it what it is shown.

use http::StatusCode;
use url::form_urlencoded;

use super::Mcp;
use crate::catalog::Caller;
use crate::http::Problem;
use crate::json::clip;

/// The parameter of the query.
const PARAMETER: &str = "profile";

impl Mcp {
    /// `caller` in the profile that the query of its request names; `None` when it names none. That is less than the key
    /// opens, never more. The first one counts.
    ///
    /// # Errors
    ///
    /// 404 for a profile that there is not: a client that gets everything in its place would not notice.
    pub(super) fn in_profile(&self, caller: &Caller, query: Option<&str>) -> Result<Option<Caller>, Problem> {
        let mut parameters = form_urlencoded::parse(query.unwrap_or_default().as_bytes());
        let Some((_, name)) = parameters.find(|(name, _)| name == PARAMETER) else { return Ok(None) };
        self.keys.in_profile(caller, &name).map(Some).map_err(|_| {
            let shown = clip(&name, 64);
            let sentence =
                format!("there is no profile `{shown}`; the configuration names them under `profiles`");
            Problem::new(StatusCode::NOT_FOUND, "no_such_profile", sentence)
        })
    }
}
