//! A gateway inside this process, for commands of an operator: without a port, without keys (the operator can start the
//! servers anyway), and with only the servers that the command needs.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, Request, Response, header};
use http_body_util::{BodyExt as _, Full};

use super::error::AppError;
use super::generation::Generation;
use super::upstream_set::{self, SERVERS_END, UpstreamSet};
use crate::catalog::Namespace;
use crate::config::{AuthConfig, Config, Replica, Sources, TransportConfig};
use crate::gateway::Configuration;
use crate::http::{Keys, Served};
use crate::seal::SealSecrets;
use crate::shutdown::Shutdown;
use crate::trace::Peer;

/// The servers of one configuration at work, and the edge before them. [`InProcessGateway::end`] ends the servers.
pub struct InProcessGateway {
    upstream_set: UpstreamSet,
    generation: Generation,
    served: Served,
}

impl fmt::Debug for InProcessGateway {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("InProcessGateway")
            .field("servers", &self.generation.upstreams)
            .finish_non_exhaustive()
    }
}

impl InProcessGateway {
    /// Builds `config` and starts its servers: all of them, or only the one that is `wanted`.
    ///
    /// The state directory is not used: the command shows the servers as they are now, and does not disturb a
    /// gateway that runs beside it.
    ///
    /// # Errors
    ///
    /// When a host rule of the configuration is bad; then nothing was started.
    pub async fn start(mut config: Config, sources: Sources, wanted: Option<&str>) -> Result<Self, AppError> {
        config.auth = AuthConfig::default();
        config.state_dir = None;
        if let Some(wanted) = wanted {
            // The built-in server has the others behind it.
            let needs_all = config.servers.iter().any(|server| {
                server.name.as_str() == wanted && matches!(server.transport, TransportConfig::Gateway)
            });
            config.servers.retain(|server| needs_all || server.name.as_str() == wanted);
        }
        let secrets = SealSecrets::of_this_process()?;
        // No balancer stands before a command.
        let replica = Replica { name: String::new(), url: None };
        let upstream_set = UpstreamSet::new(&config.limits, None, &secrets, None, replica, &Shutdown::new());
        let configuration = Arc::new(Configuration::new(Arc::new(sources)));
        let namespace = Arc::new(Namespace::of(&config));
        let keys = Keys::new(&config.auth, None, &namespace)?;
        let (generation, served) =
            Generation::build(config, keys, namespace, None, &upstream_set, configuration).await?;
        generation.start(None, &upstream_set);
        Ok(Self { upstream_set, generation, served })
    }

    /// Waits until the first try of each server has ended, well or not; `limits.startTimeout` bounds each.
    pub async fn settled(&self) {
        upstream_set::settled(&self.generation.upstreams).await;
    }

    /// Answers one request as a port would.
    ///
    /// # Errors
    ///
    /// When the answer's body breaks off.
    pub async fn answer(&self, mut request: Request<Full<Bytes>>) -> Result<Response<Bytes>, axum::Error> {
        request.headers_mut().insert(header::HOST, HeaderValue::from_static("localhost"));
        let operator = Peer::Tcp(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
        let (head, body) = self.served.edge.respond(request, operator).await.into_parts();
        Ok(Response::from_parts(head, body.collect().await?.to_bytes()))
    }

    /// Ends the servers and waits for it; `shutdown` may cut the waiting short.
    pub async fn end(self, shutdown: &Shutdown) {
        drop(self.served);
        if shutdown.drain(SERVERS_END, self.upstream_set.end()).await.is_none() {
            tracing::warn!("some servers did not end in time; their processes are killed");
        }
    }
}
