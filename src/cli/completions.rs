//! `mcpo completions`: what a shell needs to complete these commands.

use clap::CommandFactory as _;
use clap_complete::Shell;

use super::arguments::CommandLine;

/// The script for `shell`.
pub fn script(shell: Shell) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut CommandLine::command(), "mcpo", &mut script);
    String::from_utf8_lossy(&script).into_owned()
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum as _;

    use super::*;

    #[test]
    fn every_shell_gets_a_script_with_every_command() {
        for shell in Shell::value_variants() {
            let script = script(*shell);
            for command in ["tools", "call", "openapi", "plan", "check", "schema", "completions"] {
                assert!(script.contains(command), "{shell}: {command}");
            }
        }
    }
}
