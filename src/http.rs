//! The shared edge: the port, its connections, and the rules that hold for every request on it. It knows no tools.
//!
//! A request passes [`Edge::respond`] (its id, CORS, Host and Origin rules, panic catcher, security headers) and then
//! the router of `app`, whose middleware is in [`admission`]. [`Keys::admit`] decides on the head, before the body is
//! touched; [`read_body`] reads the body, and [`Problem`] answers errors. [`health`] serves `GET /health`.

pub mod admission;
pub mod answer;
pub mod auth;
pub mod body;
pub mod correlation;
pub mod cors;
pub mod forwarding;
pub mod health;
pub mod host;
pub mod layers;
pub mod listener;
pub mod page;
pub mod path_prefix;
pub mod protected_resource;
pub mod serve;
pub mod taken;

pub use crate::trace::Peer;
pub use answer::{Problem, document_answer, error_answer, json_answer};
pub use auth::{Access, Keys, KeysError, Refusal};
pub use body::{BodyBudget, BodyError, pass_over, read_body, read_body_if};
pub use forwarding::forwarded;
pub use layers::{Edge, Responder, under_key};
pub use listener::{Certificate, ListenError, Listener};
pub use serve::{ServeOptions, Served, Serving, serve};
pub use taken::until_taken;
