//! The operator's configuration as plain values: no I/O happens here except in [`load`], [`secret`] and
//! [`environment`], which are the only readers of files and of `std::env`.
//!
//! Parse, validate, resolve secrets, build and bind are five separate steps. This module holds the outcome
//! of the first two: [`Config`] may still refer to secrets that are not read yet ([`SecretText`]).
//! [`load`] goes from [`Sources`] to a [`Config`] or to all [`ConfigProblem`]s: files become trees that know
//! their lines, the gateway's settings are merged in layers, and servers and keys are read from the trees.
//!
//! Every key stands in one table, `keys`: its field, its default, its documentation and what a reload does. [`schema`] is
//! that table as JSON Schema.

mod api_keys;
mod audit;
mod auth;
mod child_environment;
pub mod defaults;
mod dotenv;
mod entries;
pub mod environment;
mod fields;
pub mod forwarding;
mod gateway;
pub mod isolation;
mod json_tree;
mod key;
mod keys;
mod layers;
mod load;
mod location;
pub mod lock;
mod lock_entries;
mod log;
pub mod name;
mod nearest;
pub mod plan;
pub mod problem;
mod profiles;
pub mod rate;
mod reader;
mod replica;
mod rights;
mod schema;
pub mod secret;
mod secrets_digest;
mod section;
mod server;
mod settings;
mod shared;
mod shares;
mod sign_in;
mod sources;
mod tls;
mod transport;

pub use audit::AuditConfig;
pub use auth::{
    ApiKeyConfig, AuthConfig, IntrospectionClient, IssuerConfig, KeySignInConfig, OpenWebUiConfig,
    ProfileConfig, RightsConfig, UserConfig,
};
pub use forwarding::{ForwardingConfig, HeaderPattern};
pub use gateway::Config;
pub use isolation::CallerIsolation;
pub use key::Effect;
pub use keys::{DocumentConfig, LimitsConfig, ListenConfig, LogConfig, PerKeyConfig, ReplicaConfig};
pub use load::{Loaded, load};
pub use lock::{DriftPolicy, LockConfig};
pub use log::LogFormat;
pub use name::{NameError, ServerName};
pub use nearest::nearest;
pub use plan::Plan;
pub use problem::{ConfigProblem, Severity};
pub use rate::RateConfig;
pub use replica::Replica;
pub use schema::schema;
pub use secret::{SecretError, SecretSyntaxError, SecretText};
pub use secrets_digest::SecretsDigest;
pub use section::SettingChange;
pub use server::{DedicatedConfig, ServerConfig, ToolOverride, UnitConfig};
pub use shared::SharedConfig;
pub use shares::Shares;
pub use sign_in::{LONGEST_TOKEN_LIFETIME, is_loopback};
pub use sources::{Overrides, Purpose, SingleServer, Sources};
pub use tls::TlsConfig;
pub use transport::{
    HttpConfig, IdentityProviderConfig, OAuthConfig, OAuthGrant, SocketConfig, StdioConfig, TransportConfig,
};
