//! The gateway's own settings in layers, later wins: files, environment, command line.
//!
//! figment merges the layers and remembers which one a value came from; each value is taken out on its
//! own, so that every wrong one is reported, with its line, flag or variable.

use std::collections::HashMap;

use figment::error::Kind;
use figment::value::{Dict, Map, Value};
use figment::{Figment, Metadata, Profile, Provider};
use serde::de::DeserializeOwned;

use super::fields::Fields;
use super::json_tree::{JsonNode, JsonValue};
use super::key::{ConfigKey, ValueShape};
use super::location::Location;
use super::nearest::nearest;
use super::problem::Problems;
use super::sources::Sources;

/// Where the commands for operators look for a gateway: no setting of the gateway, and no misspelt one.
const OF_COMMANDS: &str = "MCPO_URL";

/// All layers, merged.
#[derive(Debug)]
pub(super) struct Layers {
    figment: Figment,
    /// By key, and by the layer that gave it.
    locations: HashMap<&'static str, HashMap<String, Location>>,
}

/// One layer on its way into figment.
struct Layer {
    name: String,
    settings: Dict,
}

impl Provider for Layer {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.name.clone())
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        Ok(Profile::Default.collect(self.settings.clone()))
    }
}

impl Layers {
    /// Merges the settings `keys` of `documents`, of the environment and of the flags.
    pub fn new(
        keys: &[ConfigKey],
        documents: &[Fields<'_>],
        sources: &Sources,
        problems: &mut Problems,
    ) -> Self {
        let mut layers = Self { figment: Figment::new(), locations: HashMap::new() };
        for (index, document) in documents.iter().enumerate() {
            layers.merge(&format!("file {index}"), from_document(keys, document, problems));
        }
        layers.merge("environment", from_environment(keys, &sources.environment, problems));
        let flags = sources.overrides.0.iter();
        let flags = flags.map(|entry| (entry.key, entry.value.clone(), Location::outside_files(entry.flag)));
        layers.merge("command line", flags.collect());
        layers
    }

    /// The value of `key`, `None` when no layer has it or when it is not `expected`, which is reported.
    pub fn get<T: DeserializeOwned>(&self, key: &str, expected: &str, problems: &mut Problems) -> Option<T> {
        if !self.figment.contains(key) {
            return None;
        }
        match self.figment.extract_inner(key) {
            Ok(value) => Some(value),
            Err(error) => {
                for error in error {
                    let location = self.location(key);
                    let (found, quoted) = match &error.kind {
                        Kind::InvalidType(actual, _) => {
                            (format!(", but it is {}", kind_of(actual)), kind_of(actual) == "a string")
                        }
                        _ => (String::new(), false),
                    };
                    let hint =
                        if quoted && location.file.is_some() { ", without quotes around it" } else { "" };
                    let message = format!("this must be {expected}{found}");
                    problems.error(&location, message, format!("write {expected}{hint}"));
                }
                None
            }
        }
    }

    /// Where the value of `key` that counts was given.
    pub fn location(&self, key: &str) -> Location {
        let layer = self.figment.find_metadata(key).map(|metadata| &*metadata.name);
        let given = self.locations.get(key).zip(layer).and_then(|(layers, layer)| layers.get(layer));
        given.cloned().unwrap_or_default()
    }

    fn merge(&mut self, layer: &str, values: Vec<(&'static str, Value, Location)>) {
        let mut settings = Dict::new();
        for (key, value, location) in values {
            insert(&mut settings, key, value);
            self.locations.entry(key).or_default().insert(layer.to_owned(), location);
        }
        let figment = std::mem::take(&mut self.figment);
        self.figment = figment.merge(Layer { name: layer.to_owned(), settings });
    }
}

fn insert(settings: &mut Dict, key: &str, value: Value) {
    let Some((group, rest)) = key.split_once('.') else {
        settings.insert(key.to_owned(), value);
        return;
    };
    let entry = settings.entry(group.to_owned()).or_insert_with(|| Value::from(Dict::new()));
    if let Value::Dict(_, inner) = entry {
        insert(inner, rest, value);
    }
}

/// The settings of one file, whose top-level keys were looked at already.
fn from_document(
    keys: &[ConfigKey],
    root: &Fields<'_>,
    problems: &mut Problems,
) -> Vec<(&'static str, Value, Location)> {
    let mut groups: Vec<(&str, Option<Fields<'_>>)> = Vec::new();
    let mut values = Vec::new();
    for key in keys {
        let found = match key.parts() {
            (None, name) => root.get(name),
            (Some(group), name) => {
                if groups.last().is_none_or(|(known, _)| *known != group) {
                    groups.push((group, self::group(keys, group, root, problems)));
                }
                groups.last().and_then(|(_, fields)| fields.as_ref()?.get(name))
            }
        };
        let Some((node, location)) = found else { continue };
        let value = match (&node.value, key.shape) {
            // An empty one means none, and is no name of the directory itself.
            (JsonValue::Text(text), ValueShape::Path) if !text.is_empty() => {
                Value::from(root.location.directory().join(text).to_string_lossy().into_owned())
            }
            _ => to_value(node),
        };
        values.push((key.name, value, location));
    }
    values
}

/// The object of a group of settings, with its unknown keys reported.
fn group<'a>(
    keys: &[ConfigKey],
    group: &str,
    root: &Fields<'a>,
    problems: &mut Problems,
) -> Option<Fields<'a>> {
    let (node, location) = root.get(group)?;
    let fields = Fields::new(node, location, problems)?;
    let own = keys.iter().map(ConfigKey::parts).filter(|(known, _)| *known == Some(group));
    let known: Vec<&str> = own.map(|(_, name)| name).collect();
    fields.report_unknown(&format!("`{group}`"), &known, &[], problems);
    Some(fields)
}

fn to_value(node: &JsonNode) -> Value {
    match &node.value {
        JsonValue::Null => Value::from(""),
        JsonValue::Boolean(value) => Value::from(*value),
        JsonValue::Number(text) => number(text).unwrap_or_else(|| Value::from(text.as_str())),
        JsonValue::Text(text) => Value::from(text.as_str()),
        JsonValue::List(elements) => Value::from(elements.iter().map(to_value).collect::<Vec<_>>()),
        JsonValue::Object(members) => {
            let members = members.iter().map(|member| (member.name.clone(), to_value(&member.value)));
            Value::from(members.collect::<Dict>())
        }
    }
}

fn number(text: &str) -> Option<Value> {
    let whole = text.parse::<u64>().map(Value::from).or_else(|_| text.parse::<i64>().map(Value::from));
    whole.ok().or_else(|| text.parse::<f64>().ok().filter(|value| value.is_finite()).map(Value::from))
}

fn from_environment(
    keys: &[ConfigKey],
    variables: &[(String, String)],
    problems: &mut Problems,
) -> Vec<(&'static str, Value, Location)> {
    let settings: Vec<(String, &ConfigKey)> = keys.iter().map(|key| (key.variable(), key)).collect();
    let mut values = Vec::new();
    // mcpo's own variable comes first, so that MCPO_LOG_LEVEL, which is put in later, wins over it.
    if let Some((_, level)) = variables.iter().find(|(name, level)| name == "LOG_LEVEL" && !level.is_empty())
    {
        values.push(("log.level", Value::from(level.as_str()), Location::outside_files("LOG_LEVEL")));
    }
    for (name, text) in variables.iter().filter(|(name, _)| name.starts_with("MCPO_") && name != OF_COMMANDS)
    {
        let location = Location::outside_files(name);
        let Some((_, key)) = settings.iter().find(|(variable, _)| variable == name) else {
            let fix = match nearest(name, settings.iter().map(|(variable, _)| variable.as_str())) {
                Some(candidate) => format!("set {candidate} if that was meant, or unset it"),
                None => "unset it".to_owned(),
            };
            problems.warning(&location, "this variable is not a setting of the gateway and is ignored", fix);
            continue;
        };
        // Compose files set variables to nothing where they mean unset. An empty key is reported further
        // on: leaving it out here would open the gateway.
        if text.is_empty() && key.name != "apiKey" {
            continue;
        }
        let value = match key.shape {
            ValueShape::Count | ValueShape::Between(..) | ValueShape::Seconds => number(text),
            ValueShape::Switch => match text.to_lowercase().as_str() {
                "true" | "1" | "yes" | "on" => Some(Value::from(true)),
                "false" | "0" | "no" | "off" => Some(Value::from(false)),
                _ => None,
            },
            ValueShape::List(_) => {
                Some(Value::from(text.split(',').map(|part| part.trim().to_owned()).collect::<Vec<_>>()))
            }
            // A key that happens to be all digits stays text.
            _ => None,
        };
        values.push((key.name, value.unwrap_or_else(|| Value::from(text.as_str())), location));
    }
    values
}

fn kind_of(actual: &figment::error::Actual) -> &'static str {
    use figment::error::Actual;
    match actual {
        Actual::Bool(_) => "true or false",
        Actual::Unsigned(_) | Actual::Signed(_) | Actual::Float(_) => "a number",
        Actual::Str(_) | Actual::Char(_) => "a string",
        Actual::Seq => "a list",
        Actual::Map => "an object",
        _ => "something else",
    }
}
