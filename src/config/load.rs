//! From sources to a [`Config`]: read, parse, layer and check, collecting every problem on the way.

use std::collections::HashSet;
use std::path::PathBuf;

use super::auth::AuthConfig;
use super::entries::{self, EntryContext};
use super::fields::Fields;
use super::gateway::Config;
use super::json_tree::{self, JsonNode};
use super::layers::Layers;
use super::location::Location;
use super::problem::{ConfigProblem, Problems, Severity};
use super::profiles::ConfiguredNames;
use super::secret::SecretText;
use super::settings;
use super::sources::Sources;
use super::{api_keys, dotenv, environment, keys, lock_entries, profiles, sign_in};

/// A configuration that can be served, and what is odd about it.
#[derive(Debug)]
pub struct Loaded {
    pub config: Config,
    /// Each is to be logged once, at the start.
    pub warnings: Vec<ConfigProblem>,
}

/// Reads and checks everything; no secret is read and no server is touched.
///
/// # Errors
///
/// Every problem of the sources when one of them is an error; the warnings are in the list too.
pub fn load(sources: &Sources) -> Result<Loaded, Vec<ConfigProblem>> {
    let mut problems = Problems::new(sources.purpose);
    let config = collect(sources, &mut problems);
    let problems = problems.into_sorted();
    match config {
        Some(config) if problems.iter().all(|problem| problem.severity == Severity::Warning) => {
            Ok(Loaded { config, warnings: problems })
        }
        _ => Err(problems),
    }
}

fn collect(sources: &Sources, problems: &mut Problems) -> Option<Config> {
    let roots: Vec<Option<JsonNode>> =
        sources.files.iter().map(|path| json_tree::read(path, problems)).collect();
    let mut documents = Vec::new();
    for (path, root) in sources.files.iter().zip(&roots) {
        if let Some(root) = root {
            let location = Location { position: Some(root.position), ..Location::file(path) };
            documents.extend(Fields::new(root, location, problems));
        }
    }
    for document in &documents {
        document.report_unknown("the configuration", &keys::top_level(), keys::FOREIGN, problems);
    }
    let layers = Layers::new(&keys::settings(), &documents, sources, problems);
    let settings = settings::collect(&layers, problems);
    let given = given_environment(sources, problems);
    if sources.hot_reload && sources.files.is_empty() {
        problems.warning(
            &Location::outside_files("--hot-reload"),
            "there is no file to follow",
            "name one with --config, or leave the flag out",
        );
    }
    let context = EntryContext {
        defaults: settings.servers.clone(),
        keyed: api_keys::are_wanted(&documents, &settings) || sign_in::is_wanted(&documents),
        home: variable("HOME", sources).map(str::to_owned),
    };
    let single = sources.single.as_ref().filter(|_| sources.files.is_empty());
    let mut servers = match (single, sources.files.is_empty()) {
        (Some(single), _) => vec![entries::single(single, &context, problems)?],
        (None, true) => Config::default().servers,
        (None, false) => entries::collect(&documents, &context, problems),
    };
    if sources.single.is_some() && single.is_none() {
        problems.warning(
            &Location::outside_files("--"),
            "the command line names a single server beside --config; it is ignored",
            "leave out --config, or what follows `--` and its --type and --header",
        );
    }
    entries::give_environment(&mut servers, &given);
    if !sources.without_lock {
        lock_entries::give(&mut servers, &settings.lock, &layers.location("lock.file"), problems);
    }
    let profiles = profiles::collect(&documents, problems);
    let mut names = ConfiguredNames::new(&documents);
    let known: HashSet<&str> = profiles.iter().map(|profile| profile.name.as_str()).collect();
    let keys = api_keys::collect(&documents, &layers, &settings, &servers, &mut names, &known, problems);
    let has = (settings.listen.public_url.is_some(), !keys.is_empty());
    let (issuers, key_sign_in) = sign_in::collect(&documents, &layers, has, &mut names, &known, problems);
    let auth = AuthConfig { keys, strict: settings.access.strict, profiles, issuers, key_sign_in };
    if auth.is_open() {
        api_keys::open_gateway(&layers, &settings, problems);
    }
    Some(Config {
        listen: settings.listen,
        auth,
        limits: settings.limits,
        document: settings.document,
        log: settings.log,
        audit: settings.audit,
        shared: settings.shared,
        replica: settings.replica,
        state_dir: state_dir(settings.tools.state_dir, sources),
        session_keys: settings.tools.session_keys,
        exposed_name_length: settings.tools.exposed_name_length,
        lock_file: settings.lock.file,
        single: single.is_some(),
        servers,
    })
}

/// A variable of the environment that is set to something.
fn variable<'a>(name: &str, sources: &'a Sources) -> Option<&'a str> {
    let found = sources.environment.iter().find(|(known, value)| known == name && !value.is_empty());
    found.map(|(_, value)| value.as_str())
}

/// The directory as set, or the usual one of this user or service; set to nothing, none.
fn state_dir(set: Option<PathBuf>, sources: &Sources) -> Option<PathBuf> {
    match set {
        Some(directory) => Some(directory).filter(|directory| !directory.as_os_str().is_empty()),
        None => environment::state_directory_from(&|name| variable(name, sources).map(Into::into)),
    }
}

/// The values of `--env-path` and `-e`, in this order, so that `-e` wins.
///
/// As in mcpo, a variable that the environment has already is not overridden by the file; it is given in
/// the file's stead, since the child would not get it otherwise.
fn given_environment(sources: &Sources, problems: &mut Problems) -> Vec<(String, SecretText)> {
    let mut given = Vec::new();
    if let Some(path) = &sources.env_path {
        for (name, value) in dotenv::read(path, problems) {
            if environment::is_own(&name) {
                continue;
            }
            let present = sources.environment.iter().find(|(known, _)| *known == name);
            let value = present.map_or(value, |(_, value)| value.clone());
            given.push((name, SecretText::literal(&value)));
        }
    }
    let flags = sources.given_env.iter();
    given.extend(flags.map(|(name, value)| (name.clone(), SecretText::literal(value))));
    given
}

#[cfg(test)]
mod tests;
