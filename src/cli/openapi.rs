//! `mcpo openapi`: a document as it is served.

use http::StatusCode;

use super::command_error::CommandError;
use super::exit;
use super::gateway_client::{GatewayClient, ToolRoot};
use super::output::Output;
use super::request::{GatewayRequest, GatewayResponse};
use super::server_list::{ServerList, look_around, not_there};

/// Prints the document of `server`, or of all; gives the exit code. That is a failure when the only server that it
/// describes is not ready.
///
/// # Errors
///
/// When there is no such document.
pub async fn run(
    client: &mut GatewayClient,
    server: Option<&str>,
    is_command: bool,
    output: Output,
) -> Result<u8, CommandError> {
    let mut answer = ask(client, server).await?;
    if server.is_some() && answer.is_nothing_there() && look_around(client, server).await? {
        answer = ask(client, server).await?;
    }
    if answer.is_nothing_there() {
        return Err(not_there(client, server, None).await);
    }
    if answer.status != StatusCode::OK {
        return Err(client.failure(&answer));
    }
    client.expect_json(&answer)?;
    output.json(&answer.body)?;
    // Documents may be open where states are not; then there is nothing to say.
    let Ok(servers) = ServerList::ask(client).await else { return Ok(exit::SUCCESS) };
    let is_one = server.is_some() || is_command;
    Ok(servers.complain(server, is_one))
}

async fn ask(client: &GatewayClient, server: Option<&str>) -> Result<GatewayResponse, CommandError> {
    let path = match (&client.root, server) {
        (ToolRoot::Servers(_), Some(server)) => client.root.path(Some(server), "openapi.json"),
        _ => client.own_path("openapi.json"),
    };
    client.send(GatewayRequest::get(path)).await
}
