//! `tools` of an entry: other names, descriptions and titles for single tools.

use std::collections::BTreeMap;

use super::super::fields::Fields;
use super::super::json_tree::JsonValue;
use super::super::key;
use super::super::keys::nested;
use super::super::problem::Problems;
use super::super::server::ToolOverride;

/// The overrides of an entry, by the server's own names.
pub(super) fn of_entry(fields: &Fields<'_>, problems: &mut Problems) -> BTreeMap<String, ToolOverride> {
    let mut overrides = BTreeMap::new();
    let Some((node, location)) = fields.get("tools") else { return overrides };
    // GitHub's coding agent has a list of tool names there.
    if matches!(node.value, JsonValue::List(_)) {
        problems.warning(
            &location,
            "a list under `tools` is another client's choice of tools and is ignored",
            "choose tools with `enabledTools`; `tools` holds other names and descriptions: { \"search\": { \"name\": \"find\" } }",
        );
        return overrides;
    }
    let Some(tools) = Fields::new(node, location, problems) else { return overrides };
    for (tool, node, location) in tools.iter() {
        let Some(members) = Fields::new(node, location.clone(), problems) else { continue };
        members.report_unknown("an override", &key::names(nested::OVERRIDE), &[], problems);
        let name = members.text("name", problems).and_then(|(name, location)| match name {
            "" => {
                problems.error(
                    &location,
                    "a tool's name must not be empty",
                    "write a name, or leave the setting out",
                );
                None
            }
            name => Some((name.to_owned(), location)),
        });
        let text =
            |key: &str, problems: &mut Problems| members.text(key, problems).map(|(text, _)| text.to_owned());
        if let Some((name, location)) = &name
            && let Some((other, _)) = overrides
                .iter()
                .find(|(_, known): &(&String, &ToolOverride)| known.name.as_ref() == Some(name))
        {
            problems.error(
                location,
                format!("`{name}` is the new name of `{other}`, too"),
                "give each tool a name of its own",
            );
        }
        let changed = ToolOverride {
            name: name.map(|(name, _)| name),
            description: text("description", problems),
            title: text("title", problems),
        };
        if changed == ToolOverride::default() {
            problems.slip(
                &location,
                "this override changes nothing",
                "add `name`, `description` or `title`, or remove it",
            );
        }
        overrides.insert(tool.to_owned(), changed);
    }
    overrides
}
