//! Everything that one configuration makes, from its keys to its edge. A reload builds the next one beside
//! it and swaps; requests go on under the one that they began with.

use std::sync::Arc;

use arc_swap::Guard;
use tokio_util::sync::CancellationToken;

use super::AppError;
use super::faces::Faces;
use super::fleet::Fleet;
use crate::catalog::{CatalogBuilder, Namespace};
use crate::compute;
use crate::config::{Config, Plan};
use crate::gateway::configuration::Configuration;
use crate::gateway::{Gateway, Lasting, Limits, builtin};
use crate::http::host::HostRule;
use crate::http::{BodyBudget, Edge, Keys, ServeOptions, Served};
use crate::mcp::Mcp;
use crate::openai::OpenAi;
use crate::rest::Rest;
use crate::signin::SignIn;
use crate::upstream::Upstream;
use crate::web::Web;

/// One configuration at work.
pub struct Generation {
    pub config: Arc<Config>,
    pub upstreams: Vec<Arc<Upstream>>,
    pub catalog_builder: Arc<CatalogBuilder>,
    mcp: Arc<Mcp>,
    limits: Arc<Limits>,
    /// Cancelled when the last request of this generation has been answered.
    pub ended: CancellationToken,
}

impl Generation {
    /// Builds what `config` asks for over the servers of `fleet`, of which the generation `before` already
    /// uses some; the plan says which may stay. New servers are not started yet, and nothing is served
    /// before [`Served`] is. `keys` and `namespace` are those of `config`.
    ///
    /// # Errors
    ///
    /// When a host rule is bad; then nothing has happened.
    pub async fn build(
        config: Config,
        keys: Keys,
        namespace: Arc<Namespace>,
        before: Option<(&Self, &Plan)>,
        fleet: &Fleet,
        configuration: Arc<Configuration>,
    ) -> Result<(Self, Served), AppError> {
        let keys = Arc::new(keys);
        HostRule::new(&config.listen, keys.is_empty())?;
        let config = Arc::new(config);
        let upstreams = match before {
            Some((before, plan)) => fleet.muster(&config, plan, &before.upstreams),
            None => fleet.muster(&config, &Plan::default(), &[]),
        };
        let shown = before.map(|(before, _)| Guard::into_inner(before.catalog_builder.catalog()));
        let (all, of_all, changes) = (config.clone(), upstreams.clone(), fleet.changes().clone());
        let scope_count = keys.scope_count();
        // A server whose rules have changed has all of its tools taken into the catalog anew.
        let first = move || {
            let own = builtin::tools();
            CatalogBuilder::new(all, namespace, of_all, changes, own, scope_count, shown.as_deref())
        };
        let catalog_builder = Arc::new(compute::run("", first).await);
        let limits = Arc::new(Limits::new(&config, before.map(|(before, _)| &*before.limits)));
        let gateway = Arc::new(Gateway::new(
            catalog_builder.clone(),
            config.limits.call_timeout,
            configuration,
            limits.clone(),
            Lasting {
                metrics: fleet.metrics().clone(),
                audit: fleet.audit().cloned(),
                closing: fleet.closing().clone(),
                results: fleet.results().clone(),
            },
        ));
        let keyless = keys.is_empty();
        let room = BodyBudget::new(&config.limits);
        let mcp = Mcp::new(gateway.clone(), keys.clone(), config.clone(), room.clone(), fleet.mcp().clone());
        let mcp = Arc::new(mcp);
        let web = Arc::new(Web::new(gateway.clone(), keys.clone(), config.clone()));
        let sign_in = SignIn::new(gateway.clone(), keys.clone(), config.clone(), fleet.oauth().clone());
        let openai = OpenAi::new(gateway.clone(), keys.clone(), config.clone(), room.clone());
        let rest = Arc::new(Rest::new(gateway, keys, config.clone(), room));
        let (openai, sign_in) = (Arc::new(openai), Arc::new(sign_in));
        let faces = Faces { mcp: mcp.clone(), openai, sign_in, web, rest };
        let edge = Edge::new(faces, &config.listen, keyless)?.counted_with(fleet.metrics().http().clone());
        let ended = fleet.stop().child_token();
        let served =
            Served { edge, options: ServeOptions::from(&config.limits), ended: ended.clone().drop_guard() };
        Ok((Self { config, upstreams, catalog_builder, mcp, limits, ended }, served))
    }

    /// Starts the servers that `before` does not run already, and keeps the catalog up to date.
    pub fn start(&self, before: Option<&Self>, fleet: &Fleet) {
        fleet.metrics().http().limit_connections(self.config.limits.connections);
        fleet.set_servers(self.upstreams.clone());
        fleet.tasks().spawn(self.catalog_builder.clone().run(self.ended.clone()));
        fleet.mcp().serve(self.mcp.clone());
        for upstream in &self.upstreams {
            if !before.is_some_and(|before| before.uses(upstream)) {
                fleet.start(upstream.clone());
            }
        }
    }

    /// Whether `upstream` itself, and not only one of its name, is among the servers.
    pub fn uses(&self, upstream: &Arc<Upstream>) -> bool {
        self.upstreams.iter().any(|own| Arc::ptr_eq(own, upstream))
    }
}
