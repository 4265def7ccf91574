//! How a child is started so that it ends with the gateway, even when the gateway is killed.
//!
//! The kernel signals a process when its parent dies, once the process has asked for it (prctl(2), `PR_SET_PDEATHSIG`).
//! A server does not ask by itself, so the child is first this program again ([`StartChild`]): it asks, and then becomes the
//! server. The kernel takes the end of the *thread* that started the child for the end of the parent, so one thread
//! starts all children and lives as long as the process.
//!
//! The child also asks to be the first that the kernel kills when memory runs out, so that its parent can report it.
//!
//! Not reached are processes that the child starts itself (their input ends, which most heed), and programs that gain
//! privileges when they are started, for which the kernel forgets the request.

use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{LazyLock, mpsc};
use std::{io, thread};

use rustix::process::{Pid, Signal};
use tokio::process::{Child, Command};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

/// This program, also when its file was replaced since it started.
const OWN_PROGRAM: &str = "/proc/self/exe";
/// The command of this program that becomes a server.
pub const COMMAND: &str = "start-child";
/// How likely the kernel kills a process when memory runs out: from -1000 to 1000, in thousandths of the memory.
const KILL_SCORE: &str = "/proc/self/oom_score_adj";
/// The score that a child adds to its parent's.
const KILLED_BEFORE_PARENT: i32 = 500;
/// The exit status of a child that could not become its server, as that of a shell.
const NOT_STARTED: u8 = 127;
/// The start of its last stderr line then.
const NOT_STARTED_BECAUSE: &str = "mcpo start-child: ";

/// Whether this process is the program `mcpo`, which knows [`COMMAND`].
static IS_OWN_PROGRAM: AtomicBool = AtomicBool::new(false);

static STARTER: LazyLock<io::Result<mpsc::Sender<StartJob>>> = LazyLock::new(|| {
    let (sender, jobs) = mpsc::channel::<StartJob>();
    thread::Builder::new()
        .name("mcpo-children".into())
        .spawn(move || jobs.into_iter().for_each(|job| job()))?;
    Ok(sender)
});

type StartJob = Box<dyn FnOnce() + Send>;

/// A child of the gateway that is about to become its server.
#[derive(Debug)]
pub struct StartChild {
    /// The gateway's process id.
    pub parent: i32,
    pub directory: Option<PathBuf>,
    /// The program and its arguments.
    pub command: Vec<OsString>,
}

/// Children start through this program from now on. For `main`: no other program knows the command.
pub fn through_own_program() {
    IS_OWN_PROGRAM.store(true, Ordering::Relaxed);
}

/// The command that starts `program` in `directory`.
pub fn command(program: &str, arguments: &[String], directory: Option<&Path>) -> Command {
    if !IS_OWN_PROGRAM.load(Ordering::Relaxed) {
        let mut command = Command::new(program);
        command.args(arguments);
        if let Some(directory) = directory {
            command.current_dir(directory);
        }
        return command;
    }
    let mut command = Command::new(OWN_PROGRAM);
    command.arg(COMMAND).arg("--parent").arg(std::process::id().to_string());
    if let Some(directory) = directory {
        command.arg("--directory").arg(directory);
    }
    command.arg("--").arg(program).args(arguments);
    command
}

/// Starts `command` on the thread that lives as long as this process.
pub async fn start(mut command: Command) -> io::Result<Child> {
    let starter = STARTER.as_ref().map_err(|error| io::Error::new(error.kind(), error.to_string()))?;
    let (give, given) = oneshot::channel();
    let runtime = Handle::current();
    let job = move || {
        let _runtime = runtime.enter();
        // Where the caller has left, the child is dropped, and with it killed.
        let _caller_left = give.send(command.spawn());
    };
    starter.send(Box::new(job)).expect("the thread takes jobs for ever");
    given.await.expect("each job gives its result")
}

/// Why a child did not become its server, by its exit `status` and last `stderr`.
pub fn failure(status: Option<i32>, stderr: &[String]) -> Option<&str> {
    let is_it = status == Some(i32::from(NOT_STARTED));
    stderr.last().filter(|_| is_it)?.strip_prefix(NOT_STARTED_BECAUSE)
}

impl StartChild {
    /// Becomes the server. Comes back only when that fails, with the exit status for it.
    pub fn run(self) -> u8 {
        // The gateway reads it as the child's last line.
        eprintln!("{NOT_STARTED_BECAUSE}{}", self.become_server());
        NOT_STARTED
    }

    fn become_server(self) -> String {
        if let Err(error) = rustix::process::set_parent_process_death_signal(Some(Signal::KILL)) {
            return format!("the end of the gateway cannot be watched: {error}");
        }
        // It may have ended before it was watched.
        if rustix::process::getppid()
            .map(Pid::as_raw_nonzero)
            .is_none_or(|parent| parent.get() != self.parent)
        {
            return "the gateway has ended".to_owned();
        }
        if let Err(error) = be_killed_first() {
            eprintln!(
                "mcpo cannot make this server the first to be killed when memory runs out: {KILL_SCORE}: {error}"
            );
        }
        let Some((program, arguments)) = self.command.split_first() else {
            return "no command was given".to_owned();
        };
        if let Some(directory) = self.directory
            && let Err(error) = rustix::process::chdir(&directory)
        {
            return explain_directory(&directory, error.into());
        }
        let error = std::process::Command::new(program).args(arguments).exec();
        explain(&program.to_string_lossy(), &error)
    }
}

fn be_killed_first() -> io::Result<()> {
    let own: i32 = std::fs::read_to_string(KILL_SCORE)?.trim().parse().map_err(io::Error::other)?;
    std::fs::write(KILL_SCORE, (own + KILLED_BEFORE_PARENT).min(1000).to_string())
}

/// Why a program did not start.
pub fn explain(program: &str, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound if program.trim().contains(char::is_whitespace) => {
            "no program has this name with its spaces; a command line's other words belong into `args`".into()
        }
        io::ErrorKind::NotFound => "no such program; give its path, or install it".into(),
        _ => error.to_string(),
    }
}

/// Why a program did not start in `directory`.
pub fn explain_directory(directory: &Path, error: io::Error) -> String {
    let shown = directory.display();
    match error.kind() {
        io::ErrorKind::NotFound => format!("its `cwd`, the directory `{shown}`, does not exist"),
        _ => format!("its `cwd`, the directory `{shown}`, cannot be entered: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_status_and_the_last_line_together_tell_of_a_child_that_did_not_start() {
        let said = |last: &str| vec!["a line before".to_owned(), last.to_owned()];
        assert_eq!(failure(Some(127), &said("mcpo start-child: no such program")), Some("no such program"));
        assert_eq!(failure(Some(1), &said("mcpo start-child: no such program")), None);
        assert_eq!(failure(Some(127), &said("sh: x: not found")), None);
        assert_eq!(failure(Some(127), &[]), None);
    }

    #[test]
    fn a_child_whose_gateway_has_ended_does_not_become_its_server() {
        let child = StartChild { parent: 1 << 30, directory: None, command: vec!["true".into()] };
        assert_eq!(child.become_server(), "the gateway has ended");
    }
}
