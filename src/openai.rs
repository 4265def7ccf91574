//! The OpenAI form: the tools as scripts with OpenAI's SDK pass them to a model, and the model's calls made.
//!
//! | endpoint | answer |
//! |---|---|
//! | `GET /v1/tools` | the `tools` array of Chat Completions |
//! | `POST /v1/tools/call` | makes the model's tool calls, and gives the messages that answer them |
//!
//! Both speak arrays that go into the SDK as they are. A query changes the list: `form=responses` is the form of the
//! Responses interface, `strict=true` asks for schemas that the model is held to, `server=NAME` (repeatable) leaves
//! the other servers out, `descriptions=short` cuts them at 1,024 characters. `profile=NAME` holds for both endpoints.
//! [`tool_calls`] recognises the interface of a call by its members.

mod calls;
mod tool_calls;
mod tool_messages;

use std::borrow::Cow;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::request::Parts;
use http::{Method, Request, StatusCode};

use crate::catalog::{Caller, FunctionForm};
use crate::compute;
use crate::config::Config;
use crate::gateway::Gateway;
use crate::http::answer::method_not_allowed;
use crate::http::auth::PROFILE;
use crate::http::{Access, BodyBudget, BodyError, Keys, Problem, document_answer, read_body_if, under_key};
use crate::protocol::media_type::{self, JSON};

/// The path of the list.
const TOOLS: &str = "/v1/tools";
/// The path of calls.
pub const CALL: &str = "/v1/tools/call";

/// The OpenAI form under one configuration.
#[derive(Debug)]
pub struct OpenAi {
    gateway: Arc<Gateway>,
    keys: Arc<Keys>,
    config: Arc<Config>,
    bodies: BodyBudget,
}

/// The query of a list.
#[derive(Debug, Default, PartialEq)]
struct ListQuery {
    form: FunctionForm,
    /// Empty: all.
    servers: Vec<String>,
}

/// `GET /v1/tools`
pub async fn tools(State(openai): State<Arc<OpenAi>>, request: Request<Body>) -> Response {
    openai.answer(request, TOOLS).await
}

/// `POST /v1/tools/call`
pub async fn call(State(openai): State<Arc<OpenAi>>, request: Request<Body>) -> Response {
    openai.answer(request, CALL).await
}

impl OpenAi {
    pub fn new(gateway: Arc<Gateway>, keys: Arc<Keys>, config: Arc<Config>, bodies: BodyBudget) -> Self {
        Self { gateway, keys, config, bodies }
    }

    /// Answers a request to [`TOOLS`] or [`CALL`].
    async fn answer(&self, request: Request<Body>, route: &'static str) -> Response {
        let (head, body) = request.into_parts();
        let timer = self.gateway.metrics().http().request(head.method.as_str(), route);
        let answer = match self.admit(&head).await {
            Ok(caller) => {
                let answered = match (route, &head.method) {
                    (TOOLS, &Method::GET | &Method::HEAD) => self.tools(&head, &caller).await,
                    (TOOLS, _) => Err(method_not_allowed("GET, HEAD")),
                    (_, &Method::POST) => self.post(&head, body, &caller).await,
                    _ => Err(method_not_allowed("POST")),
                };
                under_key(&caller.principal, answered.into_response())
            }
            Err(refused) => *refused,
        };
        timer.answered(answer.status().as_u16());
        answer
    }

    /// The caller, in the profile that the query names; the first one counts.
    async fn admit(&self, head: &Parts) -> Result<Caller, Box<Response>> {
        let admitted = self.keys.admit(&head.headers, Access::Call).await;
        let caller = admitted.map_err(|refusal| Box::new(refusal.problem().clone().into_response()))?;
        match self.keys.in_profile_of(&caller, head.uri.query()) {
            Ok(in_profile) => Ok(in_profile.unwrap_or(caller)),
            Err(problem) => Err(Box::new(under_key(&caller.principal, problem.into_response()))),
        }
    }

    async fn tools(&self, head: &Parts, caller: &Caller) -> Result<Response, Problem> {
        let wanted = ListQuery::read(head.uri.query().unwrap_or_default())?;
        let catalog_builder = self.gateway.catalog_builder();
        let mut servers = Vec::with_capacity(wanted.servers.len());
        for name in &wanted.servers {
            let catalog = catalog_builder.catalog();
            let server = catalog.visible_server(&caller.scope, name).ok_or_else(|| {
                let sentence = "`server` names a server that is not there";
                Problem::new(StatusCode::NOT_FOUND, "not_found", sentence)
            })?;
            if !servers.contains(&server.name) {
                servers.push(server.name.clone());
            }
        }
        let concerns = |name: &_| match servers.is_empty() {
            true => caller.scope.allows_server(name),
            false => servers.contains(name),
        };
        catalog_builder.first_outcomes(concerns).await;
        let catalog = catalog_builder.catalog().clone();
        let form = wanted.form;
        let scope = caller.scope.clone();
        // Schemas of thousands of tools take a good part of a second: not on a thread that serves calls.
        let writing = compute::run(caller.owner(calls::KEYLESS_OWNER), move || {
            let list = catalog.functions(&scope, form);
            match servers.is_empty() {
                true => list.whole.clone(),
                false => list.only(&servers),
            }
        });
        let list = writing.await;
        Ok(document_answer(&list.bytes, &list.etag, JSON, &head.headers))
    }

    async fn post(&self, head: &Parts, body: Body, caller: &Caller) -> Result<Response, Problem> {
        // An HTML form can send any other type to another origin without a preflight.
        if !media_type::is(&head.headers, JSON) {
            let sentence = "tool calls are JSON: send `Content-Type: application/json`";
            return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "not_json", sentence));
        }
        // The permit of the first call; those of the others are taken as they are made.
        let permit =
            self.gateway.admit(caller, None).await.map_err(|limited| {
                Problem::too_many(limited.code(), limited.to_string(), limited.retry_after)
            })?;
        let (limits, owner) = (&self.config.limits, &caller.principal);
        match read_body_if(body, limits, &self.bodies, owner, async || Ok::<_, BodyError>(())).await {
            Ok((body, _share)) => self.calls(head, caller, body, permit).await,
            Err(error) => Ok(error.into_response()),
        }
    }
}

impl ListQuery {
    /// Reads a query. Unknown parameters are refused, because a list in an unexpected form would go unnoticed.
    fn read(query: &str) -> Result<Self, Problem> {
        let mut wanted = Self::default();
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            let refused = |fix: &'static str| Problem::new(StatusCode::BAD_REQUEST, "bad_query", fix);
            match (&*name, &*value) {
                ("form", "chat") => wanted.form.flat = false,
                ("form", "responses") => wanted.form.flat = true,
                ("form", _) => {
                    return Err(refused("`form` is `chat` (of Chat Completions) or `responses`"));
                }
                ("strict", "true" | "1" | "") => wanted.form.strict = true,
                ("strict", "false" | "0") => wanted.form.strict = false,
                ("strict", _) => return Err(refused("`strict` is `true` or `false`")),
                ("descriptions", "whole") => wanted.form.short = false,
                ("descriptions", "short") => wanted.form.short = true,
                ("descriptions", _) => return Err(refused("`descriptions` is `whole` or `short`")),
                (PROFILE, _) => {}
                ("server", _) => wanted.servers.push(Cow::into_owned(value)),
                _ => {
                    return Err(refused(
                        "this query is not known; a list takes `form`, `strict`, `server`, `descriptions` and `profile`",
                    ));
                }
            }
        }
        Ok(wanted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_read_or_refused_whole() {
        let form = FunctionForm { flat: true, strict: true, short: true };
        assert_eq!(
            ListQuery::read("form=responses&strict=true&descriptions=short&server=a%20b&server=c").unwrap(),
            ListQuery { form, servers: vec!["a b".to_owned(), "c".to_owned()] }
        );
        assert_eq!(ListQuery::read("").unwrap(), ListQuery::default());
        assert_eq!(
            ListQuery::read("form=chat&strict=false&descriptions=whole").unwrap(),
            ListQuery::default()
        );
        for query in ["form=x", "strict=maybe", "descriptions=1", "stict=true"] {
            assert_eq!(ListQuery::read(query).unwrap_err().status(), 400, "{query}");
        }
    }
}
