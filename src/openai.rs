//! The OpenAI form: the tools as scripts with OpenAI's SDK pass them to a model, and the model's calls made.
//!
//! | endpoint | what |
//! |---|---|
//! | `GET /v1/tools` | the `tools` array of Chat Completions |
//! | `POST /v1/tools/call` | makes the model's tool calls, and gives the messages that answer them |
//!
//! Both speak arrays that go into the SDK as they are. A query changes the list: `form=responses` is the form of the
//! Responses interface, `strict=true` asks for schemas that the model is held to, `server=NAME` (repeatable) leaves
//! the other servers out, `descriptions=short` cuts them at 1,024 characters. `profile=NAME` holds for both endpoints. Calls of either interface are told
//! apart by themselves ([`asked`]).

mod answers;
mod asked;
mod calls;

use std::borrow::Cow;
use std::sync::Arc;

use axum::body::Body;
use axum::response::{IntoResponse as _, Response};
use http::request::Parts;
use http::{Method, Request, StatusCode};

use crate::catalog::{Caller, FunctionForm};
use crate::compute;
use crate::config::Config;
use crate::gateway::Gateway;
use crate::http::answer::method_not_allowed;
use crate::http::mount::Prefixes;
use crate::http::{Access, BodyBudget, BodyError, KeyName, Keys, Problem, document_answer, read_body_if};
use crate::protocol::media_type::{self, JSON};

/// The parameter that narrows what a caller is shown, as at `/mcp`.
const PROFILE: &str = "profile";

/// The face under one configuration.
#[derive(Debug)]
pub struct OpenAi {
    gateway: Arc<Gateway>,
    keys: Arc<Keys>,
    config: Arc<Config>,
    prefixes: Prefixes,
    room: BodyBudget,
}

/// The endpoint that a request came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Tools,
    Call,
}

/// What the query of a list asks for.
#[derive(Debug, Default, PartialEq)]
struct Wanted {
    form: FunctionForm,
    /// Empty: all.
    servers: Vec<String>,
}

impl OpenAi {
    pub fn new(gateway: Arc<Gateway>, keys: Arc<Keys>, config: Arc<Config>, room: BodyBudget) -> Self {
        let prefixes = Prefixes::new(&config.listen);
        Self { gateway, keys, config, prefixes, room }
    }

    /// Whether a raw path (percent-encoded, without query) is one of this face.
    pub fn is_at(&self, raw: &str) -> bool {
        self.place(raw).is_some()
    }

    /// The endpoint at a raw path, with or without the path prefix; a slash at its end makes no difference.
    fn place(&self, raw: &str) -> Option<Place> {
        let place = |path: &str| match path.strip_suffix('/').unwrap_or(path) {
            "/v1/tools" => Some(Place::Tools),
            "/v1/tools/call" => Some(Place::Call),
            _ => None,
        };
        let path = self.prefixes.within_root(raw);
        place(path).or_else(|| place(self.prefixes.within_prefix(path)?))
    }

    /// Answers a request to such a path. Who calls is settled before the body is read.
    pub async fn answer(self: Arc<Self>, request: Request<Body>) -> Response {
        let (head, body) = request.into_parts();
        let Some(place) = self.place(head.uri.path()) else { return Problem::not_found().into_response() };
        let timer = self.gateway.metrics().http().request(head.method.as_str(), place.template());
        let answer = self.admitted(&head, body, place).await;
        timer.answered(answer.status().as_u16());
        answer
    }

    async fn admitted(&self, head: &Parts, body: Body, place: Place) -> Response {
        let caller = match self.keys.admit(&head.headers, Access::Call) {
            Ok(caller) => caller,
            Err(refusal) => return refusal.into_response(),
        };
        let answer = match self.in_profile(&caller, head.uri.query().unwrap_or_default()) {
            Ok(narrowed) => self.at(place, head, body, narrowed.as_ref().unwrap_or(&caller)).await,
            Err(problem) => Err(problem),
        };
        answer.unwrap_or_else(|problem| {
            let mut answer = problem.into_response();
            // Its line in the log says whose request it was.
            if let Some(name) = &caller.key_name {
                answer.extensions_mut().insert(KeyName(name.clone()));
            }
            answer
        })
    }

    /// `caller` in the profile that the query names, when it names one; the first counts.
    fn in_profile(&self, caller: &Caller, query: &str) -> Result<Option<Caller>, Problem> {
        let mut parameters = url::form_urlencoded::parse(query.as_bytes());
        let Some((_, name)) = parameters.find(|(name, _)| name == PROFILE) else { return Ok(None) };
        self.keys.in_profile(caller, &name).map(Some).map_err(|_| {
            let sentence = "there is no such profile; the configuration names them under `profiles`";
            Problem::new(StatusCode::NOT_FOUND, "no_such_profile", sentence)
        })
    }

    async fn at(&self, place: Place, head: &Parts, body: Body, caller: &Caller) -> Result<Response, Problem> {
        match (place, &head.method) {
            (Place::Tools, &Method::GET | &Method::HEAD) => self.tools(head, caller).await,
            (Place::Call, &Method::POST) => self.post(head, body, caller).await,
            (Place::Tools, _) => Err(method_not_allowed("GET, HEAD")),
            (Place::Call, _) => Err(method_not_allowed("POST")),
        }
    }

    async fn tools(&self, head: &Parts, caller: &Caller) -> Result<Response, Problem> {
        let wanted = Wanted::read(head.uri.query().unwrap_or_default())?;
        let catalog_builder = self.gateway.catalog_builder();
        let mut servers = Vec::with_capacity(wanted.servers.len());
        for name in &wanted.servers {
            let catalog = catalog_builder.catalog();
            let server = catalog.server(name).filter(|server| caller.scope.allows_server(&server.name));
            let Some(server) = server else {
                return Err(Problem::new(
                    StatusCode::NOT_FOUND,
                    "not_found",
                    "`server` names a server that is not there",
                ));
            };
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
        let writing = compute::run(caller.owner(calls::FACE), move || {
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
        // The turn of the first call; those of the others are taken as they are made.
        let turn = self
            .gateway
            .admit(caller)
            .map_err(|limited| Problem::too_many(limited.code(), limited.to_string(), limited.retry_after))?;
        let (limits, owner) = (&self.config.limits, &caller.key_name);
        match read_body_if(body, limits, &self.room, owner, || Ok::<_, BodyError>(())).await {
            Ok((body, _share)) => self.calls(head, caller, body, turn).await,
            Err(error) => Ok(error.into_response()),
        }
    }
}

impl Place {
    fn template(self) -> &'static str {
        match self {
            Self::Tools => "/v1/tools",
            Self::Call => "/v1/tools/call",
        }
    }
}

impl Wanted {
    /// Reads a query. What is not known is refused: a list in another form than was meant helps nobody.
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
            Wanted::read("form=responses&strict=true&descriptions=short&server=a%20b&server=c").unwrap(),
            Wanted { form, servers: vec!["a b".to_owned(), "c".to_owned()] }
        );
        assert_eq!(Wanted::read("").unwrap(), Wanted::default());
        assert_eq!(Wanted::read("form=chat&strict=false&descriptions=whole").unwrap(), Wanted::default());
        for query in ["form=x", "strict=maybe", "descriptions=1", "stict=true"] {
            assert_eq!(Wanted::read(query).unwrap_err().status(), 400, "{query}");
        }
    }
}
