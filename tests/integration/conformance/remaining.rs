//! `tests/conformance/remaining.json`: what of the suite does not pass, each line with its reason.
//!
//! A line names the case it is for (`client`, `upstream`; any where it names none), the scenario, the checks where it is not
//! the whole scenario, and the reason.

use serde_json::Value;

use super::suite::Run;
use crate::support::provisioned;

/// A check that did not pass.
#[derive(Debug)]
pub struct Lost {
    run: String,
    target: String,
    scenario: String,
    check: String,
    told: String,
}

#[derive(Debug)]
pub struct Remaining(Vec<Value>);

impl Lost {
    pub fn new(run: &Run, scenario: &str, check: &str, told: &str) -> Self {
        let (scenario, check, told) = (scenario.to_owned(), check.to_owned(), told.to_owned());
        Self { run: run.name(), target: run.target.clone(), scenario, check, told }
    }

    fn is_of(&self, line: &Value) -> bool {
        line["scenario"] == self.scenario.as_str() && line.get("over").is_none_or(|over| over == &self.target)
    }

    fn is_named_in(&self, line: &Value) -> bool {
        let checks = line.get("checks").and_then(Value::as_array);
        self.is_of(line) && checks.is_none_or(|checks| checks.iter().any(|check| check == &self.check))
    }
}

impl Remaining {
    /// The lines of one part of the file.
    pub fn read(part: &str) -> Self {
        let path = provisioned::root().join("tests/conformance/remaining.json");
        let all: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        let lines = all[part].as_array().unwrap_or_else(|| panic!("remaining.json has no {part}")).clone();
        for line in &lines {
            assert!(line["reason"].as_str().is_some_and(|reason| reason.len() > 20), "no reason: {line}");
        }
        Self(lines)
    }

    /// Holds what was lost in a case to the lines for it: both ways.
    pub fn settle(&self, case: &[(&str, &str)], lost: &[Lost]) {
        let applies =
            |line: &&Value| case.iter().all(|(key, value)| line.get(key).is_none_or(|given| given == value));
        let lines: Vec<_> = self.0.iter().filter(applies).collect();
        let mut faults = Vec::new();
        for each in lost.iter().filter(|each| !lines.iter().any(|line| each.is_named_in(line))) {
            faults.push(format!("{}: {} {}: {}", each.run, each.scenario, each.check, each.told));
        }
        for line in lines {
            let idle = |check: &Value| !lost.iter().any(|each| each.is_of(line) && check == &each.check);
            match line.get("checks").and_then(Value::as_array) {
                Some(checks) => {
                    let idle: Vec<_> = checks.iter().filter(|check| idle(check)).collect();
                    if !idle.is_empty() {
                        faults.push(format!("no longer needed: {idle:?} of {line}"));
                    }
                }
                None if !lost.iter().any(|each| each.is_of(line)) => {
                    faults.push(format!("no longer needed: {line}"));
                }
                None => {}
            }
        }
        assert!(
            faults.is_empty(),
            "tests/conformance/remaining.json and {case:?} differ:\n{}",
            faults.join("\n")
        );
    }
}
