//! Carries out the commands that ask: finds the gateway or starts servers, asks, and ends what was started.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::Notify;

use super::call::{self, Call};
use super::door::{self, Door};
use super::lock::{self, LockTask};
use super::output::Output;
use super::plan::{self, Telling};
use super::reach::{Here, Reach};
use super::tools::{self, Show};
use super::trouble::Trouble;
use super::{check, openapi};
use crate::shutdown::{Shutdown, Signals};
use crate::telemetry::{Form, Telemetry};

/// A question and where to ask it.
#[derive(Debug)]
pub struct Errand {
    pub reach: Reach,
    pub question: Question,
}

/// What is asked.
#[derive(Debug)]
pub enum Question {
    Tools(Show),
    Call(Call),
    OpenApi { server: Option<String> },
    Plan(Telling),
    Lock(LockTask),
}

impl Errand {
    /// Asks, prints and ends what was started; gives the exit code.
    ///
    /// # Errors
    ///
    /// What kept it from that.
    pub fn run(self, output: Output) -> Result<u8, Trouble> {
        // What is typed is read first: nothing is started for a slip.
        let arguments = match &self.question {
            Question::Call(call) => call::arguments(&call.words)?,
            _ => Bytes::new(),
        };
        // Large answers are worked on apart from other tasks, which takes more than one thread.
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let runtime =
            runtime.map_err(|error| Trouble::Failed(format!("the runtime cannot be started: {error}")))?;
        let asked = Asked { is_command: self.reach.is_command(), question: self.question, arguments, output };
        match self.reach {
            Reach::Gateway(address) => {
                let mut door = Door::remote(&address)?;
                runtime.block_on(asked.put(&mut door))
            }
            Reach::Here(here) => runtime.block_on(asked.put_here(here)),
        }
    }
}

/// A question with what belongs to it.
struct Asked {
    question: Question,
    /// Of a call, as JSON text.
    arguments: Bytes,
    is_command: bool,
    output: Output,
}

impl Asked {
    async fn put(&self, door: &mut Door) -> Result<u8, Trouble> {
        let Self { question, arguments, is_command, output } = self;
        match question {
            Question::Tools(show) => tools::run(door, show, *output).await,
            Question::Call(call) => call::run(door, call, arguments.clone(), *output).await,
            Question::OpenApi { server } => openapi::run(door, server.as_deref(), *is_command, *output).await,
            Question::Plan(telling) => plan::run(door, *telling, *output).await,
            Question::Lock(task) => lock::run(door, task, *output).await,
        }
    }

    /// Puts the question to servers that live as long as it takes.
    async fn put_here(mut self, here: Here) -> Result<u8, Trouble> {
        let loaded = door::load(&here)?;
        if let Question::Lock(task) = &mut self.question {
            task.file = task.file.take().or_else(|| loaded.config.lock_file.clone());
        }
        if !here.quiet {
            check::print(&loaded.warnings, &mut std::io::stderr())?;
        }
        let _log = Telemetry::start("mcpo", &here.level, Form::Text)
            .map_err(|error| Trouble::Failed(format!("the log cannot be started: {error}")))?;
        let shutdown = Shutdown::new();
        // Servers are process groups of their own, which a terminal's Ctrl-C does not reach.
        let signals = Signals::catch()
            .map_err(|error| Trouble::Failed(format!("signals cannot be caught: {error}")))?;
        let catching = tokio::spawn(signals.forward(shutdown.clone(), Arc::new(Notify::new())));
        let mut door = Door::here(here, loaded, self.wanted()).await?;
        let asking = async {
            door.settled().await;
            self.put(&mut door).await
        };
        let outcome = tokio::select! {
            outcome = asking => outcome,
            () = shutdown.requested() => Err(Trouble::Interrupted),
        };
        door.close(&shutdown).await;
        catching.abort();
        outcome
    }

    /// The one server that is needed; `None` for all.
    fn wanted(&self) -> Option<&str> {
        match &self.question {
            Question::Tools(show) => show.server.as_deref(),
            Question::Call(call) => call.server.as_deref(),
            Question::OpenApi { server } => server.as_deref(),
            Question::Lock(task) => task.server.as_deref(),
            Question::Plan(_) => None,
        }
    }
}
