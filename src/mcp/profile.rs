//! `?profile=NAME`: limits what a client sees, for clients that can be given only an address.

use http::StatusCode;
use url::form_urlencoded;

use crate::catalog::Caller;
use crate::http::{Keys, Problem};
use crate::json::clip;

/// The parameter of the query.
const PARAMETER: &str = "profile";

/// `caller` in the profile that the query of its request names; `None` when it names none.
///
/// A profile is less than the key opens, never more. The first parameter counts.
///
/// # Errors
///
/// 404 for an unknown profile: a client that got everything instead would not notice.
pub fn in_profile(keys: &Keys, caller: &Caller, query: Option<&str>) -> Result<Option<Caller>, Problem> {
    let mut parameters = form_urlencoded::parse(query.unwrap_or_default().as_bytes());
    let Some((_, name)) = parameters.find(|(name, _)| name == PARAMETER) else { return Ok(None) };
    keys.in_profile(caller, &name).map(Some).map_err(|_| {
        let shown = clip(&name, 64);
        let sentence =
            format!("there is no profile `{shown}`; the configuration names them under `profiles`");
        Problem::new(StatusCode::NOT_FOUND, "no_such_profile", sentence)
    })
}
