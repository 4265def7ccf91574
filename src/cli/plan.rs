//! `mcpo plan`: the changes that a reload would make, of a running gateway or between two files.

use serde_json::{Value, json};

use super::arguments::PlanOptions;
use super::command_error::CommandError;
use super::gateway_client::GatewayClient;
use super::output::{Output, shown};
use super::{exit, messages};
use crate::config::{self, Plan, Sources};

/// Compares the configurations of two sets of files; gives the exit code.
///
/// # Errors
///
/// When one of them has errors.
pub fn compare(
    old: &Sources,
    new: &Sources,
    options: PlanOptions,
    output: Output,
) -> Result<u8, CommandError> {
    let plan = match (config::load(old), config::load(new)) {
        (Ok(old), Ok(new)) => Plan::between(&old.config, &new.config, &[]),
        (old, new) => {
            let problems = [old.err(), new.err()].into_iter().flatten().flatten();
            return Err(problems.collect::<Vec<_>>().into());
        }
    };
    show(&plan.to_string(), &json!(plan), !plan.is_empty(), options, output)
}

/// Asks the running gateway; gives the exit code.
///
/// # Errors
///
/// When it does not answer, or its files have errors.
pub async fn run(client: &GatewayClient, options: PlanOptions, output: Output) -> Result<u8, CommandError> {
    let answer = client.json("servers/plan").await?;
    if let Some(problems) = answer["problems"].as_array() {
        let texts: Vec<String> = problems.iter().filter_map(Value::as_str).map(shown).collect();
        return Err(CommandError::Configuration(texts.join("\n")));
    }
    let (Some(text), Some(plan)) = (answer["text"].as_str(), answer.get("plan")) else {
        return Err(CommandError::Failed(messages::no_gateway(&client.name())));
    };
    let is_empty = |list: &str| plan[list].as_array().is_none_or(Vec::is_empty);
    show(&shown(text), plan, !(is_empty("servers") && is_empty("settings")), options, output)
}

fn show(
    text: &str,
    plan: &Value,
    has_changes: bool,
    options: PlanOptions,
    output: Output,
) -> Result<u8, CommandError> {
    match options.json {
        true => output.json(plan.to_string().as_bytes())?,
        false => output.text(text)?,
    }
    Ok(if options.exit_code && has_changes { exit::CHANGES } else { exit::SUCCESS })
}
