//! The distinct scopes of keys and profiles, so that the documents of a scope are built once.

use std::collections::HashMap;
use std::sync::Arc;

use super::error::KeysError;
use crate::catalog::{Namespace, Scope};
use crate::config::{ApiKeyConfig, ProfileConfig};

/// The settings that make a scope.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ScopeShape {
    /// Sorted server patterns of a key, `None` for all.
    servers: Option<Vec<String>>,
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
    pub fn of(entry: &ApiKeyConfig) -> Self {
        let servers =
            entry.servers.as_ref().filter(|patterns| !patterns.iter().any(|pattern| pattern == "*"));
        let servers = servers.map(|patterns| {
            let mut patterns = patterns.clone();
            patterns.sort();
            patterns.dedup();
            patterns
        });
        Self { servers, read_only: entry.read_only, profiles: Vec::new() }
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

    /// The scope of a key. All of these come before [`Scopes::add_profiles`].
    pub fn add(&mut self, shape: &ScopeShape) -> Result<Arc<Scope>, globset::Error> {
        let scope = self.get_or_make(shape)?;
        self.of_keys = self.all.iter().map(|(_, scope)| scope.clone()).collect();
        Ok(scope)
    }

    /// `shape` with one more profile; `None` for an unknown profile.
    pub fn in_profile(&self, shape: &ScopeShape, profile: &str) -> Option<ScopeShape> {
        let position = self.profiles.iter().position(|(name, _)| &**name == profile)?;
        let mut shape = shape.clone();
        if let Err(place) = shape.profiles.binary_search(&position) {
            shape.profiles.insert(place, position);
        }
        Some(shape)
    }

    /// The scope of a caller that may see nothing.
    pub fn add_nothing(&mut self) -> Arc<Scope> {
        let shape = ScopeShape { servers: Some(Vec::new()), read_only: true, profiles: Vec::new() };
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
        for &position in &shape.profiles {
            let profile = &self.profiles[position].1;
            scope = scope.narrowed(profile, &self.namespace, index)?;
        }
        let scope = Arc::new(scope);
        self.all.push((shape.clone(), scope.clone()));
        Ok(scope)
    }
}
