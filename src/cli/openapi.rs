//! `mcpo openapi`: a document as it is served.

use http::StatusCode;

use super::door::{Answer, Ask, Door};
use super::output::Output;
use super::states::{self, States};
use super::trouble::Trouble;
use super::{door::Mount, exit};

/// Prints the document of `server`, or of all; gives the exit code, which is no success when the only server that
/// it describes is not ready.
///
/// # Errors
///
/// When there is no such document.
pub async fn run(
    door: &mut Door,
    server: Option<&str>,
    is_command: bool,
    output: Output,
) -> Result<u8, Trouble> {
    let mut answer = ask(door, server).await?;
    if server.is_some() && answer.is_nothing_there() && door.look_around(server).await? {
        answer = ask(door, server).await?;
    }
    if answer.is_nothing_there() {
        return Err(states::not_there(door, server, None).await);
    }
    if answer.status != StatusCode::OK {
        return Err(door.failure(&answer));
    }
    door.expect_json(&answer)?;
    output.json(&answer.body)?;
    // Documents may be open where states are not; then there is nothing to say.
    let Ok(states) = States::ask(door).await else { return Ok(exit::SUCCESS) };
    let is_one = server.is_some() || is_command;
    Ok(states.complain(server, is_one))
}

async fn ask(door: &Door, server: Option<&str>) -> Result<Answer, Trouble> {
    let path = match (door.mount(), server) {
        (Mount::Servers(_), Some(server)) => door.mount().path(Some(server), "openapi.json"),
        _ => door.own_path("openapi.json"),
    };
    door.ask(Ask::get(path)).await
}
