//! One configuration at work, from its keys to its edge. A reload builds the next one beside it and swaps them;
//! requests go on under the one that they began with.

use std::sync::Arc;

use arc_swap::Guard;
use tokio_util::sync::CancellationToken;

use super::error::AppError;
use super::router::{Rooms, Router};
use super::upstream_set::UpstreamSet;
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
    /// Builds `config` over the servers of `upstream_set`; `before` is the generation that is served now.
    ///
    /// New servers are not started yet, and nothing is served before [`Served`] is. `keys` and `namespace` are
    /// those of `config`.
    ///
    /// # Errors
    ///
    /// When a host rule is bad; then nothing has happened.
    pub async fn build(
        config: Config,
        mut keys: Keys,
        namespace: Arc<Namespace>,
        before: Option<(&Self, &Plan)>,
        upstream_set: &UpstreamSet,
        configuration: Arc<Configuration>,
    ) -> Result<(Self, Served), AppError> {
        let own = upstream_set.authorization_server(config.auth.key_sign_in.as_ref()).await;
        keys.connect(&upstream_set.issuers, own);
        let keys = Arc::new(keys);
        HostRule::new(&config.listen, keys.is_open())?;
        let config = Arc::new(config);
        let upstreams = match before {
            Some((before, plan)) => upstream_set.reconcile(&config, plan, &before.upstreams),
            None => upstream_set.reconcile(&config, &Plan::default(), &[]),
        };
        let shown = before.map(|(before, _)| Guard::into_inner(before.catalog_builder.catalog()));
        let (all, of_all, changes) = (config.clone(), upstreams.clone(), upstream_set.changes.clone());
        let scope_count = keys.scope_count();
        // A server whose rules have changed has all of its tools taken into the catalog anew.
        let first = move || {
            let own = builtin::tools();
            CatalogBuilder::new(all, namespace, of_all, changes, own, scope_count, shown.as_deref())
        };
        let catalog_builder = Arc::new(compute::run("", first).await);
        let store = upstream_set.store.clone();
        let limits = Arc::new(Limits::new(&config, before.map(|(before, _)| &*before.limits), store.clone()));
        let gateway = Arc::new(Gateway::new(
            catalog_builder.clone(),
            config.limits.call_timeout,
            configuration,
            limits.clone(),
            Lasting {
                metrics: upstream_set.shared.metrics.clone(),
                audit: upstream_set.audit.clone(),
                closing: upstream_set.closing.clone(),
                leaving: upstream_set.leaving.clone(),
                results: upstream_set.shared.results.clone(),
                store,
                replica: upstream_set.replica.clone(),
                replicas: upstream_set.replicas.clone(),
            },
        ));
        let keyless = keys.is_open();
        let room = BodyBudget::new(&config.limits);
        let shared = upstream_set.mcp.clone();
        let mcp = Arc::new(Mcp::new(gateway.clone(), keys.clone(), config.clone(), room.clone(), shared));
        let oauth = upstream_set.shared.oauth.clone();
        let metrics = upstream_set.shared.metrics.http().clone();
        let router = Router::new(Rooms {
            mcp: mcp.clone(),
            openai: Arc::new(OpenAi::new(gateway.clone(), keys.clone(), config.clone(), room.clone())),
            sign_in: Arc::new(SignIn::new(
                gateway.clone(),
                keys.clone(),
                config.clone(),
                oauth,
                room.clone(),
                &upstream_set.secrets,
            )),
            web: Arc::new(Web::new(gateway.clone(), keys.clone(), config.clone())),
            rest: Arc::new(Rest::new(gateway, keys.clone(), config.clone(), room)),
            keys,
            config: config.clone(),
            metrics: metrics.clone(),
        });
        let edge = Edge::new(router, &config.listen, keyless)?.counted_with(metrics);
        let ended = upstream_set.stop.child_token();
        let served =
            Served { edge, options: ServeOptions::from(&config.limits), ended: ended.clone().drop_guard() };
        Ok((Self { config, upstreams, catalog_builder, mcp, limits, ended }, served))
    }

    /// Starts the servers that `before` does not run already, and keeps the catalog up to date.
    pub fn start(&self, before: Option<&Self>, upstream_set: &UpstreamSet) {
        upstream_set.shared.metrics.http().limit_connections(self.config.limits.connections);
        upstream_set.set_servers(self.upstreams.clone());
        upstream_set.tasks.spawn(self.catalog_builder.clone().run(self.ended.clone()));
        upstream_set.mcp.serve(self.mcp.clone());
        for upstream in &self.upstreams {
            if !before.is_some_and(|before| before.uses(upstream)) {
                upstream_set.start(upstream.clone());
            }
        }
    }

    /// Whether `upstream` itself, and not only one of its name, is among the servers.
    pub fn uses(&self, upstream: &Arc<Upstream>) -> bool {
        self.upstreams.iter().any(|own| Arc::ptr_eq(own, upstream))
    }
}
