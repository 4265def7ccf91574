//! Callers, and the scope of each: the servers and tools that it may see on every surface.

mod tool_patterns;

use std::fmt;
use std::sync::Arc;

use globset::{Glob, GlobSet, GlobSetBuilder};
use serde_json::{Map, Value};
use tokio_util::sync::CancellationToken;

use self::tool_patterns::ToolPatterns;
use super::namespace::Namespace;
use super::server::CatalogServer;
use super::tool::CatalogTool;
use crate::compute::Owner;
use crate::config::{ProfileConfig, RateConfig, ServerName};
use crate::shares::Principal;

/// The servers and tools that a caller may see and call.
#[derive(Debug, Clone, Default)]
pub struct Scope {
    /// A server must be in each of them; none opens all servers.
    servers: Vec<GlobSet>,
    /// A tool must be in each of them; none opens all tools.
    tools: Vec<ToolPatterns>,
    /// Only tools that are read-only.
    pub read_only: bool,
    /// Position among all scopes; 0 sees everything. Documents are prebuilt for the first ones, those of keys.
    pub index: usize,
}

/// An authenticated caller, or the anonymous one of a gateway without keys. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The key and user of the request, whose share it uses. One of them is one caller in all its profiles.
    pub principal: Principal,
    /// Of its API key's value.
    pub fingerprint: Option<Fingerprint>,
    /// The user whose token the request carries.
    pub user: Option<Arc<User>>,
    /// Of its token, at the gateway's own authorization server.
    pub sign_in_end: SignInEnd,
    /// Of the user; those of a key are kept by its name.
    pub limits: CallerLimits,
    /// The profile that the request itself asked for; that of the key is part of the scope anyway.
    pub profile: Option<Arc<str>>,
    /// The servers and tools that the caller sees, and can call by name.
    pub scope: Arc<Scope>,
    /// The scope of the key itself, without any profile.
    ///
    /// The gateway's own tools find and call all of it: a profile that shows them is for clients that bear few tools.
    /// Equal to `scope` without a profile.
    pub reach: Arc<Scope>,
    /// May see URLs, stderr tails and full reasons.
    pub admin: bool,
    /// May read the metrics, which name every server and tool.
    pub metrics: bool,
}

/// A user as an issuer describes it in a token.
#[derive(Debug, PartialEq)]
pub struct User {
    /// The address of the issuer.
    pub issuer: Arc<str>,
    pub claims: Arc<Map<String, Value>>,
}

/// The early end of the sign-in that a caller's token is from. One without such a token has none.
#[derive(Debug, Clone, Default)]
pub struct SignInEnd(Option<Arc<CancellationToken>>);

/// How often a user may call, and how many calls it may have in flight.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CallerLimits {
    pub rate: Option<RateConfig>,
    pub concurrency: Option<usize>,
}

/// The digest of a key's value, to detect that the key of this name has a new value.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint(pub [u8; 32]);

impl fmt::Debug for Fingerprint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("[redacted]")
    }
}

impl SignInEnd {
    /// The end that comes when `ended` is cancelled.
    pub fn new(ended: Arc<CancellationToken>) -> Self {
        Self(Some(ended))
    }

    /// Whether there is a sign-in that can end.
    pub fn can_come(&self) -> bool {
        self.0.is_some()
    }

    pub fn has_come(&self) -> bool {
        self.0.as_ref().is_some_and(|ended| ended.is_cancelled())
    }

    /// Waits for it.
    pub async fn comes(&self) {
        match &self.0 {
            Some(ended) => ended.cancelled().await,
            None => std::future::pending().await,
        }
    }
}

impl Caller {
    /// A caller that sees everything, without rights beside.
    #[cfg(test)]
    pub fn of_test(principal: Principal) -> Self {
        Self {
            principal,
            fingerprint: None,
            user: None,
            sign_in_end: SignInEnd::default(),
            limits: CallerLimits::default(),
            profile: None,
            scope: Arc::default(),
            reach: Arc::default(),
            admin: false,
            metrics: false,
        }
    }

    /// The owner of long computations for this caller: its user or key, else `server`.
    pub fn owner<'a>(&'a self, server: &'a str) -> Owner<'a> {
        self.principal.id().unwrap_or(server)
    }

    /// The same caller out of its profile, for calls that the gateway's own tools make in its name.
    pub fn out_of_profile(&self) -> Self {
        Self { scope: self.reach.clone(), ..self.clone() }
    }
}

impl Scope {
    /// A scope over the servers that match one of `servers` (all when `None`).
    pub fn new(servers: Option<&[String]>, read_only: bool, index: usize) -> Result<Self, globset::Error> {
        Ok(Self { servers: globs(servers)?, tools: Vec::new(), read_only, index })
    }

    /// The servers and tools that are in this scope and in `profile`.
    pub fn narrowed(
        &self,
        profile: &ProfileConfig,
        namespace: &Arc<Namespace>,
        index: usize,
    ) -> Result<Self, globset::Error> {
        let mut scope = Self { index, ..self.clone() };
        scope.servers.extend(globs(profile.servers.as_deref())?);
        if let Some(tools) = &profile.tools {
            scope.tools.push(ToolPatterns::new(tools, namespace.clone())?);
        }
        Ok(scope)
    }

    /// Whether this scope leaves out nothing.
    pub fn is_unlimited(&self) -> bool {
        self.servers.is_empty() && self.tools.is_empty() && !self.read_only
    }

    /// Whether it chooses among the tools of a server by their names.
    pub fn chooses_tools(&self) -> bool {
        !self.tools.is_empty()
    }

    pub fn allows_server(&self, server: &ServerName) -> bool {
        self.servers.iter().all(|set| set.is_match(server.as_str()))
    }

    /// Whether it opens `tool` of `server`.
    pub fn allows(&self, server: &CatalogServer, tool: &CatalogTool) -> bool {
        self.allows_server(&server.name)
            && match server.awaits_sign_in() {
                // It leads to all tools of the server that the scope opens.
                true => self.tools.iter().all(|patterns| patterns.can_hold(&server.name)),
                false => self.allows_tool(&server.name, &tool.exposed_name, tool.read_only),
            }
    }

    /// Whether it opens the tool that `server`, which it opens, exposes as `tool`.
    pub fn allows_tool(&self, server: &ServerName, tool: &str, is_read_only: bool) -> bool {
        (is_read_only || !self.read_only) && self.tools.iter().all(|patterns| patterns.hold(server, tool))
    }
}

/// At most one set, which matches what one of `patterns` does.
fn globs(patterns: Option<&[String]>) -> Result<Vec<GlobSet>, globset::Error> {
    let Some(patterns) = patterns else { return Ok(Vec::new()) };
    let mut set = GlobSetBuilder::new();
    for pattern in patterns {
        set.add(Glob::new(pattern)?);
    }
    Ok(vec![set.build()?])
}
