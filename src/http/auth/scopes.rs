//! The distinct scopes of keys and profiles, so that the documents of a scope are built once.

use std::collections::HashMap;
use std::sync::Arc;

use super::error::KeysError;
use crate::catalog::{Caller, CallerLimits, Namespace, Scope, SignInEnd};
use crate::config::{ProfileConfig, RightsConfig};
use crate::shares::Principal;

/// The settings that make a scope.
#[derive(Debug, Clone, Default, PartialEq)]
struct ScopeShape {
    /// Sorted server patterns of a key, `None` for all.
    servers: Option<Vec<String>>,
    /// The same of its tool patterns.
    tools: Option<Vec<String>>,
    read_only: bool,
    /// Sorted positions of the profiles that hold together.
    profiles: Vec<usize>,
}

/// All scopes, by their index: those of keys first.
#[derive(Debug)]
pub struct Scopes {
    namespace: Arc<Namespace>,
    profiles: Vec<(Arc<str>, ProfileConfig)>,
    all: Vec<(ScopeShape, Arc<Scope>)>,
    of_keys: Vec<Arc<Scope>>,
    /// By the index of a key's scope and the position of a profile.
    narrowed: HashMap<(usize, usize), Arc<Scope>>,
}

impl ScopeShape {
    /// Brings equal scopes to one form: `["*"]` is all servers, and order and repetition do not matter.
    fn of(rights: &RightsConfig) -> Self {
        let patterns = |patterns: &Option<Vec<String>>| {
            let mut patterns = patterns.clone().filter(|all| !all.iter().any(|pattern| pattern == "*"))?;
            patterns.sort();
            patterns.dedup();
            Some(patterns)
        };
        let (servers, tools) = (patterns(&rights.servers), patterns(&rights.tools));
        Self { servers, tools, read_only: rights.read_only, profiles: Vec::new() }
    }
}

impl Scopes {
    /// The scope that sees everything, alone.
    pub fn new(profiles: &[ProfileConfig], namespace: Arc<Namespace>) -> Self {
        let everything = Arc::new(Scope::default());
        Self {
            namespace,
            profiles: profiles
                .iter()
                .map(|profile| (profile.name.as_str().into(), profile.clone()))
                .collect(),
            all: vec![(ScopeShape::default(), everything.clone())],
            of_keys: vec![everything],
            narrowed: HashMap::new(),
        }
    }

    /// A caller with these rights, still without a name. `entry` names their entry for errors.
    ///
    /// All entries come before [`Scopes::add_profiles`].
    pub fn caller(&mut self, rights: &RightsConfig, entry: impl Fn() -> String) -> Result<Caller, KeysError> {
        let (scope, reach) = self.of(rights, entry)?;
        Ok(Caller {
            principal: Principal::default(),
            fingerprint: None,
            user: None,
            sign_in_end: SignInEnd::default(),
            limits: CallerLimits::default(),
            profile: None,
            admin: rights.admin,
            metrics: rights.metrics || scope.is_unlimited(),
            scope,
            reach,
        })
    }

    /// The scope of an entry with its profile, and without.
    fn of(
        &mut self,
        rights: &RightsConfig,
        entry: impl Fn() -> String,
    ) -> Result<(Arc<Scope>, Arc<Scope>), KeysError> {
        let bad = |source| KeysError::Pattern { entry: entry(), source };
        let shape = ScopeShape::of(rights);
        let reach = self.add(&shape).map_err(bad)?;
        let Some(profile) = &rights.profile else { return Ok((reach.clone(), reach)) };
        let missing = || KeysError::Profile { entry: entry(), profile: profile.clone() };
        let shape = self.in_profile(&shape, profile).ok_or_else(missing)?;
        Ok((self.add(&shape).map_err(bad)?, reach))
    }

    fn add(&mut self, shape: &ScopeShape) -> Result<Arc<Scope>, globset::Error> {
        let scope = self.get_or_make(shape)?;
        self.of_keys = self.all.iter().map(|(_, scope)| scope.clone()).collect();
        Ok(scope)
    }

    /// `shape` with one more profile; `None` for an unknown profile.
    fn in_profile(&self, shape: &ScopeShape, profile: &str) -> Option<ScopeShape> {
        let position = self.profiles.iter().position(|(name, _)| &**name == profile)?;
        let mut shape = shape.clone();
        if let Err(place) = shape.profiles.binary_search(&position) {
            shape.profiles.insert(place, position);
        }
        Some(shape)
    }

    /// The scope of a caller that may see nothing.
    pub fn add_nothing(&mut self) -> Arc<Scope> {
        let shape = ScopeShape { servers: Some(Vec::new()), read_only: true, ..ScopeShape::default() };
        self.add(&shape).expect("a scope without patterns is valid")
    }

    /// Sees everything.
    pub fn everything(&self) -> Arc<Scope> {
        self.all[0].1.clone()
    }

    /// Adds each scope of a key in each profile, which requests may ask for.
    ///
    /// # Errors
    ///
    /// A profile with a bad pattern.
    pub fn add_profiles(&mut self) -> Result<(), KeysError> {
        for index in 0..self.of_keys.len() {
            for position in 0..self.profiles.len() {
                let name = self.profiles[position].0.clone();
                let shape = self.in_profile(&self.all[index].0, &name).unwrap_or_default();
                let scope = self.get_or_make(&shape);
                let scope =
                    scope.map_err(|source| KeysError::ProfilePattern { name: name.to_string(), source })?;
                self.narrowed.insert((index, position), scope);
            }
        }
        Ok(())
    }

    pub fn of_keys(&self) -> &[Arc<Scope>] {
        &self.of_keys
    }

    pub fn count(&self) -> usize {
        self.all.len()
    }

    /// A key's scope in a profile, with the profile's name.
    pub fn narrowed(&self, scope: &Scope, profile: &str) -> Option<(Arc<str>, Arc<Scope>)> {
        let position = self.profiles.iter().position(|(name, _)| &**name == profile)?;
        let scope = self.narrowed.get(&(scope.index, position))?;
        Some((self.profiles[position].0.clone(), scope.clone()))
    }

    fn get_or_make(&mut self, shape: &ScopeShape) -> Result<Arc<Scope>, globset::Error> {
        if let Some((_, known)) = self.all.iter().find(|(known, _)| known == shape) {
            return Ok(known.clone());
        }
        let index = self.all.len();
        let mut scope = Scope::new(shape.servers.as_deref(), shape.read_only, index)?;
        let own = ProfileConfig { tools: shape.tools.clone(), ..ProfileConfig::default() };
        let profiles = shape.profiles.iter().map(|&position| &self.profiles[position].1);
        for profile in std::iter::once(&own).chain(profiles) {
            scope = scope.narrowed(profile, &self.namespace, index)?;
        }
        let scope = Arc::new(scope);
        self.all.push((shape.clone(), scope.clone()));
        Ok(scope)
    }
}
