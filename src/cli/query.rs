//! Queries: finds the gateway or starts servers, asks, and ends what was started.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::Notify;

use super::arguments::{PlanOptions, ToolsQuery};
use super::call::{self, CallQuery};
use super::command_error::CommandError;
use super::gateway_client::GatewayClient;
use super::lock::{self, LockTask};
use super::output::Output;

use super::target::{InProcess, QueryTarget};

use super::{check, openapi, plan, tools};
use crate::config;
use crate::shutdown::{Shutdown, Signals};
use crate::telemetry::{LogOutput, Telemetry};

/// A query and the gateway that it goes to.
#[derive(Debug)]
pub struct QueryCommand {
    pub target: QueryTarget,
    pub query: Query,
}

/// A question to a gateway.
#[derive(Debug)]
pub enum Query {
    Tools(ToolsQuery),
    Call(CallQuery),
    OpenApi { server: Option<String> },
    Plan(PlanOptions),
    Lock(LockTask),
}

impl QueryCommand {
    /// Asks, prints and ends what was started; gives the exit code.
    ///
    /// # Errors
    ///
    /// When the gateway cannot be asked, or answers with a failure.
    pub fn run(self, output: Output) -> Result<u8, CommandError> {
        // The words are read first: nothing is started for a slip.
        let arguments = match &self.query {
            Query::Call(call) => call::arguments(&call.words)?,
            _ => Bytes::new(),
        };
        // Large answers are worked on apart from other tasks, which takes more than one thread.
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let runtime = runtime
            .map_err(|error| CommandError::Failed(format!("the runtime cannot be started: {error}")))?;
        let run = QueryRun { is_command: self.target.is_command(), query: self.query, arguments, output };
        match self.target {
            QueryTarget::Gateway(address) => {
                let mut client = GatewayClient::remote(&address)?;
                runtime.block_on(run.send(&mut client))
            }
            QueryTarget::InProcess(in_process) => runtime.block_on(run.in_process(in_process)),
        }
    }
}

/// A query with what belongs to it.
struct QueryRun {
    query: Query,
    /// Of a call, as JSON text.
    arguments: Bytes,
    is_command: bool,
    output: Output,
}

impl QueryRun {
    async fn send(&self, client: &mut GatewayClient) -> Result<u8, CommandError> {
        let Self { query, arguments, is_command, output } = self;
        match query {
            Query::Tools(query) => tools::run(client, query, *is_command, *output).await,
            Query::Call(call) => call::run(client, call, arguments.clone(), *output).await,
            Query::OpenApi { server } => openapi::run(client, server.as_deref(), *is_command, *output).await,
            Query::Plan(options) => plan::run(client, *options, *output).await,
            Query::Lock(task) => lock::run(client, task, *output).await,
        }
    }

    /// Asks servers that live as long as the query takes.
    async fn in_process(mut self, in_process: InProcess) -> Result<u8, CommandError> {
        let loaded = config::load(&in_process.sources)?;
        if let Query::Lock(task) = &mut self.query {
            task.file = task.file.take().or_else(|| loaded.config.lock_file.clone());
        }
        if !in_process.quiet {
            check::print(&loaded.warnings, &mut std::io::stderr())?;
        }
        let _log = Telemetry::start("mcpo", &in_process.level, LogOutput::Text)
            .map_err(|error| CommandError::Failed(format!("the log cannot be started: {error}")))?;
        let shutdown = Shutdown::new();
        // Servers are process groups of their own, which a terminal's Ctrl-C does not reach.
        let signals = Signals::catch()
            .map_err(|error| CommandError::Failed(format!("signals cannot be caught: {error}")))?;
        let catching = tokio::spawn(signals.forward(shutdown.clone(), Arc::new(Notify::new())));
        let mut client = GatewayClient::in_process(in_process, loaded, self.wanted()).await?;
        let asking = async {
            client.settled().await;
            self.send(&mut client).await
        };
        let outcome = tokio::select! {
            outcome = asking => outcome,
            () = shutdown.requested() => Err(CommandError::Interrupted),
        };
        client.close(&shutdown).await;
        catching.abort();
        outcome
    }

    /// The one server that is needed; `None` for all.
    fn wanted(&self) -> Option<&str> {
        match &self.query {
            Query::Tools(query) => query.server.as_deref(),
            Query::Call(call) => call.server.as_deref(),
            Query::OpenApi { server } => server.as_deref(),
            Query::Lock(task) => task.server.as_deref(),
            Query::Plan(_) => None,
        }
    }
}
