//! The rights that an entry of `apiKeys` or of `users` gives, and their rates.

use std::collections::HashSet;

use super::auth::RightsConfig;
use super::fields::Fields;
use super::problem::Problems;
use super::profiles::{self, ConfiguredNames};
use super::rate;

/// The rights in an entry; `profiles` are the names of all profiles.
pub(super) fn of_entry(
    fields: &Fields<'_>,
    names: &mut ConfiguredNames,
    profiles: &HashSet<&str>,
    problems: &mut Problems,
) -> RightsConfig {
    RightsConfig {
        servers: profiles::server_patterns(fields, names, problems),
        tools: profiles::tool_patterns(fields, problems),
        profile: profiles::of_key(fields, profiles, problems),
        read_only: fields.boolean("readOnly", problems).unwrap_or(false),
        admin: fields.boolean("admin", problems).unwrap_or(false),
        metrics: fields.boolean("metrics", problems).unwrap_or(false),
        rate: rate::of_entry(fields, problems),
        concurrency: fields.count("concurrency", problems),
    }
}
