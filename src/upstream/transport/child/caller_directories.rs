//! The command of an isolated server for one caller, and the directories that are that caller's own.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt as _;

use crate::config::StdioConfig;
use crate::file;
use crate::upstream::error::CloseReason;

/// The command for `caller`. The directories that its texts name for this caller alone are there then, with mode 0700.
pub async fn command_for(config: &StdioConfig, caller: &str) -> Result<StdioConfig, CloseReason> {
    let directories = config.directories_of(caller);
    let failed = |why: String| CloseReason::Spawn { command: config.command.clone(), error: why };
    if !directories.is_empty() {
        let made = file::apart(move || {
            let mut builder = DirBuilder::new();
            builder.recursive(true).mode(0o700);
            directories.iter().try_for_each(|directory| {
                let shown = directory.display();
                let refused =
                    |error| format!("the directory `{shown}` of its caller cannot be made: {error}");
                builder.create(directory).map_err(refused)
            })
        });
        made.await.map_err(|error| failed(error.to_string()))?.map_err(failed)?;
    }
    Ok(config.for_caller(caller))
}
